"""A Franka Panda arm with a stick as its hand, moved by tip velocities or by joint positions.

Kinematics, masses and limits are those of `pybullet_data`'s Panda. One box per link replaces its
meshes, because a mesh takes twenty times as long to draw. Only the stick collides. Feedback holds
the stick's direction and, for motion in the plane, the tip's height.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

JOINTS = tuple(f"panda_joint{number}" for number in range(1, 8))
STICK_LENGTH = 0.3  # m, from the flange
STICK_RADIUS = 0.01  # m
BALL_RADIUS = 0.035  # m
PUCK_RADIUS = 0.03  # m
PUCK_HEIGHT = 0.02  # m
# Radius of what collides at the tip, m; `PandaStick` says what these tips are.
TIP_RADIUS = {"bare": STICK_RADIUS, "ball": STICK_RADIUS, "puck": PUCK_RADIUS}
FLANGE = 0.107  # m, from joint 7
_MAX_EFFORT = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)  # N m
MAX_SPEED = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])  # rad/s
# The elbow returns to this relaxed posture, because the arm has one joint more than it needs.
_POSTURE = np.array([0.0, 0.2, 0.0, -2.2, 0.0, 2.4, 0.785])
_FEEDBACK = 10.0  # 1/s; gain on errors of height, direction and posture
_HAND = ("hand", "finger", "grasp")  # links and joints with these words are left out
_DAMPING = 1e-4  # damping of the inverse Jacobian, for singular postures
_GAIN = 0.1  # share of a position error that a physics step corrects

# Box of each link: from its joint to the next one, in its own frame (m), and half its width.
_BONES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "panda_link0": ((-0.05, 0.0, 0.0), (0.0, 0.0, 0.2), 0.07),
    "panda_link1": ((0.0, 0.0, -0.19), (0.0, 0.0, 0.06), 0.06),
    "panda_link2": ((0.0, 0.0, 0.0), (0.0, -0.2, 0.0), 0.055),
    "panda_link3": ((0.0, 0.0, -0.14), (0.0825, 0.0, 0.0), 0.05),
    "panda_link4": ((0.0, 0.0, 0.0), (-0.0825, 0.12, 0.0), 0.05),
    "panda_link5": ((0.0, 0.0, -0.26), (0.0, 0.03, 0.0), 0.045),
    "panda_link6": ((0.0, 0.0, 0.0), (0.088, 0.0, 0.0), 0.045),
    "panda_link7": ((0.0, 0.0, 0.0), (0.0, 0.0, FLANGE), 0.04),
}


class PandaStick:
    """The arm in one PyBullet client. Its base stands at the world's origin.

    Args:
        client: PyBullet client.
        tip_height: Height of the tip above the base that `drive` holds, m.
        tip: What is at the tip of the stick: nothing (`bare`), a ball that is only drawn, to be
            visible from afar (`ball`), or a puck that pushes several things at once (`puck`).

    Attributes:
        body: Number of the body in PyBullet.
        joints: Numbers of the joints in PyBullet.
        stick: Number of the stick's link in PyBullet.
    """

    def __init__(self, client: Any, tip_height: float = 0.0, *, tip: str = "bare") -> None:

        self._client, self._height = client, tip_height
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "panda_stick.urdf"
            path.write_text(_description(tip))
            self.body: int = client.loadURDF(
                str(path), useFixedBase=True, flags=client.URDF_USE_INERTIA_FROM_FILE
            )
        count = client.getNumJoints(self.body)
        info = [client.getJointInfo(self.body, index) for index in range(count)]
        by_name = {row[1].decode(): row for row in info}
        self.joints = [by_name[name][0] for name in JOINTS]
        self.stick: int = by_name["stick_joint"][0]
        self._low = np.array([by_name[name][8] for name in JOINTS])
        self._high = np.array([by_name[name][9] for name in JOINTS])
        self._zeros = [0.0] * len(JOINTS)
        for index in range(-1, count):
            client.changeDynamics(self.body, index, linearDamping=0.0, angularDamping=0.0)

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return joint positions (7,) rad and velocities (7,) rad/s."""
        states = self._client.getJointStates(self.body, self.joints)
        return np.array([row[0] for row in states]), np.array([row[1] for row in states])

    def reset(self, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Put the joints into a state at once.

        Args:
            positions: (7,) rad.
            velocities: (7,) rad/s.
        """
        for joint, position, velocity in zip(self.joints, positions, velocities, strict=True):
            self._client.resetJointState(self.body, joint, position, velocity)

    def tip(self) -> np.ndarray:
        """Return the position of the tip, (3,) m."""
        return self._tip_and_turn()[0]

    def _tip_and_turn(self) -> tuple[np.ndarray, np.ndarray]:
        """The position of the tip (3,) m, and the small rotation (3,) rad that would correct the
        stick.

        The correct stick has its z axis down, and its x axis along the world's.
        """
        state = self._client.getLinkState(self.body, self.stick, computeForwardKinematics=True)
        axes = self._client.getMatrixFromQuaternion(state[5])  # row by row
        # Half the sum of (z axis) x (0, 0, -1) and (x axis) x (1, 0, 0).
        turn = 0.5 * np.array([-axes[5], axes[2] + axes[6], -axes[3]])
        return np.array(state[4]), turn

    def drive(self, velocity: np.ndarray) -> None:
        """Set the joint motors so that the tip moves at a velocity.

        Args:
            velocity: (vx, vy), m/s, with the height held, or (vx, vy, vz).
        """
        client = self._client
        positions, _ = self.positions()
        tip, turn = self._tip_and_turn()
        rise = velocity[2] if len(velocity) == 3 else _FEEDBACK * (self._height - tip[2])
        wanted = np.array([velocity[0], velocity[1], rise, *(_FEEDBACK * turn)])
        speeds = self._joint_speeds(positions, wanted)
        # Slow all joints by the same factor to keep the direction, and stop at the limits.
        speeds /= max(1.0, float(np.max(np.abs(speeds) / MAX_SPEED)))
        speeds = np.clip(
            speeds, _FEEDBACK * (self._low - positions), _FEEDBACK * (self._high - positions)
        )
        client.setJointMotorControlArray(
            self.body,
            self.joints,
            client.VELOCITY_CONTROL,
            targetVelocities=speeds.tolist(),
            forces=_MAX_EFFORT,
        )

    def move(self, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Set the joint motors so that the joints follow a motion.

        Forces and speeds stay within those of the Panda.

        Args:
            positions: Positions one physics step from now, (7,) rad.
            velocities: Velocities one physics step from now, (7,) rad/s.
        """
        self._client.setJointMotorControlArray(
            self.body,
            self.joints,
            self._client.POSITION_CONTROL,
            targetPositions=positions.tolist(),
            targetVelocities=np.clip(velocities, -MAX_SPEED, MAX_SPEED).tolist(),
            forces=_MAX_EFFORT,
            positionGains=[_GAIN] * len(JOINTS),
            velocityGains=[1.0] * len(JOINTS),
        )

    def _joint_speeds(self, positions: np.ndarray, twist: np.ndarray) -> np.ndarray:
        """Joint speeds by damped least squares, with the posture in the null space.

        After Siciliano & Khatib, Springer Handbook of Robotics, chapter 2.
        """
        jacobian = np.vstack(
            self._client.calculateJacobian(
                self.body, self.stick, (0.0, 0.0, 0.0),
                positions.tolist(), self._zeros, self._zeros,
            )
        )  # fmt: skip
        rest = 2.0 * (_POSTURE - positions)
        square = jacobian @ jacobian.T + _DAMPING * np.eye(6)
        return rest + jacobian.T @ np.linalg.solve(square, twist - jacobian @ rest)

    def posture_at(self, x: float, y: float, z: float | None = None) -> np.ndarray:
        """Find the posture at rest with the tip at a place. Leaves the arm there.

        Args:
            x: In m.
            y: In m.
            z: In m; by default the height that `drive` holds.

        Returns:
            Joint positions (7,) rad.
        """
        height = self._height if z is None else z
        rest = np.zeros(len(JOINTS))
        positions = _POSTURE.copy()
        for _ in range(200):
            self.reset(positions, rest)
            tip, turn = self._tip_and_turn()
            error = np.concatenate([np.array([x, y, height]) - tip, turn])
            step = self._joint_speeds(positions, error)
            positions = np.clip(positions + 0.5 * step, self._low, self._high)
            if np.abs(error).max() < 1e-6 and np.abs(step).max() < 1e-5:
                break
        self.reset(positions, rest)
        return positions


def robot_description(tip: str = "bare") -> str:
    """Return the arm with its stick as URDF, for RViz and other programs that draw robots.

    It has the meshes of `pybullet_data`, as `file://` URIs, and the frames of the simulated arm.

    Args:
        tip: What is at the tip of the stick; see `PandaStick`.
    """
    robot, folder = _arm(), _folder()
    for mesh in robot.iter("mesh"):
        path = folder / mesh.get("filename", "").removeprefix("package://")
        mesh.set("filename", path.resolve().as_uri())
    _add_stick(robot, tip)
    return ElementTree.tostring(robot, encoding="unicode")


def _folder() -> Path:
    """Where the arm of `pybullet_data` is."""
    from wm_mpc.sim.engines.bullet import data_folder  # the engine alone imports PyBullet

    return Path(data_folder()) / "franka_panda"


def _arm() -> ElementTree.Element:
    """The arm of `pybullet_data` without its hand."""
    robot = ElementTree.parse(_folder() / "panda.urdf").getroot()
    for element in list(robot):
        name = element.get("name", "")
        if element.tag not in ("link", "joint") or any(part in name for part in _HAND):
            robot.remove(element)
    return robot


def _add_stick(robot: ElementTree.Element, tip: str) -> None:
    for text in _STICK:
        robot.append(ElementTree.fromstring(text))
    for text in _TIPS[tip]:
        robot.findall("link")[-1].append(ElementTree.fromstring(text))


def _description(tip: str) -> str:
    """The URDF of the simulated arm: without meshes, with boxes and a stick."""
    robot = _arm()
    for link in robot.findall("link"):
        for part in (*link.findall("visual"), *link.findall("collision")):
            link.remove(part)
        name = str(link.get("name"))
        if name in _BONES:
            start, end, half_width = _BONES[name]
            link.append(_box(np.array(start), np.array(end), half_width))
    _add_stick(robot, tip)
    return ElementTree.tostring(robot, encoding="unicode")


def _box(start: np.ndarray, end: np.ndarray, half_width: float) -> ElementTree.Element:
    direction, centre = end - start, (start + end) / 2
    length = float(np.linalg.norm(direction))
    pitch = math.acos(direction[2] / length)
    yaw = math.atan2(direction[1], direction[0])
    width = 2 * half_width
    return ElementTree.fromstring(
        f'<visual><origin xyz="{centre[0]} {centre[1]} {centre[2]}" rpy="0 {pitch} {yaw}"/>'
        f'<geometry><box size="{width} {width} {length + 0.6 * width}"/></geometry>'
        '<material name="arm"><color rgba="0.93 0.93 0.95 1"/></material></visual>'
    )


_BALL = (
    f'<visual><geometry><sphere radius="{BALL_RADIUS}"/></geometry>'
    '<material name="ball"><color rgba="0.9 0.25 0.1 1"/></material></visual>'
)
_PUCK = f'<geometry><cylinder radius="{PUCK_RADIUS}" length="{PUCK_HEIGHT}"/></geometry>'
_TIPS: dict[str, tuple[str, ...]] = {
    "bare": (),
    "ball": (_BALL,),
    "puck": (
        f'<visual>{_PUCK}<material name="puck"><color rgba="0.1 0.15 0.75 1"/></material></visual>',
        f"<collision>{_PUCK}</collision>",
    ),
}
_STICK = (
    '<link name="stick"><inertial><mass value="0.1"/>'
    '<inertia ixx="0.001" ixy="0" ixz="0" iyy="0.001" iyz="0" izz="0.001"/></inertial>'
    f'<visual><origin xyz="0 0 {-STICK_LENGTH / 2}"/>'
    f'<geometry><box size="{2 * STICK_RADIUS} {2 * STICK_RADIUS} {STICK_LENGTH}"/></geometry>'
    '<material name="stick"><color rgba="0.1 0.15 0.75 1"/></material></visual>'
    f'<collision><origin xyz="0 0 {-STICK_LENGTH / 2}"/>'
    f'<geometry><cylinder radius="{STICK_RADIUS}" length="{STICK_LENGTH}"/></geometry>'
    "</collision></link>",
    '<joint name="stick_joint" type="fixed"><parent link="panda_link7"/><child link="stick"/>'
    f'<origin xyz="0 0 {FLANGE + STICK_LENGTH}" rpy="0 0 -0.785398163"/></joint>',
)
