"""What `import_bag` is told: topics, the robot's description, and how streams become steps.

Entries that are None are inferred from the recording (`wm_mpc.data.bag_spec`). The same names serve
the YAML file and the command line.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import yaml

RULES = ("hold", "integrate")
STAMPS = ("header", "receive")
POINTS = ("at", "from")


class BagConfigError(ValueError):
    """A setting of the import that is unknown or cannot be; the text says what is accepted."""


@dataclasses.dataclass(frozen=True)
class ImageConfig:
    """topic: None: the only one there is. height, width: pixels of the model's picture; None: 64.
    max_gap: s without a picture after which a new episode begins. tolerance: share of a control
    period by which a picture may be younger than the step it is taken for. value_range: as
    `ImageSpec` has it."""

    topic: str | None = None
    height: int | None = None
    width: int | None = None
    value_range: tuple[float, ...] | None = None
    max_gap: float = 0.5
    tolerance: float = 0.1


@dataclasses.dataclass(frozen=True)
class StateConfig:
    """topic, names, unit, source, angles: as `StateSpec` has them; no names: a robot that is only
    seen; no angles: none, whatever the recording shows.
    max_gap: s between two messages that may be bridged by a straight line."""

    topic: str | None = None
    names: tuple[str, ...] | None = None
    unit: tuple[str, ...] | None = None
    source: str | None = None
    angles: tuple[str, ...] | None = None
    max_gap: float = 0.5


@dataclasses.dataclass(frozen=True)
class ActionConfig:
    """topic, names, kind, unit, low, high, rate_limit: as `ActionSpec` has them. rule: how a step's
    action comes from the commands (`RULES`). timeout: s after which a command counts as rest; None:
    0.5, and never for trajectories. max_silence: s of rest after which nothing is taken for known.
    points: what a point of a trajectory says (`POINTS`): where to be at its time, as for a
    joint_trajectory_controller, or what applies from its time on, as in planned_actions.
    """

    topic: str | None = None
    names: tuple[str, ...] | None = None
    kind: str | None = None
    unit: str | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    rate_limit: tuple[float, ...] | None = None
    points: str | None = None
    rule: str = "hold"
    timeout: float | None = None
    max_silence: float = 2.0


@dataclasses.dataclass(frozen=True)
class BagConfig:
    """task, control_period (s), frame_skip, history: as `RobotSpec` has them.

    stamps: whose time counts (`STAMPS`). stamp_offset: s by which the recorder's clock is ahead of
    that of the stamps (0: they agree), or "auto": as measured, however much it is. min_steps:
    shorter episodes are dropped; None: three model steps. max_steps: longer ones are cut. split_at:
    topics of which every message begins an episode; split_pause: s after it that are left out,
    while the robot is put back. Raises BagConfigError for a value that cannot be.
    """

    task: str = "my_robot"
    control_period: float | None = None
    frame_skip: int = 5
    history: int = 1
    stamps: str = "header"
    stamp_offset: float | str | None = None
    min_steps: int | None = None
    max_steps: int = 300
    split_at: tuple[str, ...] = ()
    split_pause: float = 0.0
    image: ImageConfig = ImageConfig()
    state: StateConfig = StateConfig()
    action: ActionConfig = ActionConfig()

    def __post_init__(self) -> None:
        _one_of("stamps", self.stamps, STAMPS)
        _one_of("action.rule", self.action.rule, RULES)
        if self.action.points is not None:
            _one_of("action.points", self.action.points, POINTS)
        if isinstance(self.stamp_offset, str):
            _one_of("stamp_offset", self.stamp_offset, ("auto",), " or seconds")
        if self.stamp_offset is not None and self.stamps == "receive":
            raise BagConfigError(
                f"stamp_offset is {self.stamp_offset}, but by stamps, receive, no stamp counts"
            )
        if self.image.value_range is not None and len(self.image.value_range) != 2:
            raise BagConfigError(
                f"image.value_range is {list(self.image.value_range)}; two numbers are needed"
            )
        if self.action.rule == "integrate" and self.action.kind == "position":
            raise BagConfigError(
                "action.rule is integrate, the mean over a step; positions are held: rule hold"
            )
        if self.control_period is not None:
            _above("control_period", self.control_period, 0.0, "seconds")
        if self.action.timeout is not None:
            _above("action.timeout", self.action.timeout, 0.0, "seconds")
        for name, value in (("image.max_gap", self.image.max_gap),
                            ("state.max_gap", self.state.max_gap)):  # fmt: skip
            _above(name, value, 0.0, "seconds")
        for name, value in (("split_pause", self.split_pause),
                            ("action.max_silence", self.action.max_silence)):  # fmt: skip
            if not 0.0 <= value < math.inf:
                raise BagConfigError(f"{name} is {value}; 0 or more seconds are needed")
        if not 0.0 <= self.image.tolerance < 1.0:
            raise BagConfigError(
                f"image.tolerance is {self.image.tolerance}; accepted: 0 to below 1 control period"
            )
        for name in ("frame_skip", "history", "max_steps"):
            _above(name, getattr(self, name), 0, "")
        if self.stateless and self.state.topic is not None:
            raise BagConfigError(
                f"state.names is empty, so state.topic, {self.state.topic}, is for nothing"
            )
        if self.fewest_steps > self.max_steps:
            raise BagConfigError(
                f"min_steps is {self.fewest_steps}, more than max_steps, {self.max_steps}"
            )

    @property
    def stateless(self) -> bool:
        """Whether nothing of the robot is measured: `state.names` is there, and empty."""
        return self.state.names == ()

    @property
    def fewest_steps(self) -> int:
        """Low-level steps an episode has at least."""
        return 3 * self.frame_skip if self.min_steps is None else max(1, self.min_steps)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BagConfig:
        """From plain nested tables. Raises BagConfigError naming an unknown or bad entry."""
        return _build(cls, data, "")

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None, overrides: Mapping[str, Any]) -> BagConfig:
        """From a YAML file, or the defaults without one; entries of `overrides`, which may be
        nested, win. Raises BagConfigError."""
        data: Any = {}
        if path is not None:
            try:
                with open(path) as file:
                    data = yaml.safe_load(file) or {}
            except (OSError, ValueError, yaml.YAMLError) as error:
                raise BagConfigError(f"{path} cannot be read: {error}") from None
            if not isinstance(data, Mapping):
                raise BagConfigError(f"{path} must hold a table of settings")
        return cls.from_dict(_merged(data, overrides))


def _merged(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(data)
    for name, value in overrides.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            value = _merged(result[name], value)
        result[name] = value
    return result


_SECTIONS: dict[str, type] = {"image": ImageConfig, "state": StateConfig, "action": ActionConfig}


def _build(cls: type, data: Mapping[str, Any], where: str) -> Any:
    known = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise BagConfigError(
                f"unknown setting {where}{name}; known: {', '.join(sorted(known))}"
            )
        if not where and name in _SECTIONS:
            if not isinstance(value, Mapping):
                raise BagConfigError(f"{name} is {value!r}; a table of settings is needed")
            values[name] = _build(_SECTIONS[name], value, f"{name}.")
        else:
            values[name] = _converted(where + name, value, known[name])
    return cls(**values)


def _converted(name: str, value: Any, wanted: str) -> Any:
    """The value as the field's annotation wants it. Raises BagConfigError."""
    base, _, optional = wanted.partition(" | ")
    if value is None and optional:
        return None
    if base == "float" and optional.startswith("str") and isinstance(value, str):
        return value
    if base.startswith("tuple"):
        if not isinstance(value, (list, tuple)):
            raise BagConfigError(f"{name} is {value!r}; a list is needed")
        inner = "float" if "float" in base else "str"
        return tuple(_converted(name, item, inner) for item in value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if base == "float" and is_number and math.isfinite(value):
        return float(value)
    if base == "int" and is_number and value == int(value):
        return int(value)
    if base == "str" and isinstance(value, str):
        return value
    kind = {"float": "a number", "int": "a whole number", "str": "a text"}[base]
    raise BagConfigError(f"{name} is {value!r}; {kind} is needed")


def _one_of(name: str, value: str, accepted: tuple[str, ...], more: str = "") -> None:
    if value not in accepted:
        raise BagConfigError(f"{name} is {value!r}; accepted: {', '.join(accepted)}{more}")


def _above(name: str, value: float, least: float, unit: str) -> None:
    if not value > least:
        raise BagConfigError(f"{name} is {value}; more than {least:g} {unit} is needed".strip())
