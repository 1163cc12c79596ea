"""The goal, and what the model imagines on the way to it."""

from __future__ import annotations

import time

import numpy as np
import viser

from wm_mpc.nodes.viewer.page.style import heading
from wm_mpc.view.drawing import enlarged, filmstrip, split_strip
from wm_mpc.view.model import Picture, View

_GOAL_SIDE = 140  # pixels
_COLUMNS, _FRAME_SIDE = 4, 100
_QUALITY = 85
_STRIP = 0.3  # s between two strips, which people cannot follow faster


class Imagination:
    """Pictures of the goal and of the present plan.

    Args:
        server: Of the page, in the container where they belong.
        dark: Its theme.
    """

    def __init__(self, server: viser.ViserServer, *, dark: bool) -> None:
        self._dark = dark
        gui = server.gui
        self._goal_title = gui.add_html(heading("Goal"))
        blank = np.full((_GOAL_SIDE, _GOAL_SIDE, 3), 44 if dark else 225, np.uint8)
        self._goal = gui.add_image(blank, format="jpeg", jpeg_quality=_QUALITY)
        self._others_title = gui.add_html(heading("Further cameras"))
        self._others = gui.add_image(blank, format="jpeg", jpeg_quality=_QUALITY)
        self._others_title.visible = self._others.visible = False
        self._title = gui.add_html(heading("What the model imagines"))
        self._strip = gui.add_image(blank[:60], format="jpeg", jpeg_quality=_QUALITY)
        self._strip.visible = False
        self._strip_at = 0.0
        self._shown: dict[str, int] = {}
        self._heading = ""

    def render(self, view: View) -> None:
        """Show what has changed."""
        if view.goal is not None and self._is_new("goal", view.goal):
            self._goal.image = _as_large_as_a_goal(view.goal.rgb)
        if view.others is not None and self._is_new("others", view.others):
            self._others.image = _as_large_as_a_goal(view.others.rgb)
            self._others_title.visible = self._others.visible = True
        imagined = view.imagined
        is_due = time.monotonic() - self._strip_at > _STRIP
        if imagined is not None and is_due and self._is_new("imagined", imagined):
            self._strip_at = time.monotonic()
            # What is imagined shows all cameras side by side, as the goal does.
            camera = view.camera if view.others is None or view.goal is None else view.goal
            aspect = 1.0 if camera is None else camera.rgb.shape[1] / camera.rgb.shape[0]
            frames = split_strip(imagined.rgb, aspect)
            self._strip.image = filmstrip(frames, _COLUMNS, _FRAME_SIDE, dark=self._dark)
        has_plan = imagined is not None
        if self._strip.visible != has_plan:
            self._strip.visible = has_plan
        title = (
            "What the model imagines, step by step"
            if has_plan
            else "No plan at present, so nothing is imagined."
        )
        if title != self._heading:
            self._heading, self._title.content = title, heading(title)

    def _is_new(self, what: str, picture: Picture) -> bool:
        is_new = self._shown.get(what) != picture.number
        self._shown[what] = picture.number
        return is_new


def _as_large_as_a_goal(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    scale = _GOAL_SIDE / max(height, width)
    return enlarged(rgb, (max(1, round(width * scale)), max(1, round(height * scale))))
