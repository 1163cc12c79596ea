"""What the package's descriptions claim: they agree with each other and with the sources."""

import ast
import configparser
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from wm_mpc.model.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SETUP_PY = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))


def setup_py_value(name):
    """The literal that setup.py assigns to `name` or passes to setup() under that name."""
    for node in ast.walk(SETUP_PY):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return ast.literal_eval(node.value)
        if isinstance(node, ast.keyword) and node.arg == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py has no {name}")


def requirement_names():
    lines = (ROOT / "tools" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.match(r"[\w.-]+", line) for line in lines]
    return {name.group(0).lower() for name in names if name}


NAME = setup_py_value("NAME")
EXECUTABLES = setup_py_value("EXECUTABLES")
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()


def test_versions_agree():
    text = (ROOT / "wm_mpc" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE).group(1)
    assert PACKAGE.findtext("version") == version


def test_changelog_has_the_version_with_its_date_and_room_for_the_next():
    lines = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8").splitlines()
    titles = [lines[n - 1] for n, line in enumerate(lines) if re.fullmatch("-+", line)]
    assert titles[0] == "Forthcoming"
    assert re.fullmatch(rf"{PACKAGE.findtext('version')} \(\d{{4}}-\d\d-\d\d\)", titles[1])


@pytest.mark.parametrize("path", sorted((ROOT / "checkpoints").glob("*.safetensors")), ids=str)
def test_shipped_checkpoints_of_an_older_version_are_read(path):
    model, metadata = load_checkpoint(path)
    assert metadata["wm_mpc"] in ("0.1.0", PACKAGE.findtext("version"))
    assert model.spec.task == path.stem


@pytest.mark.parametrize("name", EXECUTABLES)
def test_executable_has_its_function(name):
    module, function = EXECUTABLES[name].split(":")
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("section", ["develop", "install"])
def test_scripts_go_where_ros2_run_looks(section):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert list(config[section].values()) == ["$base/lib/wm_mpc"]


def test_every_dependency_has_a_tried_version():
    extras = [name for names in setup_py_value("extras_require").values() for name in names]
    extras = [name for name in extras if "==" not in name]  # says itself which one was tried
    named = {re.split(r"[\[>]", name)[0] for name in [*setup_py_value("install_requires"), *extras]}
    assert named <= requirement_names()


def test_every_requirement_is_pinned():
    lines = (ROOT / "tools" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in requirements if "==" not in line] == []


def test_apt_route_names_what_rosdep_does_not():
    """Each requirement has a rosdep key in package.xml or stands in the line for pip of
    docs/install.md."""
    declared = {element.text for element in PACKAGE.iter("exec_depend")}
    keys = {"pillow": "pil", "opencv-python-headless": "opencv", "pybullet": "pybullet-pip"}
    keys["pyyaml"] = "yaml"
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    by_pip = set(re.search(r"^pip install --user (.+)$", page, re.MULTILINE).group(1).split())
    required = set(setup_py_value("install_requires")) - {"setuptools"}
    with_key = {name for name in required if f"python3-{keys.get(name, name)}" in declared}
    assert by_pip == required - with_key


def test_colcon_finds_how_to_run_the_tests():
    assert "pytest" in setup_py_value("extras_require")["test"]
    assert "python3-pytest" in {element.text for element in PACKAGE.iter("test_depend")}


def test_package_xml_passes_colcons_check():
    pytest.importorskip("catkin_pkg")
    from catkin_pkg.package import parse_package

    package = parse_package(str(ROOT / "package.xml"))
    package.validate()
    assert package.get_build_type() == "ament_python"


def test_messages_used_are_declared():
    declared = {element.text for element in PACKAGE.iter("exec_depend")}
    used = set()
    for path in (ROOT / "wm_mpc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and re.search(r"\.(msg|srv)$", node.module or ""):
                used.add(node.module.split(".")[0])
    assert used <= declared


def test_the_stand_in_for_ros2_does_not_name_the_package_it_serves():
    naming = [
        path.relative_to(ROOT)
        for path in (ROOT / "ros2_pip").rglob("*")
        if path.is_file()
        and path.suffix in (".py", ".md", ".toml", ".xml")
        and "build" not in path.relative_to(ROOT).parts
        and NAME in path.read_text(encoding="utf-8")
    ]
    assert naming == []


def test_the_versions_of_the_stand_in_for_ros2_agree():
    folder = ROOT / "ros2_pip"
    said = [
        re.search(pattern, (folder / file).read_text(encoding="utf-8"), re.MULTILINE).group(1)
        for file, pattern in (
            ("pyproject.toml", r'^version = "(.+)"'),
            ("src/ros2_pip/__init__.py", r'^__version__ = "(.+)"'),
            ("CHANGELOG.md", r"^## (\S+)"),
        )
    ]
    assert len(set(said)) == 1, said


def test_pre_commit_and_make_lint_use_the_same_ruff():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    requirements = (ROOT / "tools" / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^ruff==\S+", requirements, re.MULTILINE).group(0)
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == {pinned}


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml"), key=str), ids=lambda path: path.name
)
def test_forms_and_workflows_are_yaml(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    if path.parent.name == "workflows":
        commands = [step.get("run") for job in content["jobs"].values() for step in job["steps"]]
        assert "bash .ci/run" in commands
        assert (ROOT / ".ci" / "run").is_file()
    elif "body" in content:
        assert {field["type"] for field in content["body"]} <= {"textarea", "dropdown", "input"}
        assert {"name", "description"} <= set(content)
