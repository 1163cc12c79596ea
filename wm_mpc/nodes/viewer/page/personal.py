"""What each person chooses for their own browser: how to look, and what a click means."""

from __future__ import annotations

import math

import viser

from wm_mpc.nodes.viewer.page.scene import Scene
from wm_mpc.nodes.viewer.page.style import GHOST_MARK, personal_mark
from wm_mpc.view.drawing import enlarged
from wm_mpc.view.model import View
from wm_mpc.view.stage import Stage

_GHOST_SIDE = 256  # pixels
_QUALITY = 82  # of JPEG


class Personal:
    """The choices of one browser. Other browsers neither see nor change them.

    Args:
        client: The browser.
        dark: Theme of the page.
    """

    def __init__(self, client: viser.ClientHandle, *, dark: bool) -> None:
        self._client, self._dark = client, dark
        gui = client.gui
        folder = gui.add_folder("Your view")
        with folder:
            self._scene_wanted = gui.add_checkbox(
                "3-D scene", False,
                hint="Robot, plan and goal in space, in place of the camera's picture. Only this "
                "browser changes. Without a graphics card it takes much of the processor.",
            )  # fmt: skip
            self._ghost = gui.add_checkbox(
                "Goal over the picture", False, hint="Shows the goal through the camera's picture."
            )
            self._click = gui.add_checkbox(
                "Click sets a goal", True, visible=False,
                hint="In simulation, a click on the camera's picture sets a goal there.",
            )  # fmt: skip
            self._heading = gui.add_slider(
                "Heading (°)", -180, 180, 5, 0, visible=False,
                hint="Direction of the goal that a click sets, for things that have one.",
            )  # fmt: skip
            self._said = gui.add_html("")
        self._mark = gui.add_html("")
        self._ghost_image: viser.GuiImageHandle | None = None
        self._ghost_shown = 0
        self._scene: Scene | None = None

    @property
    def wants_scene(self) -> bool:
        """Whether this browser shows the scene instead of the picture."""
        return bool(self._scene_wanted.value)

    @property
    def takes_clicks(self) -> bool:
        """Whether a click sets a goal: only on the picture, and only in simulation."""
        return bool(self._click.value and self._click.visible and not self.wants_scene)

    @property
    def heading(self) -> float:
        """Of a goal that a click sets, rad."""
        return math.radians(self._heading.value)

    def render(self, view: View, stage: Stage) -> None:
        """Bring it up to date.

        Args:
            view: What there is to see.
            stage: Where the camera's picture is in the page's picture.
        """
        is_simulated = view.episode is not None
        for part in (self._click, self._heading):
            if part.visible != is_simulated:
                part.visible = is_simulated
        mark = personal_mark(
            stage, scene=self.wants_scene, ghost=self._ghost.value and view.goal is not None
        )
        if self._mark.content != mark:
            self._mark.content = mark
        if self._ghost.value and view.goal is not None:
            self._show_ghost(view)
        self._render_scene(view)

    def _show_ghost(self, view: View) -> None:
        assert view.goal is not None
        if self._ghost_shown == view.goal.number:
            return
        self._ghost_shown = view.goal.number
        height, width = view.goal.rgb.shape[:2]
        scale = _GHOST_SIDE / max(height, width)
        picture = enlarged(view.goal.rgb, (round(width * scale), round(height * scale)))
        if self._ghost_image is None:
            self._client.gui.add_html(GHOST_MARK)
            self._ghost_image = self._client.gui.add_image(
                picture, format="jpeg", jpeg_quality=_QUALITY
            )
        else:
            self._ghost_image.image = picture

    def _render_scene(self, view: View) -> None:
        if self.wants_scene:
            if self._scene is None:
                self._scene = Scene(self._client, dark=self._dark)
            said = self._scene.render(view)
            if self._said.content != said:
                self._said.content = said
        elif self._scene is not None:
            self._scene.close()
            self._scene, self._said.content = None, ""
