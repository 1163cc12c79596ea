"""The scene of three dimensions: robot, camera, plan and goal, in one browser."""

from __future__ import annotations

import html
import math
import time
from typing import Any

import numpy as np
import viser
import viser.transforms

from wm_mpc.nodes.viewer.robot import Robot
from wm_mpc.view.model import Path, View
from wm_mpc.view.stage import NARROW, TELEPHONE_SHARE

_NOTHING = object()
_PERIOD = 0.25  # s between two updates; viser draws for a quarter of a second after each
_PLAN, _THING, _CANDIDATE = (57, 217, 138), (255, 214, 92), (120, 170, 255)
_BASE, _GOAL = (91, 155, 255), (191, 64, 255)
# Where the eye is, and what it looks at, m. A base is first seen from behind and above.
_ARM_SEEN = ((1.4, -1.1, 1.0), (0.35, 0.0, 0.2))
_BEHIND, _ABOVE = 2.1, 1.9


class Scene:
    """What one browser shows in space. It costs only that browser.

    Args:
        client: The browser.
        dark: Theme of the page.
    """

    def __init__(self, client: viser.ClientHandle, *, dark: bool) -> None:
        self._client, self._scene = client, client.scene
        self._at = 0.0
        self._robot: Robot | None = None
        self._links: dict[str, Any] = {}
        self._base: Any = None
        self._lines: dict[str, Any] = {}
        self._paths: tuple[Path, ...] | None = None
        self._balls: list[Any] = []
        self._seen: Any = _NOTHING
        grey = (70, 76, 84) if dark else (190, 196, 204)
        self._scene.set_up_direction("+z")
        self._ground = self._scene.add_grid(
            "/ground", 6.0, 6.0, cell_size=0.1, section_size=0.5, cell_color=grey,
            section_color=grey, shadow_opacity=0.0,
        )  # fmt: skip

    def render(self, view: View) -> str:
        """Show what has changed; returns what cannot be shown, as HTML."""
        now = time.monotonic()
        if now - self._at >= _PERIOD:
            self._at = now
            with self._client.atomic():
                self._show_robot(view)
                self._show_plan(view)
            self._look_at_robot(view)
        complaints = () if view.robot is None else view.robot.complaints
        if view.robot is None and view.base is None:
            complaints = ("Neither robot_description nor odom has come, so no robot is drawn.",)
        return "".join(f'<div class="wm-none">{html.escape(each)}</div>' for each in complaints)

    def close(self) -> None:
        """Take all away."""
        for handle in (self._base, self._ground, *self._lines.values(), *self._balls):
            if handle is not None:
                handle.remove()

    def _show_robot(self, view: View) -> None:
        robot: Any = view.robot
        if robot is not self._robot:
            self._build(robot)
        if self._base is None and (robot is not None or view.base is not None):
            self._build(robot)
        if self._base is not None and view.base is not None:
            x, y, yaw = view.base
            self._base.position = (x, y, 0.0)
            self._base.wxyz = viser.transforms.SO3.from_z_radians(yaw).wxyz
        if robot is not None:
            for link, position, axes in robot.moving(view.joints):
                self._place(self._links[link], position, axes)

    def _build(self, robot: Robot | None) -> None:
        if self._base is not None:
            self._base.remove()  # with all that hangs on it
        self._robot, self._links = robot, {}
        self._base = self._scene.add_frame("/robot", show_axes=robot is None, axes_length=0.2,
                                           axes_radius=0.008)  # fmt: skip
        if robot is None:
            self._scene.add_box("/robot/body", _BASE, (0.2, 0.16, 0.08), position=(0, 0, 0.04))
            return
        for link, parent, position, axes in robot.tree():
            name = f"{self._links[parent].name}/{link}" if parent else f"/robot/{link}"
            self._links[link] = self._scene.add_frame(name, show_axes=False)
            self._place(self._links[link], position, axes)
        for number, (link, vertices, faces, colour) in enumerate(robot.meshes):
            self._scene.add_mesh_simple(
                f"{self._links[link].name}/shape_{number}", vertices, faces, color=colour,
                cast_shadow=False, receive_shadow=False, side="double",
            )  # fmt: skip

    def _place(self, handle: Any, position: np.ndarray, axes: np.ndarray) -> None:
        handle.position, handle.wxyz = position, viser.transforms.SO3.from_matrix(axes).wxyz

    def _show_plan(self, view: View) -> None:
        if view.paths is self._paths:
            return
        self._paths = view.paths
        for handle in (*self._lines.values(), *self._balls):
            handle.remove()
        self._lines, self._balls = {}, []
        for number, path in enumerate(view.paths):
            thick = 0.002 if path.is_candidate else 0.008
            is_robot = path.name in ("robot", "tip_")
            colour = _CANDIDATE if path.is_candidate else _PLAN if is_robot else _THING
            name = f"/plan/{number}"
            segments = np.stack([path.points[:-1], path.points[1:]], 1)
            self._lines[name] = self._scene.add_line_segments(
                name, segments, colour, thickness=thick
            )
        for number, place in enumerate(view.goal_places if view.paths else ()):
            self._balls.append(
                self._scene.add_icosphere(
                    f"/goal/{number}",
                    0.025,
                    _GOAL,
                    opacity=0.7,
                    subdivisions=2,
                    position=place,
                    cast_shadow=False,
                )
            )
            self._balls.append(
                self._scene.add_label(f"/goal_label/{number}", "goal", position=place)
            )

    def _look_at_robot(self, view: View) -> None:
        """Once for each kind of robot; then people turn it."""
        if self._base is None or self._robot is self._seen:
            return
        self._seen = self._robot
        x, y, _ = view.base or (0.0, 0.0, 0.0)
        eye, target = ((x, y - _BEHIND, _ABOVE), (x, y, 0.0)) if self._robot is None else _ARM_SEEN
        camera = self._client.camera
        if camera.image_width <= NARROW * camera.image_height:
            # The page covers the lower part of a telephone's screen.
            x, y, z = target
            hidden = (1.0 - TELEPHONE_SHARE) * math.tan(camera.fov / 2.0)
            target = x, y, z - hidden * math.dist(eye, target)
        with self._client.atomic():  # a new position moves the target, too, until it is set
            camera.up_direction = (0.0, 0.0, 1.0)
            camera.position, camera.look_at = eye, target
