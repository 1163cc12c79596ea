"""All that the viewer knows of a running robot, and what of it is old or gone.

Callbacks of the node put things in; the page takes a `View` of all of it, some ten times a second.
Times come from one clock, in seconds, so that a test can turn it.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from wm_mpc.codes import GoalCode
from wm_mpc.messages.progress_statuses import EpisodeStatus, LearnerStatus
from wm_mpc.messages.statuses import GoalReport, MpcStatus
from wm_mpc.view.headline import Headline, HeadlineKeeper
from wm_mpc.view.histories import Histories
from wm_mpc.view.projection import Projection

_Status = TypeVar("_Status", EpisodeStatus, LearnerStatus)
CAMERA_STALE = 1.0  # s
_PLAN_STALE = 1.5  # s, after which paths and imagined frames are those of the past
_OTHERS_STALE = 5.0  # s, after which an episode or a training is not shown any more


@dataclasses.dataclass(frozen=True)
class Path:
    """A predicted path. name: of the thing that moves; `elite` for another candidate.
    points: (n, 3), m."""

    name: str
    points: np.ndarray

    @property
    def is_candidate(self) -> bool:
        return self.name == "elite"


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture, and its number, which tells it from the one before. rgb: (height, width, 3)."""

    rgb: np.ndarray
    number: int
    came: float


@dataclasses.dataclass(frozen=True)
class View:
    """What there is to see at one moment.

    Attributes:
        now: s.
        headline: What the controller does.
        status: Its last status; None before the first.
        camera: The last picture; None before the first.
        is_camera_stale: Whether it is too old to be the present.
        goal: Picture of the goal.
        imagined: Frames side by side, one for each model step; None where there is no fresh plan.
        paths: Of the fresh plan, candidates first.
        projection: Of the camera; None where it is not known.
        goals: The latest, oldest first.
        episode: Of a simulation that runs.
        learner: Of a training that runs, or has just ended.
        parameters: Values of the controller's parameters that are known.
        verdicts: By number of a goal, whether a simulation saw it reached, by the true state.
        goal_places: Places (3,) of each thing at the goal, m, as the model reads it.
        robot: Of `wm_mpc.nodes.viewer.robot`; None where no description has come.
        joints: Positions by name, rad or m.
        base: x and y, m, and yaw, rad, in odom; None where no odometry has come.
        others: Last pictures of further cameras, side by side; None without any.
    """

    now: float
    headline: Headline
    status: MpcStatus | None
    camera: Picture | None
    is_camera_stale: bool
    goal: Picture | None
    imagined: Picture | None
    paths: tuple[Path, ...]
    projection: Projection | None
    goals: tuple[GoalReport, ...]
    episode: EpisodeStatus | None
    learner: LearnerStatus | None
    parameters: Mapping[str, object]
    verdicts: Mapping[int, bool]
    goal_places: tuple[np.ndarray, ...]
    robot: Any
    joints: Mapping[str, float]
    base: tuple[float, float, float] | None
    others: Picture | None = None

    @property
    def executing(self) -> GoalReport | None:
        """The goal that is planned for."""
        found = [goal for goal in self.goals if goal.code is GoalCode.EXECUTING]
        return found[-1] if found else None

    @property
    def is_live(self) -> bool:
        """Whether a controller answers at present."""
        return self.status is not None and self.headline.code != "gone"


