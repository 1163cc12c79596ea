"""Fixtures of several folders: for the middleware a domain of one's own and a node to look from;
for learning a small recording of the real simulator."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

# Before any participant exists: tests neither hear nor disturb other machines.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("RCUTILS_LOGGING_BUFFERED_STREAM", "0")
# What is imported and collected stays: searching it for garbage took a fifth of that time.
gc.disable()
# NumPy's library starts threads that wait busily for the first 0.1 s of every process.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_DOMAINS = range(20, 100)
# Tests of several live processes. Fast DDS now and then loses a service for good
# (ros2/rmw_fastrtps#792) and a busy machine stalls one for seconds: a second failure counts.
_LIVE = {"ros", "launch", "live"}
_LIVE_FOLDERS = {"launch", "nodes"}
# The files that take longest begin first, so that no process works alone at the end; those that
# compute between those that wait.
_LONGEST = (
    "sim/test_workers.py",
    "training/test_trainer.py",
    "nodes/test_mpc.py",
    "experiments/faults/test_faults.py",
    "nodes/test_learner.py",
    "sim/test_tasks.py",
    "nodes/viewer/test_browser.py",
    "training/test_odd_recordings.py",
    "nodes/test_goals.py",
    "training/test_command.py",
    "nodes/test_sim.py",
    "control/test_trust.py",
    "launch/test_train_launch.py",
    "experiments/success/test_run.py",
    "launch/test_robot_launch.py",
    "nodes/test_any_message.py",
    "launch/test_included.py",
    "model/test_checkpoint_defects.py",
    "model/test_checkpoint_fuzz.py",
    "launch/test_sim_launch.py",
    "sim/test_point_maze.py",
    "experiments/speed/test_report.py",
    "training/test_embedding.py",
    "nodes/test_record.py",
    "data/test_import_variations.py",
    "sim/test_push_t.py",
    "experiments/success/test_through_ros.py",
    "control/test_receding_horizon.py",
    "training/test_starts.py",
    "sim/test_two_room.py",
    "planning/test_levenberg_marquardt.py",
    "cli/test_cli.py",
    "native/test_library.py",
    "experiments/faults/test_fuzz.py",
    "sim/test_loose_things.py",
    # Short without the tests marked slow, long with them
    "training/test_processes.py",
    "docs/test_extending.py",
    "nodes/test_client.py",
    "sim/test_imports.py",
    "cli/test_ablate.py",
)
# One process runs all of these, so that Ray starts once.
_WITH_RAY = (
    "test/sim/test_workers.py",
    "test/sim/test_collection.py",
    "test/synthesis/test_random_rollouts.py",
    "test/synthesis/test_online.py",
)


_watching: list[subprocess.Popen[bytes]] = []


def end_with_session() -> None:
    """What this process starts from now on ends with it, even when it is killed."""
    script = pathlib.Path(__file__).with_name("session_end.py")
    os.environ["WM_MPC_TEST_SESSION"] = token = uuid.uuid4().hex
    # In a group of its own, it outlives what ends the session.
    command = [sys.executable, str(script), str(os.getpid()), token]
    _watching.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True))


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # workers of pytest-xdist belong to the session
        end_with_session()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    has_reruns = config.pluginmanager.hasplugin("rerunfailures")
    here = pathlib.Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue  # of ros2_pip, which marks its own
        marks = {mark.name for mark in item.iter_markers()}
        is_live = bool(marks & _LIVE) or item.path.parent.name in _LIVE_FOLDERS
        item.add_marker(pytest.mark.live if is_live else pytest.mark.computing)
        if "ray_workers" in _asked_for(item):
            item.add_marker(pytest.mark.slow)  # Ray takes 20 s to start
        if has_reruns and (is_live or "timing" in marks):
            item.add_marker(pytest.mark.flaky(reruns=1))
    ranks = {here / name: rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def _asked_for(item: pytest.Item) -> set[str]:
    """The fixtures of a test, and those that its parameters name."""
    names = set(getattr(item, "fixturenames", ()))
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return names | {value for value in values if isinstance(value, str)}


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, except that the files with Ray stay together."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "with Ray" if file in _WITH_RAY else file

    return Scheduling(config, log)


def mostly_slow(values: Iterable[Any], fast: int = 1) -> list[Any]:
    """For `parametrize`: all but the first values are marked slow."""
    first, rest = list(values)[:fast], list(values)[fast:]
    return [*first, *(pytest.param(*each, marks=pytest.mark.slow) for each in map(_as_tuple, rest))]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def free_domain() -> Iterator[int]:
    """A ROS domain that no other test uses at present, in this or in another process. It is free
    again at the end of the generator."""
    folder = pathlib.Path(tempfile.gettempdir())
    for domain in _DOMAINS:
        lock = (folder / f"wm_mpc_test_domain_{domain}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        with lock:
            yield domain
        return
    pytest.fail(f"all domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are in use by other tests")


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    """The first true value of `condition()`; fails the test when there is none in time (s)."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"timed out after {timeout} s waiting for {what}")
        time.sleep(0.005)
    return value


