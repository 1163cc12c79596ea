"""The state at a glance, and what a person can do: hold, goals, recording."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import viser

from wm_mpc.codes import HoldCode
from wm_mpc.nodes.viewer.commands import CommandError, Commands
from wm_mpc.nodes.viewer.recording import Recorder
from wm_mpc.view.cards import goals_card, said_card, state_card
from wm_mpc.view.model import View

_SAID = 8.0  # s, for which what became of a command is shown


class State:
    """What the controller does, and the button that holds it. Always in sight."""

    def __init__(self, server: viser.ViserServer, commands: Commands) -> None:
        self._commands = commands
        self._card = server.gui.add_html("")
        self._said = server.gui.add_html("")
        self._said_until = 0.0
        self._hold = server.gui.add_button(
            "Hold", color="red", icon=viser.Icon.PLAYER_PAUSE, hint="The robot rests at once."
        )
        self._holds = False
        self._hold.on_click(lambda _: self.do(self._toggle))

    def _toggle(self) -> str:
        return self._commands.resume() if self._holds else self._commands.hold()

    def do(self, command: Callable[[], str]) -> None:
        """Carry out a command, and say what became of it."""
        try:
            self.say(command())
        except CommandError as error:
            self.say(str(error), is_refusal=True)

    def say(self, message: str, *, is_refusal: bool = False) -> None:
        """Show a sentence for a while."""
        self._said_until = time.monotonic() + _SAID
        self._said.content = said_card(message, is_refusal=is_refusal)

    def render(self, view: View, rate: float | None) -> None:
        """rate: of the pictures, Hz, where it is lower than wanted."""
        card = state_card(view, rate)
        if self._card.content != card:
            self._card.content = card
        if self._said_until and time.monotonic() > self._said_until:
            self._said_until, self._said.content = 0.0, ""
        holds = view.headline.code == HoldCode.PERSON
        if holds != self._holds:
            self._holds = holds
            self._hold.label = "Go on" if holds else "Hold"
            self._hold.color = "green" if holds else "red"
            self._hold.icon = viser.Icon.PLAYER_PLAY if holds else viser.Icon.PLAYER_PAUSE
        if self._hold.disabled == view.is_live:
            self._hold.disabled = not view.is_live


class Goals:
    """The goals, and the ways to give one."""

    def __init__(self, server: viser.ViserServer, state: State, commands: Commands) -> None:
        gui = server.gui
        self._list = gui.add_html("")
        ends = gui.add_button_group("Current goal", ("Skip", "Clear all"))
        ends.on_click(lambda _: state.do(commands.skip if ends.value == "Skip" else commands.clear))
        self._simulation = gui.add_button_group("Simulation", ("New goal", "New episode"))
        self._simulation.on_click(
            lambda _: state.do(
                commands.new_goal if self._simulation.value == "New goal" else commands.reset
            )
        )
        take = gui.add_button(
            "Present picture as goal", icon=viser.Icon.CAMERA, color="gray",
            hint="What the camera sees now becomes the goal.",
        )  # fmt: skip
        take.on_click(lambda _: state.do(commands.goal_from_camera))
        load = gui.add_upload_button(
            "Load a goal picture", icon=viser.Icon.UPLOAD, color="gray", mime_type="image/*",
            hint="A picture file becomes the goal: PNG, JPEG and others.",
        )  # fmt: skip
        load.on_upload(
            lambda _: state.do(lambda: commands.goal_from_file(load.value.name, load.value.content))
        )

    def render(self, view: View) -> None:
        content = goals_card(view.goals, view.verdicts)
        if self._list.content != content:
            self._list.content = content
        is_simulated = view.episode is not None
        if self._simulation.visible != is_simulated:
            self._simulation.visible = is_simulated


class Files:
    """Recording, and the checkpoint."""

    def __init__(
        self, server: viser.ViserServer, state: State, commands: Commands, recorder: Recorder
    ) -> None:
        gui = server.gui
        self._recorder = recorder
        self._reload: Any = gui.add_button(
            "Reload checkpoint", icon=viser.Icon.REFRESH, color="gray",
            hint="Changes to the newest checkpoint of a learner, or loads the present one again.",
        )  # fmt: skip
        self._reload.on_click(lambda _: state.do(commands.reload))
        self._record = gui.add_button("Record", icon=viser.Icon.PLAYER_RECORD, color="gray")
        self._record.on_click(lambda _: state.do(self._toggle))
        self._records = False

    def _toggle(self) -> str:
        return self._recorder.stop() if self._recorder.is_on else self._recorder.start()

    def render(self) -> None:
        records = self._recorder.is_on
        if records != self._records:
            self._records = records
            self._record.label = "Stop recording" if records else "Record"
            self._record.icon = viser.Icon.PLAYER_STOP if records else viser.Icon.PLAYER_RECORD
