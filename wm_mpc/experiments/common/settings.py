"""Which planners there are, and with which settings a task's are evaluated.

A task's own settings are those of its ROS parameter file, `config/<task>.yaml`: what is evaluated
is what the node `mpc` does. The paper's settings are presets beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.planning.registry import FROM_FAR, PLANNERS, PlannerConfig, paper_presets
from wm_mpc.resources import share_directory
from wm_mpc.settings.build import build
from wm_mpc.settings.fields import SettingError

TRUE_SIMULATOR = "true_simulator"
_SINGLE: dict[str, Any] = {"restarts": 1, "samples": 1, "elites": 1, **FROM_FAR}
# 40 first plans and 5 x 40 samples: 240 rollouts a plan.
_CEILING: dict[str, Any] = {"type": "cem", "samples": 40, "elites": 8, "iterations": 5}
_SECTIONS: dict[str, type] = {"planner": PlannerConfig, "cost": ObjectiveConfig}
Config = TypeVar("Config", PlannerConfig, ObjectiveConfig)


@dataclasses.dataclass(frozen=True)
class Settings:
    """planners: by name. objective: of all of them."""

    planners: Mapping[str, PlannerConfig]
    objective: ObjectiveConfig


def planner_names() -> list[str]:
    """All names: the types of planners, single starts, the paper's presets, and the ceiling."""
    singles = [f"{name}_single" for name in ("adam", "gd") if name in PLANNERS]
    return [*PLANNERS, *singles, *paper_presets(), TRUE_SIMULATOR]


def task_settings(
    task: str, overrides: Iterable[str] = (), parameters: Path | None = None
) -> Settings:
    """The settings of every planner for a task.

    overrides: like "planner.horizon=5" or "cost.mode=last", for all planners. parameters: a ROS
    parameter file; default: the task's installed one, and the package's defaults where the task
    has none. Raises SettingError.
    """
    own = mpc_parameters(task_parameter_file(task) if parameters is None else parameters)
    given = [_assignment(text) for text in overrides]
    changes = {
        section: {name: value for where, name, value in given if where == section}
        for section in _SECTIONS
    }
    base = _replaced(PlannerConfig(), own.get("planner", {}), "planner")
    named = {name: dataclasses.replace(base, type=name) for name in PLANNERS}
    named |= {
        f"{name}_single": dataclasses.replace(named[name], **_SINGLE)
        for name in ("adam", "gd")
        if name in named
    }
    for name, planner in PLANNERS.items():
        named[name] = dataclasses.replace(named[name], **planner.reference)
    named |= paper_presets()
    named[TRUE_SIMULATOR] = dataclasses.replace(base, **_CEILING)
    objective = _replaced(ObjectiveConfig(), own.get("cost", {}), "cost")
    return Settings(
        {name: _replaced(c, changes["planner"], "planner") for name, c in named.items()},
        _replaced(objective, changes["cost"], "cost"),
    )


def task_parameter_file(task: str) -> Path | None:
    """The ROS parameter file of a task, None when it has none."""
    path = share_directory() / "config" / f"{task}.yaml"
    return path if path.is_file() else None


def mpc_parameters(path: Path | None) -> dict[str, dict[str, Any]]:
    """The `planner.*` and `cost.*` of the node `mpc` in a ROS parameter file, by section.

    Both ways of writing `planner.horizon` count: nested, and with a dot. Raises SettingError.
    """
    if path is None:
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingError(f"cannot read the parameters of {path}: {error}") from None
    flat: dict[str, Any] = {}
    for node, entries in (data or {}).items():
        if str(node).rsplit("/", 1)[-1] in ("mpc", "**"):
            flat |= _flattened(entries.get("ros__parameters", {}))
    found: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for name, value in flat.items():
        section, _, entry = name.partition(".")
        if section in found:
            found[section][entry] = value
    found["planner"].pop("type", None)  # evaluated are all types
    return found


def _flattened(entries: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat |= _flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _assignment(text: str) -> tuple[str, str, Any]:
    """ "planner.horizon=5" -> ("planner", "horizon", 5)."""
    name, equals, value = text.partition("=")
    section, _, entry = name.partition(".")
    if not equals or section not in _SECTIONS or not entry:
        raise SettingError(f"--set {text!r}: accepted: planner.NAME=VALUE and cost.NAME=VALUE")
    if name == "planner.type":
        raise SettingError("--set planner.type: name the planners with --planners")
    try:
        return section, entry, yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingError(f"--set {text!r}: {value!r} is no value") from None


def _replaced(config: Config, changes: Mapping[str, Any], where: str) -> Config:
    """A changed copy; raises SettingError for unknown names and unacceptable values."""
    if "type" in changes:
        raise SettingError(f"{where}.type cannot be changed here: name the planners")
    return build(type(config), changes, f"{where}.", base=config)
