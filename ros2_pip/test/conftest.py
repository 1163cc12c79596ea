"""Fixtures of the ros2_pip tests: the ``ros2`` command, a package to launch, a live node."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src"
ROS2 = [sys.executable, "-c", "from ros2_pip.cli import run; run()"]
PATIENCE = 20.0  # seconds a condition may take to become true on a busy machine
PACKAGE = "demo_pkg"


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "live: with processes or nodes in real time, one test at a time",
        "flaky: gets a second chance, because Fast DDS now and then loses a service for good",
    ):
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: all of them run processes in real time."""
    has_reruns = config.pluginmanager.hasplugin("rerunfailures")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            if has_reruns:
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def _only_where_needed() -> None:
    """Skip all of these tests where the genuine launch is installed, or no ROS 2 at all."""
    pytest.importorskip("rclpy")
    # In a process of its own: in this one `ros2_pip` may be the folder above.
    done = subprocess.run(
        [sys.executable, "-m", "ros2_pip.available"],
        env={**os.environ, "PYTHONPATH": f"{SOURCE}:{os.environ.get('PYTHONPATH', '')}"},
        cwd=SOURCE,
        capture_output=True,
        text=True,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("launch: /")]
    if found:
        pytest.skip(f"the genuine launch is installed, in {found[0].removeprefix('launch: ')}")


@pytest.fixture(scope="session")
def ros_domain() -> Iterator[int]:
    """A ROS domain that no other test run uses at present."""
    for domain in range(100, 140):
        path = Path(tempfile.gettempdir()) / f"ros2_pip_test_domain_{domain}.lock"
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield domain
            return
    pytest.fail("all ROS domains of these tests are in use")


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation prefix with one package that has a node and two other executables."""
    root = tmp_path_factory.mktemp("prefix")
    index = root / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / PACKAGE).touch()
    (root / "share" / PACKAGE / "launch").mkdir(parents=True)
    lib = root / "lib" / PACKAGE
    lib.mkdir(parents=True)
    scripts = {
        "live": (HERE / "live_node.py").read_text().partition("\n")[2],
        "show_args": (HERE / "show_args.py").read_text().partition("\n")[2],
    }
    for name, text in scripts.items():
        path = lib / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    (lib / "exits").write_text("#!/bin/sh\nexit $1\n")
    (lib / "exits").chmod(0o755)
    return root


def _profiles_variable() -> str:
    """Where Fast DDS looks for profiles: its version 3 warns of the name that version 2 knows."""
    from ament_index_python.packages import get_package_prefix

    libraries = Path(get_package_prefix("rmw_fastrtps_shared_cpp"), "lib")
    version = "DDS" if any(libraries.glob("libfastdds.so*")) else "RTPS"
    return f"FAST{version}_DEFAULT_PROFILES_FILE"


@pytest.fixture(scope="session")
def environment(
    prefix: Path, ros_domain: int, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of everything the tests start."""
    return {
        **os.environ,
        "AMENT_PREFIX_PATH": str(prefix),
        _profiles_variable(): str(HERE / "announce_often.xml"),
        "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(ros_domain),
        "ROS_LOG_DIR": str(tmp_path_factory.mktemp("log")),
    }


