"""Live charts: cost, distance, plan time, surprise, missed periods; losses of a training."""

from __future__ import annotations

import numpy as np
import viser
from viser import uplot

from wm_mpc.view.model import ViewModel

_GREEN, _BLUE, _AMBER, _RED, _GREY = "#3ebd93", "#5b9bff", "#f0b429", "#ef5350", "#829ab1"
_HEIGHT = 120  # pixels

# Title, and label, colour and whether it is a threshold, of each line.
_CHARTS: dict[str, tuple[str, tuple[tuple[str, str, bool], ...]]] = {
    "distance": (
        "Distance to the goal (model steps)",
        (("distance", _GREEN, False), ("tolerance", _AMBER, True)),
    ),
    "cost": ("Cost of the plan", (("cost", _BLUE, False),)),
    "stages": (
        "Plan time (ms, median)",
        (
            ("image to plan", _GREEN, False),
            ("plan", _BLUE, False),
            ("encode", _AMBER, False),
            ("overhead", _GREY, False),
        ),
    ),
    "surprise": (
        "Surprise (usual = 1)",
        (
            ("prediction", _GREEN, False),
            ("image", _BLUE, False),
            ("slow", _AMBER, True),
            ("hold", _RED, True),
            ("image limit", _RED, True),
        ),
    ),
    "missed": ("Control steps missed (per s)", (("missed", _RED, False),)),
}
_LOSS_COLOURS = (_GREEN, _BLUE, _AMBER, _RED, _GREY, "#b388ff", "#4dd0e1", "#ff8a65")


class Charts:
    """Those of a controller.

    Args:
        server: Of the page, in the container where they belong.
        seconds: How far back they go.
    """

    def __init__(self, server: viser.ViserServer, seconds: float) -> None:
        self._handles = {
            name: _chart(server, title, lines, seconds) for name, (title, lines) in _CHARTS.items()
        }

    def render(self, model: ViewModel) -> None:
        """Show the histories as of now."""
        for name, columns in model.charts().items():
            self._handles[name].data = columns


class Losses:
    """The chart of a training's losses.

    Args:
        server: Of the page.
        container: Where it belongs.
    """

    def __init__(self, server: viser.ViserServer, container: viser.GuiTabHandle) -> None:
        self._server, self._container = server, container
        self._names: tuple[str, ...] = ()
        self._handle: viser.GuiUplotHandle | None = None

    def render(self, model: ViewModel) -> None:
        """Show the losses so far; another set of losses gets another chart."""
        names, columns = model.losses()
        if not names:
            return
        if names != self._names:
            if self._handle is not None:
                self._handle.remove()
            lines = tuple(
                (name, _LOSS_COLOURS[index % len(_LOSS_COLOURS)], False)
                for index, name in enumerate(names)
            )
            with self._container:
                self._handle = _chart(self._server, "Losses", lines, None)
            self._names = names
        assert self._handle is not None
        self._handle.data = columns


def _chart(
    server: viser.ViserServer,
    title: str,
    lines: tuple[tuple[str, str, bool], ...],
    seconds: float | None,
) -> viser.GuiUplotHandle:
    start = -1.0 if seconds is None else -seconds
    zeros = np.zeros(2)
    x_scale = uplot.Scale(time=False)
    if seconds is not None:
        x_scale = uplot.Scale(time=False, auto=False, range=(start, 0.0))
    series = [uplot.Series(label="s")]
    for label, colour, is_threshold in lines:
        entry = uplot.Series(label=label, stroke=colour, width=1 if is_threshold else 2)
        entry["points"] = {"show": False}
        if is_threshold:
            entry["dash"] = (6, 4)
        series.append(entry)
    return server.gui.add_uplot(
        (np.array([start, 0.0]), *(zeros for _ in lines)),
        tuple(series),
        title=title,
        height=_HEIGHT,
        scales={"x": x_scale, "y": uplot.Scale(auto=True)},
        legend=uplot.Legend(show=len(lines) > 1, live=False),
        padding=(4, 12, 0, 0),
    )
