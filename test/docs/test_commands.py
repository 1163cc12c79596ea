"""Commands in README.md and the site are ones that our programs accept: names, options, values."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml
from docs_site import sources
from docs_site.pages import code_blocks

from wm_mpc.ros.parameters import parameters_of

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]
# Programs of others, which the pages use
FOREIGN = {"bash", "cd", "colcon", "export", "git", "pip", "python", "python3", "rosdep", "source",
           "tensorboard"}  # fmt: skip
SEPARATORS = ("&&", "|", ";", "&")
# What a page adds is not there yet. A shipped thing of its kind stands for it in the commands.
SHIPPED = {
    "docs/extend/environment.md": "wall",
    "docs/extend/output.md": "commands",
    "docs/extend/synthesis.md": "adversarial",
    "docs/extend/task.md": "wall",
}


def commands(text):
    """Line number and words of each command in the `sh` blocks of a page."""
    for first, block in code_blocks(text, "sh"):
        line = first
        for logical in re.sub(r"\\\n", "  ", block).split("\n"):
            words = shlex.split(logical, comments=True)
            start = 0
            for end, word in enumerate([*words, "&&"]):
                if word in SEPARATORS or word == ">":
                    part = words[start:end]
                    while part and re.fullmatch(r"[A-Z_0-9]+=.*", part[0]):
                        part = part[1:]  # of the environment
                    if part and not (start and words[start - 1] == ">"):
                        yield line, part
                    start = end + 1
            line += 1


def with_shipped(name, text, words):
    """The words of a command, with something shipped for what the page adds to a registry."""
    if name not in SHIPPED:
        return words
    (added,) = re.findall(r'^"(\w+)": ', text, re.MULTILINE)
    return [re.sub(rf"\b{added}\b", SHIPPED[name], word) for word in words]


def check(words):
    """Raises AssertionError where a command would be refused."""
    program, *rest = words
    if program in FOREIGN:
        return
    checks = {"make": check_make, "ros2": check_ros2}
    assert program in checks, f"unknown program {program}"
    checks[program](rest)


def check_make(words):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target = words[0]
    assert re.search(rf"^{target}: ", makefile, re.MULTILINE), f"no target {target}"
    given = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
    lines = re.search(rf"^{target}: .*\n((?:\t.*\n)*)", makefile, re.MULTILINE)
    assert lines is not None
    run = re.search(r"(ros2 (?:run|launch) wm_mpc [\w.]+)[^\n]*\$\(ARGS\)", lines[1])
    if given and run:
        check(shlex.split(run[1]) + shlex.split(given))
    elif given and target == "test":
        for word in shlex.split(given):
            assert not word.startswith("test/") or (ROOT / word).exists(), f"no {word}"


def check_ros2(words):
    verb = " ".join(words[:2])
    known = {
        "run wm_mpc": check_run,
        "launch wm_mpc": check_launch,
        "param set": check_param_set,
        "param describe": lambda rest: parameter(*rest[:2]),
        "param dump": lambda rest: table_of(rest[0]),
        "param load": lambda rest: table_of(rest[0]),
        "topic pub": check_pub,
        "topic echo": check_topic,
        "topic hz": check_topic,
        "topic list": lambda rest: None,
        "node list": lambda rest: None,
        "pkg executables": lambda rest: None,
        "service call": check_service,
        "lifecycle set": check_lifecycle,
        "security create_keystore": lambda rest: None,
        "security create_enclave": lambda rest: None,
        "security create_permission": lambda rest: None,
        "security generate_policy": lambda rest: None,
    }
    assert verb in known, f"unknown: ros2 {verb}"
    known[verb](words[2:])


def check_run(words):
    command, *given = words
    assert command in sources.executables(), f"no command {command}"
    parser = sources.option_parser(command)
    if parser is None:
        assert given[:1] in ([], ["--ros-args"]), f"{command} takes parameters"
        for flag, assignment in zip(given[1::2], given[2::2], strict=True):
            assert flag == "-p"
            name, _, value = assignment.partition(":=")
            parameter(command, name).check(yaml.safe_load(value))
        return
    try:
        parser.parse_args(given)
    except SystemExit as error:
        if error.code:
            raise AssertionError(f"{command} refuses {given}") from None


def check_launch(words):
    file, *given = words
    assert file in sources.launch_files(), f"no launch file {file}"
    arguments = {argument.name: argument for argument in sources.launch_arguments(file)}
    for word in given:
        if word == "--show-args":
            continue
        name, separator, value = word.partition(":=")
        assert separator, f"{word} is no argument"
        assert name in arguments, f"{file} has no argument {name}"
        assert value in (arguments[name].choices or [value]), f"{name} refuses {value}"


def table_of(node):
    table = sources.PARAMETERS.get(node.lstrip("/"))
    assert table, f"no node {node}"
    return {entry.name: entry for entry in parameters_of(sources.find(table))}


def parameter(node, name):
    table = table_of(node)
    assert name in table, f"{node} has no parameter {name}"
    return table[name]


def check_param_set(words):
    node, name, value = words
    parameter(node, name).check(yaml.safe_load(value))


def interface(name, kind):
    package, middle, last = name.split("/")
    assert middle == kind
    return getattr(importlib.import_module(f"{package}.{middle}"), last)


def known_topic(name):
    text = (ROOT / "docs/reference/topics.md").read_text(encoding="utf-8")
    plain = name.lstrip("/")
    assert f"`{plain}`" in text or f"`/{plain}`" in text, f"topics.md does not name {name}"


def check_topic(words):
    known_topic(next(word for word in words if not word.startswith("-")))


def check_pub(words):
    name, kind, text = [word for word in words if not word.startswith("--")]
    known_topic(name)
    fill(interface(kind, "msg")(), yaml.safe_load(text))


def fill(message, values):
    for name, value in values.items():
        assert hasattr(message, name), f"{type(message).__name__} has no {name}"
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        else:
            setattr(message, name, value)


def check_service(words):
    name, kind, *text = words
    known_topic(name)
    fill(interface(kind, "srv").Request(), yaml.safe_load(text[0]) if text else {})


def check_lifecycle(words):
    node, transition = words
    assert node == "/mpc"
    assert transition in ("configure", "activate", "deactivate", "cleanup", "shutdown")


def test_commands_in_the_pages_are_accepted(pages):
    faults, count = [], 0
    for name, text in pages.items():
        for line, words in commands(text):
            count += 1
            try:
                check(with_shipped(name, text, words))
            except Exception as error:
                faults.append(f"{name}:{line}: {shlex.join(words)}: {error!r}")
    assert faults == []
    assert count > 60


def test_only_what_a_page_adds_is_replaced():
    text = '```python\n"field": Field,\n```\n'
    words = ["make", "ARGS=--task field --dataset fields"]
    page = "docs/extend/task.md"
    assert with_shipped(page, text, words) == ["make", "ARGS=--task wall --dataset fields"]
    assert with_shipped("docs/index.md", text, words) == words


@pytest.mark.parametrize(
    "command",
    [
        "make nothing",
        "make train ARGS='--task wall --speed 3'",
        "make sim ARGS='task:=wall sped:=3'",
        "make test ARGS=test/nothing.py",
        "ros2 run wm_mpc trian",
        "ros2 run wm_mpc evaluate --episodes none",
        "ros2 run wm_mpc sim --ros-args -p tusk:=wall",
        "ros2 run wm_mpc sim --ros-args -p task:=moon",
        "ros2 launch wm_mpc robots.launch.py",
        "ros2 launch wm_mpc sim.launch.py network:=moon",
        "ros2 param set /mpc planner.horizon 0",
        "ros2 param set /mpc planner.horison 3",
        "ros2 topic pub /goal_pose geometry_msgs/msg/PoseStamped '{pose: {place: {x: 0.6}}}'",
        "ros2 topic echo /nothing",
        "ros2 service call /mpc/hold std_srvs/srv/SetBool '{date: true}'",
        "ros2 lifecycle set /mpc stop",
        "rm -rf build",
    ],
)
def test_a_wrong_command_would_be_found(command):
    with pytest.raises((AssertionError, ValueError, LookupError, TypeError)):
        check(shlex.split(command))


def test_several_commands_on_a_line_are_all_looked_at():
    text = (
        "```sh\ncd x && A=1 make sim \\\n  ARGS='a b'  # why\nros2 param dump /mpc > mine.yaml\n```"
    )
    assert list(commands(text)) == [
        (2, ["cd", "x"]),
        (2, ["make", "sim", "ARGS=a b"]),
        (3, ["ros2", "param", "dump", "/mpc"]),
    ]


def test_python_in_the_pages_is_python_whose_imports_exist(pages):
    count = 0
    for name, text in pages.items():
        for line, block in code_blocks(text, "python"):
            if re.match(r'"\w+": ', block) and block.rstrip().endswith(","):
                block = f"{{{block}}}"  # an entry of a table
            tree = ast.parse(block, f"{name}:{line}")
            count += 1
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                    for each in node.names:
                        where = f"{name}:{line}: {each.name}"
                        assert exists_or_is_made(node.module, each.name, text), where
    assert count > 3


def exists_or_is_made(module, name, page):
    """Whether a module has a name, now or once the files are there that a page says to save."""
    made = re.findall(r"Save it as `([^`]+)\.py`", page)
    path = module.replace(".", "/")
    if path in made:
        return f"class {name}" in page
    return f"{path}/{name}" in made or hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("module", "name"),
    [("wm_mpc.sim.tasks.field", "Meadow"), ("wm_mpc.sim.tasks", "meadow"), ("math", "tan2")],
)
def test_an_import_of_what_is_nowhere_is_found(module, name):
    page = "Save it as `wm_mpc/sim/tasks/field.py`:\nclass Field(PlanarTask):\n"
    assert not exists_or_is_made(module, name, page)
