"""The arm of `reach`, seen by two cameras, and the task needs both.

Both cameras stand far away and have long lenses, so neither sees how far away the tip is. The one
in front sees it from left to right, and its height. The one at the side sees how far it reaches,
and its height. A screen behind the workspace hides the rest of the arm from the camera in front,
and what is above the workspace is in no picture. So the posture does not tell the depth either.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from wm_mpc.sim.planar import fixed_box
from wm_mpc.sim.reaching import HIGH, LOW
from wm_mpc.sim.task import CameraView
from wm_mpc.sim.tasks.reach import Reach
from wm_mpc.spec import CameraSpec, ImageSpec

DISTANCE = 20.0  # m, from the workspace to each camera
WINDOW = 0.58  # m; what each camera sees there, from side to side
_TOP = 0.42  # m; height up to which the cameras see
_MIDDLE = tuple(((LOW + HIGH) / 2).tolist())
_SCREEN = 0.28, 0.01, 0.5  # m; place along x, half its thickness, half its width


def _view(position: tuple[float, float, float], target: tuple[float, float, float]) -> CameraView:
    return CameraView(
        position, target, up=(0.0, 0.0, 1.0),
        field_of_view=math.degrees(2.0 * math.atan(WINDOW / 2.0 / DISTANCE)),
        near=DISTANCE - 3.0, far=DISTANCE + 3.0,
    )  # fmt: skip


class ReachTwo(Reach):
    """See `wm_mpc.sim.task.BulletTask`. The simulator state is that of `Reach`."""

    spec = dataclasses.replace(
        Reach.spec,
        task="reach_two",
        image=ImageSpec.of(CameraSpec("front", 40, 40), CameraSpec("side", 40, 40)),
    )
    _height = _TOP - WINDOW / 2.0
    view = _view((_MIDDLE[0] + DISTANCE, 0.0, _height), (_MIDDLE[0], 0.0, _height))
    further_views = (_view((_MIDDLE[0], -DISTANCE, _height), (_MIDDLE[0], 0.0, _height)),)

    def build(self, client: Any) -> None:
        super().build(client)
        x, thin, wide = _SCREEN
        fixed_box(
            client, (thin, wide, _TOP / 2.0), (x, 0.0, _TOP / 2.0), (0.45, 0.55, 0.5, 1.0),
            collides=False,
        )  # fmt: skip
