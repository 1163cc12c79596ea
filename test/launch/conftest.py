"""The real launch files, started as a user starts them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest


class Launched:
    """A running `ros2 launch wm_mpc FILE`, or of a path; its output so far, and its processes."""

    def __init__(self, domain_id, file, *arguments):
        self.lines = []
        target = [file] if os.path.isabs(file) else ["wm_mpc", file]
        self.process = subprocess.Popen(
            ["ros2", "launch", *target, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain_id), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def output(self):
        return "".join(self.lines)

    def pid_of(self, node):
        """Process id of a node's newest process, from the launch's own words; None before."""
        found = re.findall(rf"\[{node}-\d+\]: process started with pid \[(\d+)\]", self.output)
        return int(found[-1]) if found else None

    def pids(self):
        """Of all nodes so far, and of the processes that those which run have started."""
        nodes = [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", self.output)]
        return nodes + [child for node in nodes for child in _children(node)]

    def wait(self, timeout=90.0):
        """The exit code; the time is for what takes ten seconds on an idle machine."""
        code = self.process.wait(timeout)
        self._reader.join(timeout=5.0)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in self.pids():
            if self.is_alive(pid):
                os.kill(pid, signal.SIGKILL)

    @staticmethod
    def is_alive(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False


def _children(pid):
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


@pytest.fixture
def launch_path(domain_id):
    """Starts a launch file by its path; what still runs is ended."""
    running = []

    def start(path, *arguments):
        running.append(Launched(domain_id, str(path), *arguments))
        return running[-1]

    yield start
    for launched in running:
        launched.close()


@pytest.fixture
def launch(domain_id, request):
    """Starts the module's `LAUNCH_FILE` with some arguments; what still runs is ended."""
    running = []

    def start(*arguments):
        running.append(Launched(domain_id, request.module.LAUNCH_FILE, *arguments))
        return running[-1]

    yield start
    for launched in running:
        launched.close()