class Running:
    """A process whose output can be waited for; leaves nothing behind."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.output += line
                self._changed.notify_all()

    def wait_for(self, text: str, count: int = 1) -> str:
        """Wait until the output contains ``text``; return the output."""
        with self._changed:
            found = self._changed.wait_for(lambda: self.output.count(text) >= count, PATIENCE)
        assert found, f"no '{text}' in:\n{self.output}"
        return self.output

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self.process.send_signal(number)

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait for the end of the process and of its output; return the exit code."""
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def stop(self) -> None:
        """End whatever is left, the output it may still hold open included."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self._reader.join(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., Running]]:
    """Start ``ros2`` with some arguments, and stop it at the end of the test."""
    started: list[Running] = []

    def run(*arguments: str, **extra: str) -> Running:
        started.append(Running([*ROS2, *arguments], {**environment, **extra}))
        return started[-1]

    yield run
    for running in started:
        running.stop()


class Forked:
    """Runs ``ros2`` commands in forks of a process that has imported all of it (forking.py)."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "forking.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._changed = threading.Condition()
        self._count = 0
        self._codes: dict[int, int] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            number, code = json.loads(line)
            with self._changed:
                self._codes[number] = code
                self._changed.notify_all()

    def run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess:
        """Run a command to its end."""
        assert self._server.stdin is not None
        with self._changed:
            self._count += 1
            number = self._count
            paths = [self._folder / f"{number}.{name}" for name in ("out", "err")]
            for path in paths:
                path.touch()
            print(json.dumps([number, arguments, *map(str, paths)]), file=self._server.stdin)
            ended = self._changed.wait_for(lambda: number in self._codes, 60.0)
        said = [path.read_text() for path in paths]
        assert ended, f"ros2 {shlex.join(arguments)} has not ended; it said: {said}"
        return subprocess.CompletedProcess(list(arguments), self._codes[number], *said)

    def close(self) -> None:
        """End the process."""
        self._server.communicate(timeout=PATIENCE)


@pytest.fixture(scope="session")
def forked(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A process that forks for each command; it starts when the first command comes."""
    started: list[Forked] = []
    folder = tmp_path_factory.mktemp("said")
    lock = threading.Lock()

    def run(arguments: tuple[str, ...]) -> subprocess.CompletedProcess:
        with lock:
            if not started:
                started.append(Forked(environment, folder))
        return started[0].run(arguments)

    yield run
    for each in started:
        each.close()


@pytest.fixture(scope="session")
def ros2(environment: dict[str, str], forked: Any) -> Callable[..., subprocess.CompletedProcess]:
    """Run ``ros2`` to its end; the result has returncode, stdout and stderr.

    With an environment of its own, it is a new process, as for a person (and in `start`).
    """

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess:
        if not extra:
            return forked(arguments)
        return subprocess.run(
            [*ROS2, *arguments],
            env={**environment, **extra},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    return run


@pytest.fixture(scope="session")
def ros2_each(ros2: Callable[..., subprocess.CompletedProcess]) -> Callable[..., list]:
    """Run several ``ros2`` commands, each given as one text or a list, at the same time."""

    def run(*commands: str | list[str]) -> list[subprocess.CompletedProcess]:
        arguments = [shlex.split(each) if isinstance(each, str) else each for each in commands]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda each: ros2(*each), arguments))

    return run


@pytest.fixture
def launch_file(tmp_path: Path) -> Callable[..., str]:
    """Write a launch file that returns the given entities; return its path."""

    def write(entities: str, *, before: str = "", name: str = "test.launch.py") -> str:
        path = tmp_path / name
        path.write_text(
            "from launch import *\n"
            "from launch.actions import *\n"
            "from launch.conditions import *\n"
            "from launch.event_handlers import *\n"
            "from launch.launch_description_sources import *\n"
            "from launch.substitutions import *\n"
            f"{textwrap.dedent(before)}\n"
            "def generate_launch_description():\n"
            f"    return LaunchDescription([{textwrap.dedent(entities)}])\n"
        )
        return str(path)

    return write


@pytest.fixture(scope="session")
def live(environment: dict[str, str], prefix: Path) -> Iterator[None]:
    """The node of live_node.py, running."""
    node = Running([str(prefix / "lib" / PACKAGE / "live")], environment)
    node.wait_for("live and well")
    yield
    node.send(signal.SIGINT)
    node.stop()


def is_alive(pid: int) -> bool:
    """Return whether a process runs (one that waits to be reaped does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="session")
def wait_until_gone() -> Callable[[int], None]:
    """Wait until a process has ended."""

    def wait(pid: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while is_alive(pid):
            assert time.monotonic() < deadline, f"process {pid} still runs"
            time.sleep(0.02)

    return wait
