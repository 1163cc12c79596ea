"""What pages take from the code: parameters, launch arguments, options, checkpoints, examples.

Where something lives in the code is said here and in api.yaml, and nowhere else in the pages.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from wm_mpc.settings.fields import Setting, entries

ROOT = Path(__file__).resolve().parents[2]
# Settings by node, which are its parameters; and those of a training.
PARAMETERS = {
    "mpc": "wm_mpc.nodes.mpc.parameters:MpcSettings",
    "sim": "wm_mpc.nodes.sim.parameters:SimSettings",
    "learner": "wm_mpc.nodes.learner.parameters:LearnerSettings",
    "viewer": "wm_mpc.nodes.viewer.parameters:ViewerSettings",
    "explore": "wm_mpc.nodes.tools.explore:ExploreSettings",
}
LAUNCHED = ("mpc", "sim", "learner")
PARAMETERS_JSON = ROOT / "wm_mpc" / "ros" / "parameters.json"
TRAINING = "wm_mpc.training.config:TrainConfig"
PHASES = "wm_mpc.training.phases.registry:PHASES"
METRICS = "wm_mpc.training.summary:MEANINGS"
METHODS = "wm_mpc.synthesis.registry:METHODS"
OUTPUTS = "wm_mpc.nodes.mpc.outputs.registry:OUTPUTS"
CHECKPOINTS = "wm_mpc.model.checkpoint:read_metadata"
CODES = {
    "hold": "wm_mpc.codes:HoldCode",
    "status": "wm_mpc.codes:StatusCode",
    "warning": "wm_mpc.codes:WarningCode",
    "goal": "wm_mpc.codes:GoalCode",
    "sim": "wm_mpc.codes:SimCode",
    "learner": "wm_mpc.codes:LearnerCode",
}
ADVICE = Path(__file__).with_name("advice.yaml")
CLAIMS = "wm_mpc.experiments.speed.claims"
# As pages order them
TASKS = ("wall", "maze", "push_t", "rope", "granular", "reach", "reach_joints", "reach_two")
# Shipped, in environments that others wrote
PUBLIC = ("two_room", "point_maze", "point_maze_medium", "pusht", "reacher")


def find(where: str) -> Any:
    """What `module:name` stands for."""
    module, name = where.split(":")
    return getattr(importlib.import_module(module), name)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def plain(text: str) -> str:
    """A text in which `<name>` is no HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


# ---------------------------------------------------------------------------------- parameters


def parameters(node: str) -> str:
    """The parameters of a node."""
    rows = [
        (*_row(name, default, setting), _when(setting))
        for name, default, setting in entries(find(PARAMETERS[node]))
    ]
    return table(("parameter", "default", "accepted", "meaning", "may change"), rows)


def parameter(node: str, name: str) -> str:
    """The default of one parameter, with its unit."""
    for known, default, setting in entries(find(PARAMETERS[node])):
        if known == name:
            return f"{default:g} {setting.unit}".strip()
    raise LookupError(f"{node} has no parameter {name}")


def training(section: str = "") -> str:
    """The settings of a training: those of a section, or those in none."""
    rows = [
        _row(name, default, setting)
        for name, default, setting in entries(find(TRAINING))
        if name.rpartition(".")[0] == section
    ]
    if not rows:
        raise LookupError(f"a training has no settings {section}.*")
    return table(("setting", "default", "accepted", "meaning"), rows)


def methods() -> str:
    """The settings of each method of data synthesis."""
    return _sections({name: method.config for name, method in find(METHODS).items()})


def phases() -> str:
    """The settings of each phase of a training that has a section of its own."""
    own = {name: phase.settings for name, phase in find(PHASES).items() if phase.settings}
    return _sections(own)


def _sections(configs: dict[str, type]) -> str:
    parts = []
    for name, config in configs.items():
        about = str(sys.modules[config.__module__].__doc__).splitlines()[0]
        parts.append(f"### `{name}`\n\n{about}\n\n{training(name)}")
    return "\n\n".join(parts)


