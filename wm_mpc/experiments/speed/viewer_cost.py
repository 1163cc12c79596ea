"""What an open browser costs: image to plan with the viewer's page open and without, in one run.

One launch of simulation, controller and viewer runs all the time. A browser without a window opens
the page and closes it again, in turns with stretches that have none, so that whatever else happens
on the machine happens to both. `python -m wm_mpc.experiments.speed.viewer_cost --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
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

from wm_mpc.arguments import positive
from wm_mpc.atomic import write
from wm_mpc.experiments.speed.measuring import StolenTime
from wm_mpc.experiments.success.through_ros import (
    LaunchError,
    Listener,
    end,
    ends_on_sigterm,
    free_domain,
    ros_environment,
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WANTED = {"p50": 1.05, "p99": 1.10}  # with a browser, in terms of without
_SETTLE = 8.0  # s from the start of the browser, or its end, that do not count
_START_UP = 90.0  # s for the launch
_TICK = os.sysconf("SC_CLK_TCK")


def measure(
    task: str, browser: str, flags: Sequence[str], seconds: float, pairs: int
) -> dict[str, Any]:
    """Measure with a browser and without, in turns.

    Args:
        task: Of the simulation.
        browser: Program of the browser, of Chromium's family.
        flags: Further arguments of the browser.
        seconds: That each stretch counts, s.
        pairs: Number of stretches of each kind.

    Returns:
        Times (ms), their ratios, and the processor time of each process, in cores.

    Raises:
        LaunchError: Nodes or browser could not be run.
    """
    trips: dict[bool, list[float]] = {False: [], True: []}
    shares: dict[bool, list[dict[str, float]]] = {False: [], True: []}
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
        for number in range(pairs):
            # Each kind comes first as often as second.
            for is_watched in (False, True) if number % 2 == 0 else (True, False):
                with _opened(browser, flags, address) if is_watched else _nobody() as profile:
                    _take(listener, _SETTLE)
                    before, began = _spent(nodes, profile), time.monotonic()
                    trips[is_watched] += _take(listener, seconds)
                    took = time.monotonic() - began
                    after = _spent(nodes, profile)
                    shares[is_watched].append(
                        {name: (after[name] - before.get(name, 0.0)) / took for name in after}
                    )
    return {
        "task": task,
        "flags": list(flags),
        "stolen_percent": stolen.percent(),
        **summary(trips),
        "cores": {_word(key): _mean(rows) for key, rows in shares.items()},
    }


def summary(trips: Mapping[bool, Sequence[float]]) -> dict[str, Any]:
    """Compare the times with a browser to those without.

    Args:
        trips: Times (ms), by whether a browser was open.

    Returns:
        Percentiles of both, and the ratio of each percentile.

    Raises:
        LaunchError: One of them has no times.
    """
    for is_watched, times in trips.items():
        if not times:
            raise LaunchError(f"no plan came {_word(is_watched)} a browser")
    found = {
        _word(key): {
            "plans": len(times),
            "p50": float(np.percentile(times, 50)),
            "p99": float(np.percentile(times, 99)),
        }
        for key, times in trips.items()
    }
    ratios = {name: found["with"][name] / found["without"][name] for name in WANTED}
    return {"image_to_plan_ms": found, "ratio": ratios}


def report(measured: Mapping[str, Any]) -> str:
    """Write the result as text.

    Args:
        measured: What `measure` returned.
    """
    lines = [f"{measured['task']}: image to plan (ms), {measured['stolen_percent']:.1f} % stolen"]
    for name, row in measured["image_to_plan_ms"].items():
        lines.append(
            f"  {name:8} a browser  p50 {row['p50']:7.2f}  p99 {row['p99']:7.2f}"
            f"  ({row['plans']} plans)"
        )
    for name, ratio in measured["ratio"].items():
        verdict = "holds" if ratio <= WANTED[name] else "does not hold"
        lines.append(f"  {name} x {ratio:.3f}; at most x {WANTED[name]:.2f} is wanted: {verdict}")
    for name, row in measured["cores"].items():
        used = ", ".join(f"{process} {cores:.3f}" for process, cores in sorted(row.items()))
        lines.append(f"  cores {name} a browser: {used}")
    return "\n".join(lines)


def _word(is_watched: bool) -> str:
    return "with" if is_watched else "without"


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
def _opened(browser: str, flags: Sequence[str], address: str) -> Iterator[str]:
    """A browser that shows the page. Its profile's folder, which names all its processes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser, "--headless=new", "--remote-debugging-port=0", "--window-size=1280,800",
             f"--user-data-dir={profile}", "--no-first-run", "--disable-component-update",
             *(["--no-sandbox"] if os.geteuid() == 0 else []), *flags, address],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield profile
            if process.poll() is not None:
                raise LaunchError(f"{browser} ended with code {process.returncode}")
        finally:
            process.terminate()
            process.wait(15.0)


@contextlib.contextmanager
def _nobody() -> Iterator[None]:
    yield None


def _spent(nodes: Mapping[str, int], profile: str | None) -> dict[str, float]:
    """Processor time so far (s) of the nodes and of the browser's processes, by kind."""
    spent: dict[str, float] = {}
    for name, pid in nodes.items():
        spent[name] = _seconds(Path("/proc", str(pid)))
    if profile is None:
        return spent
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace")
        except OSError:
            continue  # it has just ended
        if f"--user-data-dir={profile}" in words:
            kind = re.search(r"--type=([\w-]+)", words)
            service = re.search(r"--utility-sub-type=(\w+)", words)
            name = f"browser {service[1] if service else kind[1] if kind else 'main'}"
            spent[name] = spent.get(name, 0.0) + _seconds(process)
    return spent


def _seconds(process: Path) -> float:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `python -m wm_mpc.experiments.speed.viewer_cost`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m wm_mpc.experiments.speed.viewer_cost",
        description="Measure what an open browser costs the controller on the same computer: "
        "image to plan with and without one, in turns in one run, and the processor time of each "
        "process. Run nothing else meanwhile.",
    )
    add = parser.add_argument
    add("--task", default="push_t", help="task of the simulation; default: push_t")
    add("--seconds", type=positive, default=20, help="length of each stretch, s; default: 20")
    add("--pairs", type=positive, default=4, help="stretches of each kind; default: 4")
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
        measured = measure(options.task, browser, options.flag, options.seconds, options.pairs)
    except LaunchError as error:
        print(f"viewer_cost: {error}", file=sys.stderr)
        return 1
    print(report(measured))
    if options.out is not None:
        write(options.out, json.dumps(measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
