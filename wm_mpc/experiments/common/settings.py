"""The planners of an evaluation, and their settings for each task.

The settings of a task come from its ROS parameter file, `config/<task>.yaml`, so `evaluate`
measures what the node `mpc` does. Settings of the paper are additional presets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from wm_mpc.experiments.common.policies import POLICIES
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import FROM_FAR, PLANNERS, PlannerConfig, paper_presets
from wm_mpc.resources import share_directory
from wm_mpc.settings.build import build
from wm_mpc.settings.fields import SettingError

TRUE_SIMULATOR = "true_simulator"
_SINGLE: dict[str, Any] = {"restarts": 1, "samples": 1, "elites": 1, "detour": 0, **FROM_FAR}
# 40 first plans and 5 x 40 samples make 240 rollouts per plan.
_CEILING: dict[str, Any] = {"type": "cem", "samples": 40, "elites": 8, "iterations": 5}
_SECTIONS: dict[str, type] = {"planner": PlannerConfig, "cost": ObjectiveConfig}
Config = TypeVar("Config", PlannerConfig, ObjectiveConfig)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an evaluation.

    Attributes:
        planners: Settings of each planner, by name.
        objective: Cost of all planners.
    """

    planners: Mapping[str, PlannerConfig]
    objective: ObjectiveConfig


def planner_names() -> list[str]:
    """Return all names: types of planners, single starts, presets of the paper, the ceiling, and
    policies without a model."""
    singles = [f"{name}_single" for name in ("adam", "gd") if name in PLANNERS]
    return [*PLANNERS, *singles, *paper_presets(), TRUE_SIMULATOR, *POLICIES]


def task_settings(
    task: str, overrides: Iterable[str] = (), parameters: Path | None = None
) -> Settings:
    """Return the settings of every planner for a task.

    Args:
        task: Name of the task.
        overrides: Assignments such as "planner.horizon=5" or "cost.mode=last", for all planners.
        parameters: A ROS parameter file; None: the installed one of the task, or else the
            defaults.

    Raises:
        SettingError: A setting is unknown or not accepted.
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
    named |= dict.fromkeys(POLICIES, base)  # which they ignore
    objective = _replaced(ObjectiveConfig(), own.get("cost", {}), "cost")
    return Settings(
        {name: _replaced(c, changes["planner"], "planner") for name, c in named.items()},
        _replaced(objective, changes["cost"], "cost"),
    )


def task_parameter_file(task: str) -> Path | None:
    """Return the installed ROS parameter file of a task, or None.

    Args:
        task: Name of the task.
    """
    path = share_directory() / "config" / f"{task}.yaml"
    return path if path.is_file() else None


def mpc_parameters(path: Path | None) -> dict[str, dict[str, Any]]:
    """Read `planner.*` and `cost.*` of the node `mpc` from a ROS parameter file.

    Both forms of `planner.horizon` work: nested, and with a dot.

    Args:
        path: The file; None: no settings.

    Returns:
        Settings by section.

    Raises:
        SettingError: The file cannot be read.
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
    found["planner"].pop("type", None)  # all types are evaluated
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
        raise SettingError("--set planner.type is not accepted; choose planners with --planners")
    try:
        return section, entry, yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingError(f"--set {text!r}: {value!r} is no value") from None


def _replaced(config: Config, changes: Mapping[str, Any], where: str) -> Config:
    """A changed copy; raises SettingError for unknown names and unacceptable values."""
    if "type" in changes:
        raise SettingError(f"{where}.type cannot be changed here; choose planners with --planners")
    return build(type(config), changes, f"{where}.", base=config)