def parameters_json() -> str:
    """The parameters of the nodes that launch files start, for `wm_mpc.ros.launch_arguments`: one
    on a line, so that a change is one line."""
    nodes = []
    for node in LAUNCHED:
        lines = []
        for name, default, setting in entries(find(PARAMETERS[node])):
            known = {"default": default, "text": setting.text, "unit": setting.unit}
            if setting.choices is not None:
                known["choices"] = list(setting.choices)
            lines.append(f"    {json.dumps(name)}: {json.dumps(known)}")
        nodes.append(f"  {json.dumps(node)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(nodes) + "\n}\n"


def _row(name: str, default: Any, setting: Setting) -> tuple[str, ...]:
    text = setting.text[0].upper() + setting.text[1:]
    return f"`{name}`", _default(default), _accepted(default, setting), plain(text)


def _default(value: object) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, tuple):
        value = f"[{', '.join(str(item) for item in value)}]"
    return f"`{value}`" if value != "" else "(empty)"


def _accepted(default: Any, setting: Setting) -> str:
    if isinstance(default, tuple):
        kind = _accepted(default[0] if default else "", setting)
        return f"list of: {kind}" if setting.choices is not None else f"list, each {kind}"
    if setting.choices is not None:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if isinstance(default, bool | str):
        return "true, false" if isinstance(default, bool) else "text"
    if isinstance(default, int):
        return f"whole number, {_range(setting, 'd')} {setting.unit}".strip()
    return f"{_range(setting, 'g')} {setting.unit}".strip()


def _range(setting: Setting, shown: str) -> str:
    if setting.low is not None and setting.high is not None:
        return f"{setting.low:{shown}} to {setting.high:{shown}}"
    ends = []
    if setting.low is not None:
        ends.append(f"{setting.low:{shown}} or more")
    if setting.above is not None:
        ends.append(f"above {setting.above:{shown}}")
    if setting.high is not None:
        ends.append(f"{setting.high:{shown}} or less")
    if setting.below is not None:
        ends.append(f"below {setting.below:{shown}}")
    return ", ".join(ends) or "any"


def _when(setting: Setting) -> str:
    if setting.read_only:
        return "at start-up"
    return "while not active" if setting.only_inactive else "at any time"


def outputs() -> str:
    """The topics of the outputs of the node `mpc`."""
    rows = [
        (f"`{name}`", kind.message, f"{kind.text[0].upper()}{kind.text[1:]}.", f"`output.{name}`")
        for name, kind in find(OUTPUTS).items()
    ]
    return table(("topic", "type", "what it is", "on with"), rows)


# ---------------------------------------------------------------------------- launch, commands


def launch_files() -> list[str]:
    return sorted(path.name for path in (ROOT / "launch").glob("*.launch.py"))


def launch_arguments(file: str) -> list[Any]:
    """`DeclareLaunchArgument`s of one of our launch files."""
    module = load(ROOT / "launch" / file)
    return list(module.generate_launch_description().get_launch_arguments())


def launch(file: str) -> str:
    """The arguments of a launch file."""
    rows = []
    for argument in launch_arguments(file):
        text = argument.description.partition(" Valid choices are")[0]
        if argument.choices:
            text += f" One of {', '.join(f'`{choice}`' for choice in argument.choices)}."
        rows.append((f"`{argument.name}`", _launch_default(argument), plain(text)))
    return table(("argument", "default", "meaning"), rows)


def _launch_default(argument: Any) -> str:
    parts = argument.default_value
    if parts is None:
        return "(needed)"
    text = "".join(getattr(part, "text", None) or _substitution(part) for part in parts)
    return f"`{text}`" if text else "(empty)"


def _substitution(part: Any) -> str:
    """A short name of what is known at launch time only."""
    name = type(part).__name__
    if name == "TextSubstitution":
        return ""
    inner = getattr(part, "variable_name", None) or getattr(part, "package", None) or ()
    text = "".join(getattr(each, "text", "") for each in inner)
    return f"<{text}>"


def executables() -> dict[str, str]:
    """`module:function` of each command, as setup.py names them."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXECUTABLES":
            return ast.literal_eval(node.value)
    raise LookupError("setup.py has no EXECUTABLES")


def option_parser(command: str) -> argparse.ArgumentParser | None:
    """What reads the command's options; None for nodes, which have parameters instead."""
    module = importlib.import_module(executables()[command].split(":")[0])
    make: Callable[[], argparse.ArgumentParser] | None = getattr(module, "parser", None)
    return None if make is None else make()