class ViewModel:
    """Takes in what comes, and gives a `View`. Thread-safe.

    Args:
        seconds: How far back the charts go.
        clock: In s; it must not go back.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.RLock()
        self._headline = HeadlineKeeper()
        self._pictures: dict[str, Picture] = {}
        self._paths: tuple[float, tuple[Path, ...]] = (-math.inf, ())
        self._projection: dict[str, object] = {}
        self._goals: tuple[GoalReport, ...] = ()
        self._episode: tuple[float, EpisodeStatus] | None = None
        self._learner: tuple[float, LearnerStatus] | None = None
        self._parameters: dict[str, object] = {}
        self._verdicts: dict[int, bool] = {}
        self._goal_places: tuple[np.ndarray, ...] = ()
        self._robot: Any = None
        self._joints: dict[str, float] = {}
        self._base: tuple[float, float, float] | None = None
        self._histories = Histories(seconds)

    # ------------------------------------------------------------------------------- what comes

    def on_picture(self, what: str, rgb: np.ndarray) -> None:
        """A picture. what: `camera`, `others`, `goal` or `imagined`. rgb: uint8 (height, width,
        3)."""
        with self._lock:
            before = self._pictures.get(what)
            number = 1 if before is None else before.number + 1
            self._pictures[what] = Picture(rgb, number, self._clock())

    def on_paths(self, paths: Sequence[Path], goals: Sequence[np.ndarray] = ()) -> None:
        """The paths of a plan, and places of its goal; none: they are not drawn any more."""
        ordered = sorted(paths, key=lambda path: not path.is_candidate)
        with self._lock:
            self._paths, self._goal_places = (self._clock(), tuple(ordered)), tuple(goals)

    def on_intrinsics(self, matrix: np.ndarray, height: int, width: int) -> None:
        """Of the camera; see `Projection`."""
        with self._lock:
            self._projection |= {"matrix": matrix, "height": height, "width": width}

    def on_camera_pose(self, position: np.ndarray, axes: np.ndarray) -> None:
        """Of the camera in the world; see `Projection`."""
        with self._lock:
            self._projection |= {"position": position, "axes": axes}

    def on_status(self, status: MpcStatus) -> None:
        """What the controller says of itself."""
        with self._lock:
            now = self._clock()
            self._headline.add(status, now)
            self._histories.add_status(status, now, self._parameters)

    def on_goals(self, goals: Sequence[GoalReport]) -> None:
        """The goals that the controller lists."""
        with self._lock:
            self._goals = tuple(sorted(goals, key=lambda goal: goal.number))

    def on_cost(self, cost: float) -> None:
        """Of a plan."""
        with self._lock:
            self._histories.cost.add(self._clock(), (cost,))

    def on_episode(self, status: EpisodeStatus) -> None:
        """Where a simulated episode is."""
        with self._lock:
            before = None if self._episode is None else self._episode[1]
            self._episode = self._clock(), status
            if before is not None and status.finished == before.finished + 1:
                # The goal that the controller had then: its next one is not there yet.
                started = [goal for goal in self._goals if goal.code is not GoalCode.WAITING]
                if started:
                    self._verdicts[started[-1].number] = status.successes > before.successes

    def on_robot(self, robot: Any) -> None:
        """A robot as it is drawn; see `wm_mpc.nodes.viewer.robot`."""
        with self._lock:
            self._robot = robot

    def on_joints(self, positions: Mapping[str, float]) -> None:
        """Positions of some joints by name, rad or m."""
        with self._lock:
            self._joints |= positions

    def on_base(self, x: float, y: float, yaw: float) -> None:
        """Where a base is: m, rad."""
        with self._lock:
            self._base = x, y, yaw

    def on_learner(self, status: LearnerStatus) -> None:
        with self._lock:
            now = self._clock()
            self._learner = now, status
            self._histories.add_learner(status, now)

    def on_parameters(self, values: Mapping[str, object]) -> None:
        """Values of some of the controller's parameters."""
        with self._lock:
            self._parameters |= values

    # -------------------------------------------------------------------------- what is to see

    def view(self) -> View:
        """All as of now."""
        with self._lock:
            now = self._clock()
            camera = self._pictures.get("camera")
            imagined = self._pictures.get("imagined")
            is_old = imagined is None or now - imagined.came > _PLAN_STALE
            came, paths = self._paths
            return View(
                now,
                self._headline.headline(now),
                self._headline.status,
                camera,
                camera is not None and now - camera.came > CAMERA_STALE,
                self._pictures.get("goal"),
                None if is_old else imagined,
                paths if now - came <= _PLAN_STALE else (),
                self._known_projection(),
                self._goals,
                _fresh(self._episode, now),
                _fresh(self._learner, now),
                dict(self._parameters),
                dict(self._verdicts),
                self._goal_places,
                self._robot,
                dict(self._joints),
                self._base,
                self._pictures.get("others"),
            )

    def charts(self) -> dict[str, tuple[np.ndarray, ...]]:
        """The histories as of now, by name: seconds before now, and each column."""
        with self._lock:
            return self._histories.columns(self._clock())

    def losses(self) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
        """Names and history of a training's losses; nothing without any."""
        with self._lock:
            found = self._histories.losses
            return ((), ()) if found is None else (found.names, found.columns(self._clock()))

    def _known_projection(self) -> Projection | None:
        known = self._projection
        return Projection(**known) if len(known) == 5 else None  # type: ignore[arg-type]


def _fresh(kept: tuple[float, _Status] | None, now: float) -> _Status | None:
    return None if kept is None or now - kept[0] > _OTHERS_STALE else kept[1]
