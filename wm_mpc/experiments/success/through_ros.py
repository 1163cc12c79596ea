"""The same cells through the real nodes and topics: `ros2 launch wm_mpc sim.launch.py`, as a user
starts it, in lockstep and in a domain of its own.

The episodes are those of the other loops (the node `sim` is told to draw from the same stream), but
the planner's random numbers run on from one episode to the next. This module knows the command
lines only: the node `episode_log` listens, in a process of its own.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import fcntl
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from wm_mpc.experiments.common.protocol import STREAM, Benchmark, Cell, Record
from wm_mpc.experiments.common.settings import task_parameter_file

_DOMAINS = range(2, 20)
_SILENCE = 300.0  # s without an episode after which a launch is given up
_LAST_WORDS = 5.0  # s to wait for what was said before the launch ended


class LaunchError(RuntimeError):
    """The nodes could not be run to the end; the text says what they said last."""


@dataclasses.dataclass(frozen=True)
class Domain:
    """A ROS domain id, and the open lock files that reserve it."""

    number: int
    locks: tuple[int, ...] = ()


@contextlib.contextmanager
def free_domain(wanted: int | None = None) -> Iterator[Domain]:
    """A ROS domain that no other evaluation on this machine uses at present, or the wanted one."""
    if wanted is not None:
        yield Domain(wanted)
        return
    for domain in _DOMAINS:
        path = Path(tempfile.gettempdir()) / f"wm_mpc_evaluate_domain_{domain}.lock"
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(path.open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield Domain(domain, (lock.fileno(),))
            return
    raise LaunchError(
        f"the domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are all in use by other evaluations; "
        "name another with --ros-domain"
    )


def run_cell(
    benchmark: Benchmark,
    cell: Cell,
    episodes: int,
    folder: Path,
    domain: Domain,
    heard: Callable[[int], None] = lambda _: None,
) -> list[Record]:
    """Launch simulation and controller for all episodes of a cell.

    folder: where the parameter file goes and, should it fail, the log of the launch stays. heard:
    called with 1 for each episode. Raises LaunchError.
    """
    if shutil.which("ros2") is None:
        raise LaunchError("there is no command ros2: source your ROS 2, or tools/env.bash")
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w+.-]+", "_", cell.label())
    parameters, log = folder / f"{name}.yaml", folder / f"{name}.log"
    parameters.write_text(yaml.safe_dump(node_parameters(benchmark, cell)), encoding="utf-8")
    environment = ros_environment(domain)
    records: dict[int, Record] = {}
    reported: dict[str, Any] = {}
    with log.open("w") as output, ends_on_sigterm(), Listener(environment) as listener:
        launch = subprocess.Popen(
            launch_command(benchmark, cell, episodes, parameters),
            stdout=output, stderr=subprocess.STDOUT, env=environment,
            # Should this process be killed, the domain stays taken until the launch has ended.
            pass_fds=domain.locks,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + _SILENCE
            while len(records) < episodes and time.monotonic() < deadline:
                ended = launch.poll() is not None
                entry = listener.next(_LAST_WORDS if ended else 0.2)
                if entry is None and ended:
                    break
                if entry is not None and "plan_ms" in entry:
                    reported = entry
                if entry is not None and "episode" in entry:
                    records[entry["episode"]] = _record(cell, entry)
                    heard(1)
                    deadline = time.monotonic() + _SILENCE
            with contextlib.suppress(subprocess.TimeoutExpired):
                launch.wait(_LAST_WORDS)  # it ends by itself after the last episode
        finally:
            code = end(launch)
    if len(records) < episodes or code != 0:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise LaunchError(
            f"{cell.label()}: heard of {len(records)} of {episodes} episodes over ROS, exit code "
            f"{code}; last words in {log}: {' / '.join(line.strip() for line in last) or 'none'}"
        )
    log.unlink()
    ordered = [records[number] for number in sorted(records)]
    if reported:
        told = ordered[0].extra | {"plan_ms": reported["plan_ms"]}
        ordered[0] = dataclasses.replace(ordered[0], extra=told, holds=reported["holds"])
    return ordered


def ros_environment(domain: Domain) -> dict[str, str]:
    """For processes that shall hear each other in a domain, and no other machine."""
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain.number), "PYTHONUNBUFFERED": "1"}
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return environment


@contextlib.contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Within the block, SIGTERM is as Ctrl-C: the launched processes are ended, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def launch_command(benchmark: Benchmark, cell: Cell, episodes: int, parameters: Path) -> list[str]:
    """What a user would type."""
    return [
        "ros2", "launch", "wm_mpc", "sim.launch.py",
        f"task:={benchmark.task}",
        f"planner:={benchmark.planner_of(cell).type}",
        f"episodes:={episodes}",
        f"seed:={benchmark.seed}",
        "lockstep:=true",
        f"model:={benchmark.checkpoint_of(cell).path.resolve()}",
        f"params_file:={parameters.resolve()}",
    ]  # fmt: skip


def node_parameters(benchmark: Benchmark, cell: Cell) -> dict[str, Any]:
    """The task's ROS parameter file, with this cell's settings in it."""
    path = task_parameter_file(benchmark.task)
    file = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    nodes: dict[str, Any] = copy.deepcopy(file)
    simulation = nodes.setdefault("/**/sim", {}).setdefault("ros__parameters", {})
    simulation |= {
        "episode_steps": benchmark.steps,
        "episode_stream": STREAM,
        "goals": benchmark.goals,
    }
    controller = nodes.setdefault("/**/mpc", {}).setdefault("ros__parameters", {})
    for name in [name for name in controller if name.startswith(("planner", "cost"))]:
        del controller[name]  # whichever way it is written
    planner = dataclasses.asdict(benchmark.planner_of(cell))
    del planner["type"]  # the launch argument
    controller |= {
        "planner": planner,
        "cost": dataclasses.asdict(benchmark.settings.objective),
        "threads": benchmark.threads,
    }
    return nodes


def _record(cell: Cell, entry: dict[str, Any]) -> Record:
    return Record(
        cell,
        entry["episode"] - 1,
        entry["success"],
        entry["steps"],
        entry["success"],
        entry["errors"],
        [],
        extra={"round_trip_ms": entry["round_trip_ms"]},
    )


class Listener:
    """The node `episode_log` in a process of its own, and the lines it writes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wm_mpc.nodes.tools.episode_log"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def next(self, seconds: float) -> dict[str, Any] | None:
        """The next entry, None when there is none in time."""
        try:
            entry: dict[str, Any] = json.loads(self._lines.get(timeout=seconds))
        except queue.Empty:
            return None
        return entry

    def __enter__(self) -> Listener:
        if self.next(60.0) is None:
            self.__exit__()
            raise LaunchError("the node episode_log did not start: is ROS 2 sourced?")
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)


def end(process: subprocess.Popen[Any]) -> int:
    """Ask a process that still runs to end, as Ctrl-C does; its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
