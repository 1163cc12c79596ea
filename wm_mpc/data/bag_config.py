"""Settings of imports: topics or features, the robot, and the rules from streams to steps.

One file serves `import_bag`, which reads `topic`, and `import_lerobot`, which reads `feature`.
`wm_mpc.data.bag_spec` infers entries that are None from the recording. The YAML file and the
command line use the same names.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import os
from collections.abc import Collection, Mapping
from typing import Any

from wm_mpc.settings.build import build, load_table, raised_as
from wm_mpc.settings.fields import SettingError
from wm_mpc.settings.names import why_no_name

RULES = ("hold", "integrate")
STAMPS = ("header", "receive")
POINTS = ("at", "from")
# What only one of the two imports reads.
ONLY_BAGS = (
    "stamps", "stamp_offset", "split_at", "split_pause", "image.topic", "state.topic",
    "action.topic", "action.points", "action.timeout", "action.max_silence",
)  # fmt: skip
ONLY_LEROBOT = ("image.feature", "state.feature", "action.feature")


class BagConfigError(SettingError):
    """An import setting that is unknown or not accepted; the text says what is accepted."""


@dataclasses.dataclass(frozen=True)
class CameraConfig:
    """Settings of one camera of several.

    Attributes:
        name: Name of the camera, as in `CameraSpec`.
        topic: Topic of its images.
        feature: Its key in a LeRobot dataset; None: observation.images.<name>.
        height: Rows of the model's picture, pixels; None: that of `ImageConfig`.
        width: Columns of the model's picture, pixels; None: that of `ImageConfig`.
        value_range: Values that become black and white, as in `ImageSpec`.
    """

    name: str
    topic: str | None = None
    feature: str | None = None
    height: int | None = None
    width: int | None = None
    value_range: tuple[float, ...] | None = None

    @property
    def key(self) -> str:
        """Its key in a LeRobot dataset."""
        return self.feature or f"observation.images.{self.name}"


@dataclasses.dataclass(frozen=True)
class ImageConfig:
    """Settings of the image stream.

    Attributes:
        topic: Topic of the camera; None: the only image topic.
        feature: Key of the camera in a LeRobot dataset; None: the only camera.
        height: Rows of the model's image, pixels; None: 64.
        width: Columns of the model's image, pixels; None: 64.
        value_range: Values that become black and white, as in `ImageSpec`.
        max_gap: A new episode begins after this time without an image, s; above 0.
        tolerance: An image may be newer than its step by this share of a control period; 0 to
            below 1.
        cameras: The cameras, if the robot has several, the main one first; else empty.
    """

    topic: str | None = None
    feature: str | None = None
    height: int | None = None
    width: int | None = None
    value_range: tuple[float, ...] | None = None
    max_gap: float = 0.5
    tolerance: float = 0.1
    cameras: tuple[CameraConfig, ...] = ()

    def size_of(self, camera: CameraConfig, usual: int) -> tuple[int, int]:
        """Return height and width of a camera's picture, pixels.

        Args:
            camera: The camera.
            usual: Side of a picture whose size is not stated, pixels.
        """
        height = camera.height or camera.width or self.height or self.width or usual
        return height, camera.width or (camera.height or self.width or height)


@dataclasses.dataclass(frozen=True)
class StateConfig:
    """Settings of the state stream.

    Attributes:
        topic: Topic of the state; None: the only one that fits.
        feature: Key of the state in a LeRobot dataset; None: observation.state.
        names: Entries of the state, as in `StateSpec`; empty: use the camera alone.
        unit: Unit of each entry.
        source: Topic from which the node reads the state, as in `StateSpec`.
        angles: Entries that wrap at +-pi; empty: none, whatever the recording shows.
        max_gap: Longest time between two messages over which to interpolate, s; above 0.
    """

    topic: str | None = None
    feature: str | None = None
    names: tuple[str, ...] | None = None
    unit: tuple[str, ...] | None = None
    source: str | None = None
    angles: tuple[str, ...] | None = None
    max_gap: float = 0.5


@dataclasses.dataclass(frozen=True)
class ActionConfig:
    """Settings of the action stream.

    Attributes:
        topic: Topic of the commands; None: the only one that fits.
        feature: Key of the actions in a LeRobot dataset; None: action.
        names: Entries of the action, as in `ActionSpec`.
        kind: Kind of the action, as in `ActionSpec`.
        unit: Unit of the action.
        low: Lowest value of each entry.
        high: Highest value of each entry.
        rate_limit: Largest change of each entry per second.
        points: Meaning of a trajectory point, one of `POINTS`. "at": the target at its time, as
            for a joint_trajectory_controller. "from": the action from its time on, as in
            planned_actions.
        rule: How the commands give the action of a step, one of `RULES`.
        timeout: A command older than this counts as rest, s; None: 0.5, and no limit for
            trajectories.
        max_silence: After this time of rest, the action counts as not recorded, s; 0 or more.
    """

    topic: str | None = None
    feature: str | None = None
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
    """All settings of an import.

    Attributes:
        task: Name of the task, as in `RobotSpec`.
        control_period: Length of a control step, s; above 0.
        frame_skip: Control steps per model step; 1 or more.
        history: Model steps of the past that the dynamics sees; 1 or more.
        stamps: The time that counts, one of `STAMPS`.
        stamp_offset: Time by which the recorder's clock is ahead of the clock of the stamps, s (0:
            they agree); "auto": as measured, however large.
        min_steps: Shorter episodes are dropped; None: three model steps.
        max_steps: Longer episodes are cut; 1 or more control steps.
        split_at: Topics whose messages each begin a new episode.
        split_pause: Time to leave out after such a message, s, while somebody puts the robot back;
            0 or more.
        image: Settings of the image stream.
        state: Settings of the state stream.
        action: Settings of the action stream.

    Raises:
        BagConfigError: A value is not accepted, or two values contradict each other.
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
        if why := why_no_name(self.task):
            raise BagConfigError(why)
        _one_of("stamps", self.stamps, STAMPS)
        _one_of("action.rule", self.action.rule, RULES)
        if self.action.points is not None:
            _one_of("action.points", self.action.points, POINTS)
        if isinstance(self.stamp_offset, str):
            _one_of("stamp_offset", self.stamp_offset, ("auto",), " or seconds")
        if self.stamp_offset is not None and self.stamps == "receive":
            raise BagConfigError(
                f"stamp_offset is {self.stamp_offset}, but stamps is 'receive', which ignores all "
                "stamps; accepted with stamp_offset: header"
            )
        if self.image.value_range is not None and len(self.image.value_range) != 2:
            raise BagConfigError(
                f"image.value_range is {list(self.image.value_range)}; accepted: two numbers"
            )
        self._check_cameras()
        if self.action.rule == "integrate" and self.action.kind == "position":
            raise BagConfigError(
                "action.rule is 'integrate', which averages over a step; accepted for positions: "
                "hold"
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
                raise BagConfigError(f"{name} is {value}; accepted: 0 or more seconds")
        if not 0.0 <= self.image.tolerance < 1.0:
            raise BagConfigError(
                f"image.tolerance is {self.image.tolerance}; accepted: from 0 to below 1 control "
                "period"
            )
        for name in ("frame_skip", "history", "max_steps"):
            _above(name, getattr(self, name), 0, "")
        if self.stateless and self.state.topic is not None:
            raise BagConfigError(
                f"state.topic is {self.state.topic}, but state.names is empty, so nothing is read "
                "from it; remove one of them"
            )
        if self.fewest_steps > self.max_steps:
            raise BagConfigError(
                f"min_steps is {self.fewest_steps}; accepted: at most max_steps, {self.max_steps}"
            )

    def _check_cameras(self) -> None:
        cameras = self.image.cameras
        if not cameras:
            return
        names = [camera.name for camera in cameras]
        if len(cameras) < 2 or len(set(names)) < len(names):
            raise BagConfigError(
                f"image.cameras names {', '.join(names)}; accepted: two or more different cameras"
            )
        for name in ("topic", "feature", "value_range"):
            if getattr(self.image, name) is not None:
                raise BagConfigError(
                    f"image.{name} is {getattr(self.image, name)}, but image.cameras is set; state "
                    f"the {name} of each camera there"
                )
        for camera in cameras:
            if camera.value_range is not None and len(camera.value_range) != 2:
                raise BagConfigError(
                    f"value_range of camera {camera.name} is {list(camera.value_range)}; accepted: "
                    "two numbers"
                )

    @property
    def stateless(self) -> bool:
        """Whether nothing of the robot is measured: `state.names` is set, and empty."""
        return self.state.names == ()

    def stated(self, names: Collection[str]) -> dict[str, Any]:
        """Return those of some settings that are not as usual.

        Args:
            names: Settings, such as "split_at" or "action.rule".
        """
        found = {}
        for name in names:
            value = operator.attrgetter(name)(self)
            if value != operator.attrgetter(name)(BagConfig()):
                found[name] = list(value) if isinstance(value, tuple) else value
        return found

    def unused(self, names: Collection[str]) -> str:
        """Say which settings of another import were given.

        Args:
            names: Settings that this import does not read, `ONLY_BAGS` or `ONLY_LEROBOT`.

        Returns:
            A line for people; empty if all settings count.
        """
        given = [f"{name} {value}" for name, value in self.stated(names).items()]
        return f"settings that count for nothing here: {', '.join(given)}" if given else ""

    @property
    def fewest_steps(self) -> int:
        """Least number of control steps in an episode."""
        return 3 * self.frame_skip if self.min_steps is None else max(1, self.min_steps)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BagConfig:
        """Build the settings from nested tables.

        Args:
            data: Values by name.

        Raises:
            BagConfigError: An entry is unknown or not accepted; the text names it.
        """
        with raised_as(BagConfigError):
            return build(cls, data)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None, overrides: Mapping[str, Any]) -> BagConfig:
        """Build the settings from a YAML file.

        Args:
            path: The file; None: start from the defaults.
            overrides: Entries, which may be nested, that override the file.

        Raises:
            BagConfigError: The file cannot be read, or an entry is unknown or not accepted.
        """
        with raised_as(BagConfigError):
            data = {} if path is None else load_table(path)
        return cls.from_dict(_merged(data, overrides))


def _merged(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(data)
    for name, value in overrides.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            value = _merged(result[name], value)
        result[name] = value
    return result


def _one_of(name: str, value: str, accepted: tuple[str, ...], more: str = "") -> None:
    if value not in accepted:
        raise BagConfigError(f"{name} is {value!r}; accepted: {', '.join(accepted)}{more}")


def _above(name: str, value: float, least: float, unit: str) -> None:
    if not value > least:
        raise BagConfigError(f"{name} is {value}; accepted: above {least:g} {unit}".rstrip())
