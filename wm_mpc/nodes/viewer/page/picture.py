"""The middle of the page: the camera's picture with the plan on it; a click sets a goal.

The picture lies over viser's canvas; `style.py` says how, and why it is not drawn there.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import viser

from wm_mpc.nodes.viewer.page.style import STAGE_MARK
from wm_mpc.view.drawing import stage_picture
from wm_mpc.view.model import View
from wm_mpc.view.stage import Stage

_CLICK_SHOWN = 2.0  # s
_OTHERS = 0.5  # s between pictures for containers that stand in for the last one
_QUALITY = 82  # of JPEG
_NO_PICTURE = (640, 640)


class PictureStage:
    """The picture, and where it was clicked.

    Args:
        server: Of the page.
        view: What there is to see at first.
        dark: Its theme.
        on_click: Called in a thread of the page with the browser and with column and row, as
            shares of the picture. Whether the click means anything.

    Attributes:
        stage: Where the camera's picture is in the one that is shown.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        view: View,
        *,
        dark: bool,
        on_click: Callable[[int, float, float], bool],
    ) -> None:
        self._dark, self._on_click = dark, on_click
        self._lock = threading.Lock()
        self.stage = Stage.of(*_NO_PICTURE)
        self._shown: tuple[Any, ...] = ()
        self._click: tuple[float, float, float] | None = None  # column, row, when
        self._gui, self._images = server.gui, list[viser.GuiImageHandle]()
        self._others_at = 0.0
        self._first = stage_picture(view, self.stage, dark=dark)
        server.scene.on_click()(self._clicked)

    def place(self) -> None:
        """Have the page get the picture by way of the present container, too.

        A panel that a person has closed gets none, so one alone is not enough. The last one counts:
        the others, which a browser must decode too, get a picture now and then.
        """
        self._gui.add_html(STAGE_MARK)
        self._images.append(self._gui.add_image(self._first, format="jpeg", jpeg_quality=_QUALITY))

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        camera = event.client.camera
        screen = camera.image_width, camera.image_height
        place = self.stage.in_picture(*event.screen_pos, screen)
        if place is not None and self._on_click(event.client_id, *place):
            with self._lock:
                self._click = (*place, time.monotonic())

    def render(self, view: View) -> None:
        """Show what has changed; all browsers get the same bytes."""
        rgb = None if view.camera is None else view.camera.rgb
        stage = Stage.of(*(_NO_PICTURE if rgb is None else (rgb.shape[1], rgb.shape[0])))
        click = self._present_click()
        content = (
            stage,
            -1 if view.camera is None else view.camera.number,
            view.paths,
            view.headline.word,
            math.floor(view.headline.seconds),
            view.is_camera_stale,
            click,
            view.episode.steps if view.episode else 0,
        )
        if self._shown and _same(content, self._shown):
            return
        self._shown, self.stage = content, stage
        picture = stage_picture(view, stage, dark=self._dark, click=click)
        *others, main = self._images
        main.image = picture
        if time.monotonic() - self._others_at > _OTHERS:
            self._others_at = time.monotonic()
            for image in others:
                image.image = picture

    def _present_click(self) -> tuple[float, float] | None:
        with self._lock:
            click = self._click
        is_recent = click is not None and time.monotonic() - click[2] < _CLICK_SHOWN
        return click[:2] if is_recent and click is not None else None


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Paths, which hold arrays, are compared by what they are, not by their numbers."""
    return one[2] is other[2] and one[:2] + one[3:] == other[:2] + other[3:]
