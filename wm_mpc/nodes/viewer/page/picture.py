"""The middle of the page: the camera's picture with the plan on it; a click sets a goal."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import viser

from wm_mpc.view.drawing import stage_picture
from wm_mpc.view.model import View
from wm_mpc.view.stage import Stage

_CLICK_SHOWN = 2.0  # s
_QUALITY = 82  # of JPEG
_NO_PICTURE = (640, 640)


class PictureStage:
    """Args: server: of the page. dark: its theme. on_click: called in a thread of the page with
    column and row, as shares of the picture."""

    def __init__(
        self, server: viser.ViserServer, *, dark: bool, on_click: Callable[[float, float], None]
    ) -> None:
        # A browser may leave while its picture is drawn.
        warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")
        self._server, self._dark, self._on_click = server, dark, on_click
        self._lock = threading.Lock()
        self._stages: dict[int, Stage] = {}  # by browser
        self._sent: dict[int, tuple[Any, ...]] = {}
        self._click: tuple[float, float, float] | None = None  # column, row, when
        self.ghost = False
        self.takes_clicks = True
        server.scene.on_click()(self._clicked)

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        stage = self._stages.get(event.client_id)
        if stage is None or not self.takes_clicks:
            return
        place = stage.in_picture(*event.screen_pos)
        if place is not None:
            with self._lock:
                self._click = (*place, time.monotonic())
            self._on_click(*place)

    def render(self, view: View, clients: dict[int, viser.ClientHandle]) -> None:
        """Send what has changed; browsers of the same size get the same bytes."""
        rgb = None if view.camera is None else view.camera.rgb
        size = _NO_PICTURE if rgb is None else (rgb.shape[1], rgb.shape[0])
        click = self._present_click()
        number = -1 if view.camera is None else view.camera.number
        drawn: dict[Stage, np.ndarray] = {}
        for key, client in clients.items():
            camera = client.camera
            stage = Stage.of((camera.image_width or 640, camera.image_height or 640), size)
            self._stages[key] = stage
            content = (
                stage, number, tuple(id(path) for path in view.paths), view.headline.word,
                math.floor(view.headline.seconds), view.is_camera_stale, click, self.ghost,
                view.goal.number if self.ghost and view.goal else 0,
                view.episode.steps if view.episode else 0,
            )  # fmt: skip
            if self._sent.get(key) == content:
                continue
            self._sent[key] = content
            if stage not in drawn:
                drawn[stage] = stage_picture(
                    view, stage, dark=self._dark, ghost=self.ghost, click=click
                )
            client.scene.set_background_image(drawn[stage], "jpeg", jpeg_quality=_QUALITY)
        for gone in self._stages.keys() - clients.keys():
            del self._stages[gone]
            self._sent.pop(gone, None)

    def _present_click(self) -> tuple[float, float] | None:
        with self._lock:
            click = self._click
        is_recent = click is not None and time.monotonic() - click[2] < _CLICK_SHOWN
        return click[:2] if is_recent and click is not None else None
