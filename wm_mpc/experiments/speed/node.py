"""Section `node`: from the image to the published plan in the real node `mpc`, stage by stage.

The node measures itself and reports in `diagnostics`. Here it runs as the launch file starts it,
in a separate process and domain: with the real simulation, and with a camera of two resolutions.
This module uses only command lines: the node `episode_log` listens in its own process.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.experiments.common.settings import task_parameter_file
from wm_mpc.experiments.speed.fast_dds import profiles_variable
from wm_mpc.experiments.speed.measuring import StolenTime
from wm_mpc.experiments.speed.workbench import Workbench
from wm_mpc.experiments.success.through_ros import (
    Domain,
    LaunchError,
    Listener,
    end,
    ends_on_sigterm,
    free_domain,
    ros_environment,
)
from wm_mpc.resources import share_directory

# Height, width, and whether the middleware's shared memory has room for several such images.
CAMERAS = ((96, 96, False), (480, 640, False), (480, 640, True))
LARGE_IMAGES = "fastdds_large_images.xml"
WITH_ROOM = ", large shared memory"
_START_UP = 60.0  # s to wait for the first plan
_WINDOW = 500  # number of plans in the node's statistics


def measure(bench: Workbench, domain: int | None = None) -> dict[str, Any]:
    """Measure one row for each task with its simulation, and for each resolution.

    Args:
        bench: The workbench.
        domain: ROS domain; None: a free one.

    Raises:
        LaunchError: The nodes could not be run.
    """
    if shutil.which("ros2") is None:
        raise LaunchError("there is no command ros2: source your ROS 2, or tools/env.bash")
    seconds = float(bench.quick_share(36)) if bench.options.quick else 90.0
    rows = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        free_domain(domain) as own,
        ends_on_sigterm(),
    ):
        folder = Path(temporary)
        environment = ros_environment(own)
        for task in bench.tasks:
            row = _heard(own, [_launch(bench, task)], environment, folder, seconds)
            rows.append({"task": task, "beside": "simulation", **row})
        recording = folder / "recording.npz"
        task = bench.reference
        _record(bench, task, recording)
        for height, width, has_room in CAMERAS:
            profile = str(share_directory() / "config" / LARGE_IMAGES)
            room = {profiles_variable(): profile} if has_room else {}
            nodes = [_mpc(bench, task), _camera(bench, task, recording, height, width)]
            row = _heard(own, nodes, environment | room, folder, seconds)
            beside = f"camera {width}x{height}{WITH_ROOM if has_room else ''}"
            rows.append({"task": task, "beside": beside, **row})
    return {"rows": rows, "remembered_plans": _WINDOW}


def _launch(bench: Workbench, task: str) -> list[str]:
    """The launch command that a user would type."""
    return [
        "ros2", "launch", "wm_mpc", "sim.launch.py", f"task:={task}",
        f"model:={bench.options.checkpoints[task].path.resolve()}",
        f"seed:={bench.options.seed}",
    ]  # fmt: skip


def _mpc(bench: Workbench, task: str) -> list[str]:
    """The command with which `sim.launch.py` starts the node."""
    file = task_parameter_file(task)
    return [
        sys.executable, "-m", "wm_mpc.nodes.mpc", "--ros-args",
        *(["--params-file", str(file)] if file else []),
        *_parameters(checkpoint=bench.options.checkpoints[task].path.resolve()),
    ]  # fmt: skip


def _camera(bench: Workbench, task: str, recording: Path, height: int, width: int) -> list[str]:
    return [
        sys.executable, "-m", "wm_mpc.nodes.tools.camera_player", "--ros-args",
        *_parameters(
            recording=recording, checkpoint=bench.options.checkpoints[task].path.resolve(),
            height=height, width=width, rate=1.0 / bench.model(task).spec.control_period,
        ),
    ]  # fmt: skip


def _parameters(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]


def _record(bench: Workbench, task: str, path: Path) -> None:
    cases = bench.cases(task, 4)
    np.savez(
        path,
        images=np.stack([case.image for case in cases]),
        states=np.stack([case.state for case in cases]),
        goal_image=cases[0].goal_image,
        goal_state=cases[0].goal_state,
    )


def _heard(
    domain: Domain,
    commands: Sequence[Sequence[str]],
    environment: dict[str, str],
    folder: Path,
    seconds: float,
) -> dict[str, Any]:
    """Run nodes for some time after the first plan and return the last diagnostics of `mpc`.
    Raises LaunchError if there are none, or if a process ends."""
    last: dict[str, Any] | None = None
    stolen = StolenTime()
    log = folder / "nodes.log"
    with Listener(environment) as listener, log.open("w") as output:
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(_running(command, environment, domain, output))
                for command in commands
            ]
            deadline, has_ended = time.monotonic() + _START_UP, False
            while time.monotonic() < deadline and not has_ended:
                entry = listener.next(0.5)
                if entry is not None and entry.get("stage_ms"):
                    if last is None:
                        stolen, deadline = StolenTime(), time.monotonic() + seconds
                    last = entry
                has_ended = any(process.poll() is not None for process in processes)
        if last is None or has_ended:
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-4:]
            raise LaunchError(f"the nodes made no plans to measure; last words: {' / '.join(said)}")
    return {
        "plans": last["plans"],
        "holds": last["holds"],
        "overruns": last["overruns"],
        "stolen_percent": stolen.percent(),
        "stage_ms": {
            name: {"p50": p50, "p99": p99} for name, (p50, p99) in last["stage_ms"].items()
        },
    }


@contextlib.contextmanager
def _running(
    command: Sequence[str], environment: dict[str, str], domain: Domain, output: Any
) -> Iterator[subprocess.Popen[Any]]:
    process = subprocess.Popen(
        command, stdout=output, stderr=subprocess.STDOUT, env=environment,
        # If this process is killed, the domain stays reserved until the nodes end.
        pass_fds=domain.locks,
    )  # fmt: skip
    try:
        yield process
    finally:
        end(process)
