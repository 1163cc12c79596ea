"""The controller's parameters: sliders, menus and boxes, and why a value was refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import viser

from wm_mpc.nodes.viewer.remote_parameters import RemoteParameters
from wm_mpc.view.cards import said_card
from wm_mpc.view.widgets import MAIN, Described, Kind, widget_of

# s without a change, after which a value is sent. A box that is typed into waits longer: half a
# number may be refused, and the old value would replace it.
_PAUSE, _TYPING_PAUSE = 0.3, 1.0
_TYPED = (Kind.NUMBER, Kind.TEXT)


class Tune:
    """A widget for each parameter.

    viser puts what a person typed into the widget in the thread of its event loop. That it was
    typed is noted in the same thread, at once, and so are present values written. Between the two,
    another thread would take the typed value for an old one and write over it.

    Args:
        server: Of the page.
        container: Where they belong.
        remote: Parameters of the controller.
    """

    def __init__(
        self, server: viser.ViserServer, container: viser.GuiTabHandle, remote: RemoteParameters
    ) -> None:
        self._server, self._container, self._remote = server, container, remote
        self._lock = threading.Lock()
        self._handles: dict[str, Any] = {}
        self._folders: list[Any] = []
        self._names: tuple[str, ...] = ()
        # A controller that does not answer must not stop the pictures.
        self._sender = ThreadPoolExecutor(1, "tune")
        self._under_way: set[str] = set()
        self._wanted: dict[str, tuple[Any, float]] = {}  # value, and when it is sent
        with container:
            self._said = server.gui.add_html("")
            self._none = server.gui.add_html(
                '<div class="wm-none">The controller does not answer: no parameters.</div>'
            )

    def render(self) -> None:
        """Show present values, and send what was chosen."""
        described = self._remote.described
        if tuple(described) != self._names:
            self._build(described)
        self._send()
        if any(handle.value != described[name].value for name, handle in self._handles.items()):
            self._server.get_event_loop().call_soon_threadsafe(self._refresh)

    def _refresh(self) -> None:
        """Show present values. Runs in viser's event loop."""
        with self._lock:
            handles = {n: each for n, each in self._handles.items() if n not in self._wanted}
            described = self._remote.described  # of now: an answer may just have come
            for name in handles.keys() & described.keys():
                handles[name].value = described[name].value

    def _build(self, described: dict[str, Described]) -> None:
        with self._lock:
            for part in (*self._handles.values(), *self._folders):
                part.remove()
            self._handles, self._folders, self._names = {}, [], tuple(described)
        self._none.visible = not described
        changing = [name for name in described if not described[name].read_only]
        main = [name for name in MAIN if name in changing]
        with self._container:
            for name in main:
                self._add(described[name])
            others = [name for name in changing if name not in MAIN]
            if others:
                folder = self._server.gui.add_folder("More parameters", expand_by_default=False)
                self._folders.append(folder)
                with folder:
                    for name in others:
                        self._add(described[name])

    def _add(self, entry: Described) -> None:
        gui, widget = self._server.gui, widget_of(entry)
        hint = f"{entry.text}. {entry.constraints[:1].upper()}{entry.constraints[1:]}."
        value: Any = entry.value
        handle: Any
        if widget.kind is Kind.SLIDER:
            inside = min(max(value, widget.low), widget.high)
            handle = gui.add_slider(
                entry.name, type(value)(widget.low), type(value)(widget.high),
                type(value)(widget.step), inside, hint=hint,
            )  # fmt: skip
        elif widget.kind is Kind.MENU:
            handle = gui.add_dropdown(entry.name, widget.choices, initial_value=value, hint=hint)
        elif widget.kind is Kind.CHECKBOX:
            handle = gui.add_checkbox(entry.name, value, hint=hint)
        elif widget.kind is Kind.NUMBER:
            handle = gui.add_number(entry.name, value, hint=hint)
        else:
            handle = gui.add_text(entry.name, value, hint=hint)
        pause = _TYPING_PAUSE if widget.kind in _TYPED else _PAUSE
        handle.on_update(self._changed(entry.name, handle, pause))
        self._handles[entry.name] = handle

    def _changed(self, name: str, handle: Any, pause: float) -> Callable[[Any], Awaitable[None]]:
        async def changed(event: Any) -> None:
            if event.client_id is not None:  # a person, not this program
                with self._lock:
                    self._wanted[name] = handle.value, time.monotonic() + pause

        return changed

    def _send(self) -> None:
        """What nobody has moved for a moment."""
        now = time.monotonic()
        with self._lock:
            due = {name: value for name, (value, when) in self._wanted.items() if now >= when}
            due = {name: value for name, value in due.items() if name not in self._under_way}
            self._under_way |= due.keys()
        for name, value in due.items():
            self._sender.submit(self._set, name, value)

    def _set(self, name: str, value: Any) -> None:
        reason = self._remote.set(name, value)
        if reason and "accepted" not in reason and name in self._remote.described:
            accepted = self._remote.described[name].constraints.partition(";")[0]
            reason = f"{reason}; {accepted}"
        said = reason or f"{name} is {value} now."
        self._said.content = said_card(said, is_refusal=bool(reason))
        with self._lock:
            self._under_way.discard(name)
            if self._wanted.get(name, (None, 0.0))[0] == value:
                del self._wanted[name]