def options(command: str) -> str:
    """The options of a command."""
    parser = option_parser(command)
    assert parser is not None, command
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
        text, default = _split_default(text)
        if action.choices:
            stop = ". " if text and text[-1] not in ".:" else " "
            text += f"{stop}One of {', '.join(f'`{choice}`' for choice in action.choices)}."
        text = text.strip().replace(" (see below)", "")
        rows.append(
            (_option_names(action), _option_default(action, default),
             plain(_sentence(text)))
        )  # fmt: skip
    return table(("option", "default", "meaning"), rows)


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name such as `planner.NAME`."""
    return text if re.match(r"\w+\.[A-Z]+\b", text) else text[:1].upper() + text[1:]


def _option_names(action: argparse.Action) -> str:
    """With what they take, where that is said."""
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    takes = f" {action.metavar}" if isinstance(action.metavar, str) else ""
    return ", ".join(f"`{name}{takes}`" for name in action.option_strings)


def _split_default(text: str) -> tuple[str, str]:
    """The help of an option without what it says of its default, and that."""
    match = re.search(r"(?:^|; )default:? ([^;]+)$", text)
    return (text[: match.start()], match[1]) if match else (text, "")


def _option_default(action: argparse.Action, told: str) -> str:
    if action.required or (not action.option_strings and action.nargs not in ("?", "*")):
        return "(needed)"
    default = action.default
    if isinstance(default, list | tuple):
        default = ",".join(str(each) for each in default)
    # Cores are those of the machine this runs on.
    if default is None or default is False or default == "" or action.dest == "workers":
        return plain(told)
    return f"`{default}`"


# ------------------------------------------------------------------------------------ statuses


def codes(kind: str) -> str:
    """The codes of a kind (`CODES`), with what to do about each."""
    advice = yaml.safe_load(ADVICE.read_text(encoding="utf-8"))
    known = {code.value for where in CODES.values() for code in find(where)}
    if known != set(advice):
        raise ValueError(f"advice.yaml: {sorted(known ^ set(advice))} on one side only")
    rows = [(f"`{code.value}`", *advice[code.value]) for code in find(CODES[kind])]
    return table(("code", "meaning", "what to do"), rows)


# ------------------------------------------------------------------------ checkpoints, examples


def metrics() -> str:
    """What `train` measures at its end."""
    rows = [(f"`{name}`", meaning) for name, meaning in find(METRICS).items()]
    return table(("name", "meaning"), rows)


def shipped() -> str:
    """The checkpoints that come with the package."""
    rows = []
    for task in TASKS + PUBLIC:
        path = ROOT / "checkpoints" / f"{task}.safetensors"
        about = find(CHECKPOINTS)(path)
        action, image, made = about["action"], about["image"], about["provenance"]
        rows.append(
            (
                f"`{task}`",
                f"{len(action['names'])} x {action['kind']}",
                f"{image['width']}x{image['height']}",
                f"{1.0 / about['control_period']:g} Hz",
                about["frame_skip"],
                ", ".join(made["synthesis"]),
                made["data"]["episodes"],
                f"{made['training_seconds'] / 60:.0f}",
                f"{path.stat().st_size / 1e6:.1f}",
            )
        )
    return table(
        (
            "checkpoint", "action", "image", "control rate", "frame skip", "synthesis", "episodes",
            "training, minutes", "MB",
        ),
        rows,
    )  # fmt: skip


def example(name: str, language: str = "python") -> str:
    """A file of docs/examples, which the tests run."""
    text = (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8").rstrip()
    return f"```{language}\n{text}\n```"


def aim(name: str, unit: str = "") -> str:
    """A limit that the benchmark judges by."""
    value = find(f"{CLAIMS}:{name}")
    return f"{100 * value:g} %" if unit == "%" else f"{value:g} {unit}".strip()


def load(path: Path) -> ModuleType:
    """A Python file as a module."""
    name = "docs_" + path.stem.replace(".", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKERS: dict[str, Callable[..., str]] = {
    "parameters": parameters,
    "parameter": parameter,
    "training": training,
    "methods": methods,
    "phases": phases,
    "outputs": outputs,
    "launch": launch,
    "options": options,
    "codes": codes,
    "metrics": metrics,
    "shipped": shipped,
    "example": example,
    "aim": aim,
}
