"""The whole page: its parts, where they stand, and how often each is brought up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import viser

from wm_mpc.nodes.viewer.commands import Commands
from wm_mpc.nodes.viewer.page.charts import Charts, Losses
from wm_mpc.nodes.viewer.page.drive import Files, Goals, State
from wm_mpc.nodes.viewer.page.imagination import Imagination
from wm_mpc.nodes.viewer.page.personal import Personal
from wm_mpc.nodes.viewer.page.picture import PictureStage
from wm_mpc.nodes.viewer.page.style import BRAND, heading, page_html
from wm_mpc.nodes.viewer.page.tune import Tune
from wm_mpc.nodes.viewer.parameters import ViewerSettings
from wm_mpc.nodes.viewer.recording import Recorder
from wm_mpc.nodes.viewer.remote_parameters import RemoteParameters
from wm_mpc.view.cards import training_card
from wm_mpc.view.model import ViewModel
from wm_mpc.view.pace import Pace

_TEXTS = 0.5  # s between two updates of what people read
_CHARTS = 1.0  # s between two of the charts
_LEFT, _RIGHT = 330, 330  # pixels


class Page:
    """All of it.

    Args:
        server: That serves it.
        model: What is shown.
        commands: What it asks of the nodes.
        remote: Parameters of the controller.
        recorder: Makes recordings.
        settings: Gives those of now.
        pace: At which pictures come.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        model: ViewModel,
        commands: Commands,
        remote: RemoteParameters,
        recorder: Recorder,
        settings: Callable[[], ViewerSettings],
        pace: Pace,
    ) -> None:
        self._server, self._model, self._pace = server, model, pace
        self._commands, self._settings = commands, settings
        dark = settings().theme == "dark"
        gui = server.gui
        gui.configure_theme(
            dark_mode=dark, show_logo=False, show_share_button=False, brand_color=BRAND
        )
        # Light from surroundings, and shadows, keep a browser without a graphics card busy for ten
        # seconds before it shows a scene.
        server.scene.configure_environment_map(None)
        server.scene.configure_default_lights(cast_shadow=False)
        server.scene.add_light_ambient("/light")
        gui.main_panel.dock_right()
        gui.main_panel.set_width(_RIGHT)
        self._picture = PictureStage(server, model.view(), dark=dark, on_click=self._clicked)
        left = gui.add_panel()
        with left.add_tab("Goal and plan"):
            self._imagination = Imagination(server, dark=dark)
            self._picture.place()
        left.dock_left()
        left.set_width(_LEFT)
        below = gui.add_panel()
        with below.add_tab("Charts"):
            self._charts = Charts(server, settings().seconds)
        below.dock_below(left)

        gui.add_html(page_html())
        self._state = State(server, commands)
        tabs = gui.add_tab_group()
        with tabs.add_tab("Goals"):
            self._goals = Goals(server, self._state, commands)
        tune = tabs.add_tab("Tune")
        self._tune = Tune(server, tune, remote)
        training = tabs.add_tab("Model")
        with training:
            self._files = Files(server, self._state, commands, recorder)
            gui.add_html(heading("Training"))
            self._training = gui.add_html("")
        self._losses = Losses(server, training)

        self._picture.place()
        self._texts_at = self._charts_at = 0.0
        self._lock = threading.Lock()
        self._personal: dict[int, Personal] = {}
        server.on_client_connect(lambda client: self._came(client, dark=dark))
        server.on_client_disconnect(self._left)

    @property
    def wants_scene(self) -> bool:
        """Whether any browser shows the scene."""
        with self._lock:
            return any(personal.wants_scene for personal in self._personal.values())

    def _came(self, client: viser.ClientHandle, *, dark: bool) -> None:
        personal = Personal(client, dark=dark)
        with self._lock:
            self._personal[client.client_id] = personal

    def _left(self, client: viser.ClientHandle) -> None:
        with self._lock:
            self._personal.pop(client.client_id, None)

    def _clicked(self, client: int, column: float, row: float) -> bool:
        with self._lock:
            personal = self._personal.get(client)
        if personal is None or not personal.takes_clicks:
            return False
        height, yaw = self._settings().goal_height, personal.heading
        self._state.do(lambda: self._commands.click(column, row, height, yaw))
        return True

    def render(self) -> bool:
        """Bring the page up to date. Whether anybody looks at it."""
        if not self._server.get_clients():
            return False
        view, now = self._model.view(), time.monotonic()
        with self._server.atomic():
            self._picture.render(view)
            self._imagination.render(view)
        with self._lock:
            personal = list(self._personal.values())
        for each in personal:
            each.render(view, self._picture.stage)
        self._tune.render()
        if now - self._texts_at >= _TEXTS:
            self._texts_at = now
            slowdown = self._pace.slowdown
            rate = self._settings().rate / slowdown if slowdown > 1 else None
            self._state.render(view, rate)
            self._goals.render(view)
            self._files.render()
            content = training_card(view.learner)
            if self._training.content != content:
                self._training.content = content
        if now - self._charts_at >= _CHARTS:
            self._charts_at = now
            self._charts.render(self._model)
            self._losses.render(self._model)
        return True
