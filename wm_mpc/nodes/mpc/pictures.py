"""What the node `mpc` publishes for people: pictures of its plans."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Point
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Float64
from visualization_msgs.msg import Marker, MarkerArray

from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.model.paths import in_space, paths
from wm_mpc.model.world_model import WorldModel
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.timing import to_stamp


class _Look(NamedTuple):
    width: float  # m
    colour: ColorRGBA


_PLAN = _Look(0.02, ColorRGBA(r=0.1, g=0.8, b=0.2, a=1.0))
_FAINT = _Look(0.006, ColorRGBA(r=0.4, g=0.6, b=1.0, a=0.3))
_GOAL = _Look(0.05, ColorRGBA(r=0.75, g=0.25, b=1.0, a=0.7))


class PlanPictures:
    """Pictures of a plan for people: markers, imagined frames, cost. Made only when watched."""

    def __init__(self, node: Any, model: WorldModel) -> None:
        self._node, self._model = node, model
        self._markers = node.create_publisher(MarkerArray, "mpc/plan_markers", qos.STATUS)
        self._imagined = node.create_publisher(Image, "mpc/imagined/image_raw", qos.SENSOR_DATA)
        self._cost = node.create_publisher(Float64, "mpc/cost", qos.STATUS)

    def use(self, model: WorldModel) -> None:
        """Draw plans of another world model from now on."""
        self._model = model

    def publish(
        self,
        plan: ControlPlan,
        stamp: int,
        frame_id: str,
        pose: tuple[float, float, float] | None,
    ) -> None:
        """pose: the robot's (x, y, yaw), for paths of models without a pose read-out."""
        self._cost.publish(Float64(data=plan.result.cost))
        if self._markers.get_subscription_count():
            self._markers.publish(self._draw_paths(plan, stamp, frame_id, pose))
        if self._imagined.get_subscription_count():
            self._imagined.publish(self._draw_frames(plan, stamp))

    def _draw_paths(self, plan: ControlPlan, stamp: int, frame_id: str, pose: Any) -> MarkerArray:
        drawn = [
            _line(name, path, _FAINT if name == "elite" else _PLAN)
            for name, path in _paths(self._model, plan, pose)
        ]
        drawn += [_ball(place) for place in _goal(self._model, plan)]
        array = MarkerArray(markers=[Marker(action=Marker.DELETEALL), *drawn])
        for number, marker in enumerate(array.markers):
            marker.id = number
            marker.header.stamp, marker.header.frame_id = to_stamp(stamp), frame_id
            marker.pose.orientation.w = 1.0
        return array

    def _draw_frames(self, plan: ControlPlan, stamp: int) -> Image:
        frames = self._model.decode(plan.latents).clamp(0, 1).permute(0, 2, 3, 1)
        strip = np.concatenate(list((frames.numpy() * 255).astype(np.uint8)), 1)
        return rgb_to_image(np.ascontiguousarray(strip), to_stamp(stamp))

    def close(self) -> None:
        for publisher in (self._markers, self._imagined, self._cost):
            self._node.destroy_publisher(publisher)


def _line(name: str, path: np.ndarray, look: _Look) -> Marker:
    marker = Marker(type=Marker.LINE_STRIP, action=Marker.ADD, ns=name, color=look.colour)
    marker.scale.x = look.width
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in path.tolist()]
    return marker


def _ball(place: np.ndarray) -> Marker:
    marker = Marker(type=Marker.SPHERE, action=Marker.ADD, ns="goal", color=_GOAL.colour)
    marker.scale.x = marker.scale.y = marker.scale.z = _GOAL.width
    marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = place.tolist()
    return marker


def _goal(model: WorldModel, plan: ControlPlan) -> list[np.ndarray]:
    """The place (3,) of each thing at the goal, m, as the model reads it."""
    if plan.goal is None:
        return []
    return [path[0] for path in paths(model, plan.goal.reshape(1, -1)).values()]


def _paths(model: WorldModel, plan: ControlPlan, pose: Any) -> list[tuple[str, np.ndarray]]:
    """Named paths, (points, 3) each: other candidates' ("elite"), then, on top, the plan's."""
    best = paths(model, plan.latents)
    if best:
        first = next(iter(best))
        elites = [("elite", paths(model, other)[first]) for other in plan.candidates]
        return elites + [(thing or "robot", path) for thing, path in best.items()]
    velocity = [n for n in ("vx", "vy") if n in model.spec.action.names]
    if pose is None or len(velocity) < 2 or model.spec.action.kind != "velocity":
        return []
    columns = [model.spec.action.names.index(name) for name in velocity]
    moves = plan.actions[:, columns] * model.spec.control_period
    start = np.array(pose[:2])
    points = np.concatenate([start[None], start + np.cumsum(moves, 0)])
    return [("robot", in_space(points))]
