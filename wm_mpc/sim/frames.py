"""Where the frames of a simulated robot are, after REP-105. The topics /tf and /tf_static say it.

`world` is the simulator's frame. A base moves from `odom` to `base_link`. An arm has a frame for
each link of its description, from its root to its tool. `camera` is an optical frame: x is right, y
down and z forward. Nothing here needs ROS.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from wm_mpc.sim.engine import Simulation

WORLD, ODOM, BASE, CAMERA = "world", "odom", "base_link", "camera"
_FIXED = "fixed"
_KINDS = (_FIXED, "revolute", "continuous", "prismatic")


@dataclasses.dataclass(frozen=True)
class Transform:
    """Where a frame is in another one.

    Attributes:
        parent: Name of the other frame.
        child: Name of the frame.
        position: (3,), m.
        axes: x, y and z axis of the frame, as columns (3, 3).
    """

    parent: str
    child: str
    position: np.ndarray
    axes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Joint:
    """A joint of a robot description.

    Attributes:
        name: Of the joint, as in `joint_states`.
        kind: fixed, revolute, continuous or prismatic.
        parent: Name of the link that carries it.
        child: Name of the link that it moves.
        position: Place of the joint in the frame of `parent`, (3,) m.
        axes: Its x, y and z axis there at position 0, as columns (3, 3).
        axis: Direction in its own frame, (3,), of length 1.
    """

    name: str
    kind: str
    parent: str
    child: str
    position: np.ndarray
    axes: np.ndarray
    axis: np.ndarray

    @property
    def is_fixed(self) -> bool:
        """Whether it never moves."""
        return self.kind == _FIXED

    def transform(self, value: float) -> Transform:
        """Return where its child is.

        Args:
            value: Position of the joint, rad or m; without effect on a fixed joint.
        """
        position, axes = self.position, self.axes
        if self.kind == "prismatic":
            position = position + axes @ self.axis * value
        elif not self.is_fixed:
            axes = axes @ turn_about(self.axis, value)
        return Transform(self.parent, self.child, position, axes)


@dataclasses.dataclass(frozen=True)
class Frames:
    """The frames of one robot and its camera.

    Attributes:
        root: Frame in which the robot is measured: odom, or the root link of an arm.
        joints: Of the description; empty for a base.
        still: Frames that never move.
    """

    root: str
    joints: tuple[Joint, ...]
    still: tuple[Transform, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all frames."""
        own = [BASE] if self.root == ODOM else [joint.child for joint in self.joints]
        return tuple(dict.fromkeys([WORLD, *(frame.child for frame in self.still), *own]))

    def moving(self, simulation: Simulation) -> list[Transform]:
        """Return the frames that move, where they are now.

        Args:
            simulation: The simulation.
        """
        if self.root == ODOM:
            names = simulation.task.pose_names
            return [base_transform(dict(zip(names, simulation.pose().tolist(), strict=True)))]
        positions = {name: position for name, (position, _) in simulation.joints().items()}
        return link_transforms(self.joints, positions)


def frames_of(simulation: Simulation) -> Frames:
    """Return the frames of a simulated robot. It stands at the origin of the world.

    Args:
        simulation: The simulation. Without a known place of its camera there is no camera frame. Of
            several cameras, each one but the first has its name as its frame.
    """
    description = description_of(simulation.task)
    joints = read_joints(description) if description else ()
    root = root_of(joints) if joints else ODOM
    still = [Transform(WORLD, root, np.zeros(3), np.eye(3))]
    cameras = simulation.task.spec.images if simulation.views else ()
    for number, (camera, view) in enumerate(zip(cameras, simulation.views, strict=True)):
        place = np.array(view.position, np.float64)
        name = camera.name if number else CAMERA
        still.append(Transform(WORLD, name, place, view.axes()))
    still += [joint.transform(0.0) for joint in joints if joint.is_fixed]
    return Frames(root, joints, tuple(still))


def world_frames(root: str) -> tuple[str, ...]:
    """Return the frames that are the simulator's world. `odom` is one for arms, too: it is the
    default frame of the node `mpc`.

    Args:
        root: Of the robot.
    """
    return tuple(dict.fromkeys((WORLD, root, ODOM)))


def description_of(task: Any) -> str:
    """Return the robot description (URDF) of a task; empty for a task without one.

    Args:
        task: A `wm_mpc.sim.task.Task`.
    """
    describe = getattr(task, "robot_description", None)
    return describe() if describe is not None else ""


def base_transform(pose: Mapping[str, float]) -> Transform:
    """Return where a base is.

    Args:
        pose: x and y, m, and yaw, rad; a missing one is 0.
    """
    position = np.array([pose.get("x", 0.0), pose.get("y", 0.0), 0.0])
    return Transform(ODOM, BASE, position, turn_about(np.array([0, 0, 1]), pose.get("yaw", 0.0)))


def link_transforms(joints: Sequence[Joint], positions: Mapping[str, float]) -> list[Transform]:
    """Return where the links are that move.

    Args:
        joints: From `read_joints`.
        positions: Position of each joint by name, rad or m.

    Raises:
        KeyError: A joint that moves has no position.
    """
    return [joint.transform(positions[joint.name]) for joint in joints if not joint.is_fixed]


@functools.lru_cache(maxsize=8)
def read_joints(description: str) -> tuple[Joint, ...]:
    """Read the joints of a robot description.

    Args:
        description: URDF.

    Raises:
        ValueError: A joint is of a kind that is not known here.
    """
    return tuple(_joint(element) for element in ElementTree.fromstring(description).iter("joint"))


def root_of(joints: Sequence[Joint]) -> str:
    """Return the link that carries all others.

    Args:
        joints: From `read_joints`.
    """
    children = {joint.child for joint in joints}
    return next(joint.parent for joint in joints if joint.parent not in children)


def turn_about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return a rotation, (3, 3).

    Args:
        axis: (3,), of length 1.
        angle: rad.
    """
    x, y, z = (float(value) for value in axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # After Rodrigues.
    turn: np.ndarray = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


def _joint(element: ElementTree.Element) -> Joint:
    name, kind = str(element.get("name")), str(element.get("type"))
    if kind not in _KINDS:
        raise ValueError(f"joint {name!r} is of kind {kind!r}; accepted: {', '.join(_KINDS)}")
    roll, pitch, yaw = _numbers(element, "origin", "rpy", "0 0 0")
    axes = (
        turn_about(np.array([0, 0, 1]), yaw)
        @ turn_about(np.array([0, 1, 0]), pitch)
        @ turn_about(np.array([1, 0, 0]), roll)
    )
    axis = _numbers(element, "axis", "xyz", "1 0 0")
    return Joint(
        name,
        kind,
        _link(element, "parent"),
        _link(element, "child"),
        _numbers(element, "origin", "xyz", "0 0 0"),
        axes,
        axis / (np.linalg.norm(axis) or 1.0),  # a fixed joint may have none
    )


def _link(element: ElementTree.Element, which: str) -> str:
    found = element.find(which)
    assert found is not None, f"joint {element.get('name')} has no {which}"
    return str(found.get("link"))


def _numbers(element: ElementTree.Element, part: str, key: str, default: str) -> np.ndarray:
    found = element.find(part)
    text = default if found is None else found.get(key, default)
    return np.array([float(word) for word in text.split()])
