"""The settings of the node `sim`, which are its parameters."""

from __future__ import annotations

import dataclasses

from wm_mpc.settings.fields import SettingError, check, section, setting
from wm_mpc.sim.disturbance import Disturbance
from wm_mpc.sim.engine import STREAMS
from wm_mpc.sim.recorder import SUFFIXES
from wm_mpc.sim.task import Task
from wm_mpc.sim.tasks import TASKS, make_task


@dataclasses.dataclass(frozen=True)
class DisturbanceSettings:
    """The settings `disturbance.*`: what has changed on the robot since the recording."""

    friction: float = setting(
        1.0,
        "Factor on the friction of the robot in task maze, as if the robot had changed since it "
        "was recorded",
        low=0.01,
        high=100.0,
        read_only=True,
    )
    camera: float = setting(
        0.0,
        "How far the camera has been moved along x since the recording",
        "m",
        -10.0,
        10.0,
        read_only=True,
    )

    def __post_init__(self) -> None:
        check(self, "disturbance.")


@dataclasses.dataclass(frozen=True)
class SimSettings:
    """Of the node `sim`. Raises SettingError when they are not accepted."""

    task: str = setting("wall", "Robot and scene", choices=tuple(sorted(TASKS)), read_only=True)
    seed: int = setting(
        0, "Seed of the start states and goals of all episodes", low=0, read_only=True
    )
    goals: str = setting("", "How goals are drawn; empty: the default of the task", read_only=True)
    episode_stream: str = setting(
        "node",
        "Which episodes belong to a seed; evaluate: the same as those of the command evaluate",
        choices=tuple(STREAMS),
        read_only=True,
    )
    episodes: int = setting(0, "Exit after this number of episodes; 0: never", low=0)
    episode_steps: int = setting(
        100, "Control steps after which an episode ends without success", low=1
    )
    own_goals: bool = setting(
        True,
        "Draw goals, and judge whether the robot reaches them; false: your goal stays, and no "
        "episode ends by itself",
    )
    lockstep: bool = setting(
        False, "Wait for the plan of each observation before the next control step", read_only=True
    )
    driver: str = setting(
        "topics",
        "Who drives the robot: topics: what comes on planned_actions; explorer: the exploration of "
        "the task, which sees the true scene as a person sees the robot, and publishes each action "
        "on planned_actions, for recordings",
        choices=("topics", "explorer"),
        read_only=True,
    )
    real_time_factor: float = setting(
        1.0,
        "Speed of simulated time; unless it is 1.0, this node publishes /clock",
        low=0.01,
        high=100.0,
        read_only=True,
    )
    camera_info: bool = setting(True, "Publish camera/camera_info with the images", read_only=True)
    gui: bool = setting(False, "Open the window of PyBullet", read_only=True)
    plan_timeout: float = setting(1.0, "Hold when no plan has come for this time", "s", 0.01, 60.0)
    lockstep_timeout: float = setting(
        10.0,
        "In lockstep, send an observation again when no plan has come for this time",
        "s",
        0.1,
        3600.0,
    )
    settle: float = setting(
        0.5,
        "Hold at the start of an episode, while plans of the last one still arrive (not in "
        "lockstep)",
        "s",
        0.0,
        60.0,
    )
    disturbance: DisturbanceSettings = section(DisturbanceSettings)
    record: str = setting(
        "",
        "Film to write, a .gif or .mp4, in a folder that is made if it is missing; empty: none",
        read_only=True,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.lockstep and self.driver == "explorer":
            raise SettingError(
                "driver is explorer and lockstep is true; lockstep waits for plans, and nobody "
                "plans (accepted: one of the two)"
            )
        if self.episodes and not self.own_goals:
            raise SettingError(
                f"own_goals is false and episodes is {self.episodes}; no episode would ever end "
                "(accepted: own_goals true, or episodes 0)"
            )
        if self.record and not self.record.lower().endswith(SUFFIXES):
            raise SettingError(f"record is {self.record!r}; accepted: a .gif, a .mp4 or empty")


def disturbed_task(settings: SimSettings) -> Task:
    """The task that the settings name. Raises SettingError."""
    task = make_task(settings.task)
    disturbance = Disturbance(settings.disturbance.friction, settings.disturbance.camera)
    try:
        return disturbance.apply(task)
    except ValueError as error:
        raise SettingError(f"disturbance: {error}") from None
