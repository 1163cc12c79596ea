"""Nodes in processes of their own, and a node that watches them: what every rig is made of."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context

from wm_mpc.codes import Level
from wm_mpc.experiments.faults.services import Asker
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.ros import qos
from wm_mpc.ros.running import spinning
from wm_mpc.ros.status import mpc_statuses

_NOTHING = MpcStatus("mpc", Level.STALE, "", "it has said nothing yet")


class RigError(RuntimeError):
    """The nodes could not be brought to work."""


class Bench:
    """Processes, and a node of its own that listens. Use as a context manager.

    Args:
        domain: ROS domain of all of them.
        log: Folder for what the nodes say.

    Attributes:
        node: The bench's own node.
        statuses: Latest status of each controller, by the name of its node.
        asker: Calls services.
    """

    def __init__(self, domain: int, log: Path) -> None:
        self._log = log
        self.statuses: dict[str, MpcStatus] = {}
        self._environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._deaths: list[str] = []
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("rig", context=self._context)
        self.changed = threading.Condition()
        self._stack = contextlib.ExitStack()
        self.asker = Asker(self.node, self.wait_for)
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.STATUS
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in mpc_statuses(message):
            self.statuses[status.node] = status

    @property
    def status(self) -> MpcStatus:
        """The latest of the node `mpc`."""
        return self.statuses.get("mpc", _NOTHING)

    def says(self, *codes: str) -> bool:
        """Whether the node `mpc` says one of these codes, or warns of it."""
        status = self.status
        return status.code in codes or not status.warnings.isdisjoint(codes)

    def __enter__(self) -> Any:
        self._log.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(spinning(self.node))
        self.start()
        return self

    def start(self) -> None:
        """Start what the rig is made of."""

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.end(name)
        self._stack.close()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    # ----------------------------------------------------------------------------- processes

    def run_node(
        self,
        name: str,
        module: str,
        parameters: Sequence[str],
        names: Sequence[str] = (),
        file: Path | None = None,
    ) -> None:
        """Start a node.

        Args:
            name: Of the process.
            module: That is run.
            parameters: As `name:=value`.
            names: Remappings, as `from:=to`.
            file: With parameters.
        """
        command = [sys.executable, "-m", module, "--ros-args"]
        if file is not None:
            command += ["--params-file", str(file)]
        command += [part for parameter in parameters for part in ("-p", parameter)]
        command += [part for renamed in names for part in ("-r", renamed)]
        with open(self._log / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def kill(self, name: str) -> None:
        """At once, as a crash would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """As Ctrl-C does."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def crashed(self) -> list[str]:
        """What has ended by itself so far."""
        for name, process in list(self._processes.items()):
            if (code := process.poll()) is not None:
                self._deaths.append(f"{name} ended with code {code}")
                del self._processes[name]
        return self._deaths

    # ------------------------------------------------------------------------------- waiting

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of `condition()`, or its last one after so many seconds, or when a
        process ends by itself."""
        deadline, deaths = time.monotonic() + seconds, len(self.crashed())
        while not (value := condition()) and time.monotonic() < deadline:
            if len(self.crashed()) > deaths:
                break
            with self.changed:
                self.changed.wait(0.02)
        return value

    def pass_time(self, seconds: float) -> None:
        """Let the nodes go on for so long."""
        self.wait_for(lambda: False, seconds)
