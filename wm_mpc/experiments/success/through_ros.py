"""Run the same cells through the real nodes and topics: `ros2 launch wm_mpc sim.launch.py`, in
lockstep and in a separate domain.

The node `sim` draws the same episodes as the other loops, but the planner's random numbers
continue from one episode to the next. This module uses only command lines: the node `episode_log`
listens in its own process.
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
_SILENCE = 300.0  # s without an episode; then the launch has failed
_LAST_WORDS = 5.0  # s to wait for messages from before the end of the launch


class LaunchError(RuntimeError):
    """The nodes could not be run to the end; the text includes their last output."""


@dataclasses.dataclass(frozen=True)
class Domain:
    """A reserved ROS domain.

    Attributes:
        number: The domain id.
        locks: Open lock files that reserve it.
    """

    number: int
    locks: tuple[int, ...] = ()


@contextlib.contextmanager
def free_domain(wanted: int | None = None) -> Iterator[Domain]:
    """Reserve a ROS domain within the block.

    Args:
        wanted: The domain; None: one that no other evaluation on this machine uses.

    Raises:
        LaunchError: All domains are in use.
    """
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

    Args:
        benchmark: The benchmark.
        cell: The cell.
        episodes: Number of episodes.
        folder: Folder of the parameter file and, after a failure, of the launch's log.
        domain: The ROS domain.
        heard: Called with 1 after each episode.

    Raises:
        LaunchError: The nodes could not be run to the end.
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
            # If this process is killed, the domain stays reserved until the launch ends.
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
            while (entry := listener.next(_LAST_WORDS if not reported else 0.2)) is not None:
                reported = entry if "plan_ms" in entry else reported
        finally:
            code = end(launch)
    if len(records) < episodes or code != 0:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise LaunchError(
            f"{cell.label()}: received {len(records)} of {episodes} episodes over ROS, exit code "
            f"{code}; last words in {log}: {' / '.join(line.strip() for line in last) or 'none'}"
        )
    log.unlink()
    ordered = [records[number] for number in sorted(records)]
    if reported:
        told = ordered[0].extra | {"plan_ms": reported["plan_ms"]}
        ordered[0] = dataclasses.replace(ordered[0], extra=told, holds=reported["holds"])
    return ordered


def ros_environment(domain: Domain) -> dict[str, str]:
    """Return an environment in which processes see each other in a domain, and no other machine.

    Args:
        domain: The domain.
    """
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain.number), "PYTHONUNBUFFERED": "1"}
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return environment


@contextlib.contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C within the block, so that launched processes end as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def launch_command(benchmark: Benchmark, cell: Cell, episodes: int, parameters: Path) -> list[str]:
    """Return the launch command that a user would type.

    Args:
        benchmark: The benchmark.
        cell: The cell.
        episodes: Number of episodes.
        parameters: ROS parameter file.
    """
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
    """Return the task's ROS parameters with the settings of a cell.

    Args:
        benchmark: The benchmark.
        cell: The cell.
    """
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
    """A node that listens in a separate process, and the lines of JSON that it writes.

    Args:
        environment: Of the process.
        node: Which one of `wm_mpc.nodes.tools`.
    """

    def __init__(self, environment: dict[str, str], node: str = "episode_log") -> None:
        self._node = node
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"wm_mpc.nodes.tools.{node}"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def next(self, seconds: float) -> dict[str, Any] | None:
        """Return the next entry.

        Args:
            seconds: Time to wait.

        Returns:
            The entry; None if none arrives in time.
        """
        try:
            entry: dict[str, Any] = json.loads(self._lines.get(timeout=seconds))
        except queue.Empty:
            return None
        return entry

    def __enter__(self) -> Listener:
        if self.next(60.0) is None:
            self.__exit__()
            raise LaunchError(f"the node {self._node} did not start: is ROS 2 sourced?")
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)


def end(process: subprocess.Popen[Any]) -> int:
    """End a running process like Ctrl-C.

    Args:
        process: The process.

    Returns:
        Its exit code.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