class Observer:
    """A node `observer` in a domain of its own; callbacks run in the background."""

    def __init__(self, domain_id: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.domain_id = domain_id
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("observer", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        """Until the end; also after a test has destroyed a publisher that was being waited for."""
        from rclpy.exceptions import InvalidHandle

        while True:
            try:
                return self._executor.spin()
            except InvalidHandle:
                continue

    wait_until = staticmethod(wait_until)

    def listen(self, message_type: type, topic: str, profile: Any) -> list[Any]:
        """All messages from now on, in a list that grows."""
        received: list[Any] = []
        self.node.create_subscription(message_type, topic, received.append, profile)
        return received

    def call(self, service_type: type, name: str, request: Any = None) -> Any:
        """The response of a service.

        Fast DDS now and then loses a service or its client from a participant's graph for good
        (ros2/rmw_fastrtps#792). What was not answered is then asked by another participant.
        """
        request = service_type.Request() if request is None else request  # type: ignore[attr-defined]
        response = self._ask(service_type, name, request, 4.0)
        if response is None:
            with contextlib.closing(Observer(self.domain_id)) as other:
                response = other._ask(service_type, name, request, 20.0)
        assert response is not None, f"no answer from {name}"
        return response

    def set(self, node: str, name: str, value: Any) -> Any:
        """Set a parameter of a node through its service, as `ros2 param set` does; the result."""
        from rcl_interfaces.msg import Parameter as Message
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        message = Message(name=name, value=Parameter(name, value=value).get_parameter_value())
        request = SetParameters.Request(parameters=[message])
        return self.call(SetParameters, f"{node}/set_parameters", request).results[0]

    def _ask(self, service_type: type, name: str, request: Any, timeout: float) -> Any:
        """The response; None when there is no such service or no answer within the timeout (s)."""
        client = self.node.create_client(service_type, name)
        if not client.wait_for_service(timeout_sec=timeout):
            return None
        future = client.call_async(request)
        deadline = time.monotonic() + timeout
        while not future.done() and time.monotonic() < deadline:
            time.sleep(0.005)
        return future.result() if future.done() else None

    def close(self) -> None:
        import rclpy

        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=2.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


domain_id = pytest.fixture(name="domain_id")(free_domain)


@pytest.fixture
def observer(domain_id: int) -> Iterator[Observer]:
    """An `Observer` in the test's own domain."""
    with contextlib.closing(Observer(domain_id)) as observer:
        yield observer


def _collected(folder: pathlib.Path, steps: int) -> Any:
    """Four episodes of the task `wall`."""
    import torch

    from wm_mpc.data.episodes import Dataset, Recording
    from wm_mpc.sim.collection import collect
    from wm_mpc.sim.tasks import make_task
    from wm_mpc.sim.workers import LocalWorkers

    torch.set_num_threads(1)
    task = make_task("wall")
    dataset = Dataset.create(folder, task.spec, {"pose_names": task.pose_names})
    collect(dataset, episodes=4, steps=steps, seed=0, workers=LocalWorkers(1))
    return Recording(dataset)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four short episodes of the task `wall`."""
    return _collected(tmp_path_factory.mktemp("recording"), 30)


@pytest.fixture(scope="session")
def brief_recording(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four episodes of `wall`, too short to compare slopes with the simulator at the end of a
    training: that takes longer than a tiny training itself, and most tests do not look at it."""
    return _collected(tmp_path_factory.mktemp("brief"), 20)


@pytest.fixture(scope="session")
def two_workers() -> Iterator[Any]:
    """Two processes of this machine."""
    from wm_mpc.sim.workers import LocalWorkers

    with LocalWorkers(2) as workers:
        yield workers


@pytest.fixture(scope="session")
def ray_workers() -> Iterator[Any]:
    """A Ray of this machine only."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    from wm_mpc.sim.workers import make_workers

    with make_workers("ray") as workers:
        yield workers


def _load(name: str) -> Any:
    """A module of the folder `data`, which makes recordings."""
    path = pathlib.Path(__file__).parent / "data" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bags() -> Any:
    """The module `data/bags.py`: recordings by the writers of `rosbags`."""
    return _load("bags")


@pytest.fixture(scope="session")
def mcaps() -> Any:
    """The module `data/mcaps.py`: MCAP files, record by record."""
    return _load("mcaps")
