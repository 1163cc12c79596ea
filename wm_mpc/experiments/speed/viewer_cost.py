"""What an open browser costs: image to plan with the viewer's page open and without, in one run.

One launch of simulation, controller and viewer runs all the time. A browser without a window opens
the page and closes it again, in turns with stretches that have none, so that whatever else happens
on the machine happens to all. `python -m wm_mpc.experiments.speed.viewer_cost --help`.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.arguments import Parser, positive
from wm_mpc.atomic import write
from wm_mpc.experiments.speed.browser import BROWSERS, check, opened, show_scene, spent
from wm_mpc.experiments.speed.measuring import StolenTime
from wm_mpc.experiments.success.through_ros import (
    LaunchError,
    Listener,
    end,
    ends_on_sigterm,
    free_domain,
    ros_environment,
)

WITHOUT, PAGE, SCENE = "no browser", "the page", "3-D scene"
WANTED = {"p50": 1.05, "p99": 1.10}  # with the page, in terms of without
_SETTLE = 8.0  # s from the start of the browser, or its end, that do not count
_START_UP = 90.0  # s for the launch
_RESAMPLED = 2000  # times, for an interval
_CERTAINTY = (2.5, 97.5)  # percentiles

Trips = Mapping[str, Sequence[Sequence[float]]]


def measure(
    task: str, browser: str, flags: Sequence[str], seconds: float, rounds: int, *, scene: bool
) -> dict[str, Any]:
    """Measure with a browser and without, in turns.

    Args:
        task: Of the simulation.
        browser: Program of the browser, of Chromium's family.
        flags: Further arguments of the browser.
        seconds: That each stretch counts, s.
        rounds: Number of stretches of each kind.
        scene: Measure stretches in which the browser shows the 3-D scene, too.

    Returns:
        Times (ms), their ratios, and the processor time of each process, in cores.

    Raises:
        LaunchError: Nodes or browser could not be run.
    """
    kinds = (WITHOUT, PAGE, SCENE) if scene else (WITHOUT, PAGE)
    trips: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    shares: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    stolen = StolenTime()
    with (
        free_domain() as domain,
        ends_on_sigterm(),
        tempfile.TemporaryDirectory() as folder,
        _launched(task, ros_environment(domain), Path(folder)) as (address, nodes),
        Listener(ros_environment(domain), "trip_log") as listener,
    ):
        if listener.next(_START_UP) is None:
            raise LaunchError("no plan came")
        for number in range(rounds):
            first = number % len(kinds)  # each kind comes first in turn
            for kind in kinds[first:] + kinds[:first]:
                with _nobody() if kind == WITHOUT else opened(browser, flags, address) as profile:
                    if kind == SCENE:
                        assert profile is not None
                        show_scene(profile)
                    _take(listener, _SETTLE)
                    before, began = spent(nodes, profile), time.monotonic()
                    trips[kind].append(_take(listener, seconds))
                    took = time.monotonic() - began
                    after = spent(nodes, profile)
                    shares[kind].append(
                        {name: (after[name] - before.get(name, 0.0)) / took for name in after}
                    )
                check(nodes)
    return {
        "task": task,
        "flags": list(flags),
        "seconds": seconds,
        "rounds": rounds,
        "stolen_percent": stolen.percent(),
        **summary(trips),
        "cores": {kind: _mean(rows) for kind, rows in shares.items()},
    }


def summary(trips: Trips) -> dict[str, Any]:
    """Compare the times with a browser to those without.

    Args:
        trips: Times (ms) of each stretch, by kind; stretches of the same index belong together.

    Returns:
        Percentiles of each kind; for each kind with a browser the ratio of each percentile, and an
        interval that holds it with 95 % certainty, from rounds drawn again and again.

    Raises:
        LaunchError: A stretch has no times.
    """
    for kind, stretches in trips.items():
        if not all(stretches):
            raise LaunchError(f"no plan came in a stretch with {kind}")
    found = {
        kind: {"plans": sum(map(len, stretches)), **_percentiles(stretches)}
        for kind, stretches in trips.items()
    }
    return {
        "image_to_plan_ms": found,
        "ratio": {kind: _ratios(trips, kind) for kind in trips if kind != WITHOUT},
    }


def _ratios(trips: Trips, kind: str) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(0)
    rounds = len(trips[kind])
    draws = [range(rounds), *rng.integers(rounds, size=(_RESAMPLED, rounds)).tolist()]
    drawn = [
        (
            _percentiles([trips[kind][each] for each in draw]),
            _percentiles([trips[WITHOUT][each] for each in draw]),
        )
        for draw in draws
    ]
    found = {}
    for name in WANTED:
        ratios = [ours[name] / theirs[name] for ours, theirs in drawn]
        low, high = np.percentile(ratios[1:], _CERTAINTY)
        found[name] = {"ratio": ratios[0], "low": float(low), "high": float(high)}
    return found


def _percentiles(stretches: Sequence[Sequence[float]]) -> dict[str, float]:
    times = np.concatenate([np.asarray(each) for each in stretches])
    return {name: float(np.percentile(times, float(name[1:]))) for name in WANTED}


def report(measured: Mapping[str, Any]) -> str:
    """Write the result as text.

    Args:
        measured: What `measure` returned.
    """
    lines = [
        f"{measured['task']}: image to plan (ms), {measured['rounds']} stretches of "
        f"{measured['seconds']:g} s each, {measured['stolen_percent']:.1f} % stolen"
    ]
    for kind, row in measured["image_to_plan_ms"].items():
        lines.append(
            f"  {kind:10}  p50 {row['p50']:7.2f}  p99 {row['p99']:7.2f}  ({row['plans']} plans)"
        )
    for kind, rows in measured["ratio"].items():
        for name, row in rows.items():
            line = f"  {kind}: {name} x {row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            if kind == PAGE:
                verdict = "holds" if row["ratio"] <= WANTED[name] else "does not hold"
                line += f"; at most x {WANTED[name]:.2f} is wanted: {verdict}"
            lines.append(line)
    for kind, row in measured["cores"].items():
        used = ", ".join(f"{process} {cores:.3f}" for process, cores in sorted(row.items()))
        lines.append(f"  cores, {kind}: {used}")
    return "\n".join(lines)


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for row in rows for name in row})
    return {name: float(np.mean([row.get(name, 0.0) for row in rows])) for name in names}


def _take(listener: Listener, seconds: float) -> list[float]:
    """The times that come within so many seconds."""
    times, deadline = [], time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0.0:
        entry = listener.next(left)
        if entry is not None and "image_to_plan_ms" in entry:
            times.append(float(entry["image_to_plan_ms"]))
    return times


@contextlib.contextmanager
def _launched(
    task: str, environment: dict[str, str], folder: Path
) -> Iterator[tuple[str, dict[str, int]]]:
    """Address of the page, and process numbers of the nodes."""
    log = folder / "launch.log"
    with log.open("w") as output:
        launch = subprocess.Popen(
            ["ros2", "launch", "wm_mpc", "sim.launch.py", f"task:={task}", "viewer:=true"],
            stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + _START_UP
            address = None
            while address is None:
                said = log.read_text(encoding="utf-8", errors="replace")
                address = re.search(r"viewer: open (http://\S+)", said)
                if launch.poll() is not None or time.monotonic() > deadline:
                    last = " / ".join(said.splitlines()[-4:])
                    raise LaunchError(f"the viewer did not start; last words: {last}")
                time.sleep(0.2)
            found = re.findall(r"\[(\w+)-\d+\]: process started with pid \[(\d+)\]", said)
            yield address[1], {name: int(pid) for name, pid in found}
        finally:
            end(launch)


@contextlib.contextmanager
def _nobody() -> Iterator[None]:
    yield None


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `python -m wm_mpc.experiments.speed.viewer_cost`; returns the exit code."""
    parser = Parser(
        prog="python -m wm_mpc.experiments.speed.viewer_cost",
        description="Measure what an open browser costs the controller on the same computer: "
        "image to plan with and without one, in turns in one run, and the processor time of each "
        "process. Run nothing else meanwhile.",
    )
    add = parser.add_argument
    add("--task", default="push_t", help="task of the simulation; default: push_t")
    add("--seconds", type=positive, default=20, help="length of each stretch, s; default: 20")
    add("--rounds", type=positive, default=4, help="stretches of each kind; default: 4")
    add("--scene", action="store_true", help="measure the page's 3-D scene, too")
    add("--browser", help=f"its program; default: the first of {', '.join(BROWSERS)}")
    add(
        "--flag",
        action="append",
        default=[],
        metavar="ARGUMENT",
        help="argument of the browser, such as --flag=--disable-gpu; you may repeat this option",
    )
    add("--out", type=Path, metavar="FILE", help="also save the result, as JSON")
    options = parser.parse_args(args)
    browser = options.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.error(f"no browser is installed; accepted: {', '.join(BROWSERS)}, or --browser")
    try:
        measured = measure(
            options.task, browser, options.flag, options.seconds, options.rounds,
            scene=options.scene,
        )  # fmt: skip
    except LaunchError as error:
        print(f"viewer_cost: {error}", file=sys.stderr)
        return 1
    print(report(measured))
    if options.out is not None:
        write(options.out, json.dumps(measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
