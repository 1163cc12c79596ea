"""The node `learner` over the real middleware, with real trainings of tiny world models."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from wm_mpc.data.episodes import Dataset
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.ros import qos

from ..conftest import Observer, free_domain, mostly_slow
from .running import RunningNode

pytestmark = pytest.mark.ros
SECONDS = 60.0  # for what takes a few on an idle machine
TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: {updates}
dynamics_batch: 4
threads: 1
synthesis: []
architecture: {{keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}}
"""
ENDLESS = 1_000_000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three short episodes of the real simulator."""
    from wm_mpc.cli import collect

    path = tmp_path_factory.mktemp("episodes") / "wall"
    assert collect.main(["--dataset", str(path), "--episodes=3", "--steps=20", "--workers=1"]) == 0
    return path


@pytest.fixture
def settings(tmp_path):
    """Write a settings file with so many updates of the last phase; its path."""

    def write(updates):
        path = tmp_path / f"train_{updates}.yaml"
        path.write_text(TINY.format(updates=updates))
        return str(path)

    return write


class RunningLearner(RunningNode):
    """The node `learner` in this process, and what it says."""

    def __init__(self, observer, **parameters):
        from wm_mpc.nodes.learner.node import Learner

        self.progress = observer.listen(DiagnosticArray, "learner/progress", qos.STATUS)
        self.checkpoints = observer.listen(String, "learner/checkpoint", qos.LATCHED)
        super().__init__(observer, Learner, Learner.work, parameters)

    @property
    def status(self):
        return self.progress[-1].status[0] if self.progress else DiagnosticStatus()

    @property
    def values(self):
        return {entry.key: entry.value for entry in self.status.values}

    def call(self, name):
        """The response of learner/start or learner/stop, however long it takes."""
        client = self.observer.node.create_client(Trigger, f"learner/{name}")
        assert client.wait_for_service(10.0)
        future = client.call_async(Trigger.Request())
        self.wait_until(future.done, f"the response of {name}")
        return future.result()

    def wait_until(self, condition, what, timeout=SECONDS):
        return super().wait_until(condition, f"{what}; now: {self.status.message}", timeout)

    def wait_for_state(self, state):
        self.wait_until(lambda: self.values.get("state") == state, f"state {state!r}")

    def wait_for_update(self, stage, number):
        """Until training is past that update of the stage; returns where it is."""

        def reached():
            values = self.values
            return values.get("stage") == stage and int(values["update"]) >= number

        self.wait_until(reached, f"update {number} of {stage}")
        return int(self.values["update"])

    def training_pid(self):
        return self.node._process.pid

    def let_training(self, run):
        """The process of the training runs on, or stands still: nobody looks at it."""
        with contextlib.suppress(AttributeError, ProcessLookupError):
            os.kill(self.training_pid(), signal.SIGCONT if run else signal.SIGSTOP)


@pytest.fixture
def start_learner(observer, dataset, tmp_path):
    """Start the node for the tiny dataset, with these parameters besides."""
    with contextlib.ExitStack() as stack:

        def start(**parameters):
            values = {"dataset": str(dataset), "run": str(tmp_path / "run"), "workers": "1"}
            learner = RunningLearner(observer, **(values | {"nice": 0} | parameters))
            return stack.enter_context(contextlib.closing(learner))

        yield start


@pytest.fixture(scope="module")
def ongoing(dataset, tmp_path_factory):
    """A learner with an endless training, for all tests after which it trains again."""
    folder = tmp_path_factory.mktemp("ongoing")
    config = folder / "train.yaml"
    config.write_text(TINY.format(updates=ENDLESS))
    with contextlib.ExitStack() as stack:
        domain = stack.enter_context(contextlib.contextmanager(free_domain)())
        observer = stack.enter_context(contextlib.closing(Observer(domain)))
        values = {"dataset": str(dataset), "run": str(folder / "run"), "workers": "1", "nice": 0}
        learner = RunningLearner(observer, **values, config=str(config))
        stack.enter_context(contextlib.closing(learner))
        yield learner
        learner.let_training(run=True)


@pytest.fixture
def training(ongoing):
    """A learner in the middle of an endless training, which stands still between tests."""
    ongoing.let_training(run=True)
    if ongoing.values.get("state") in ("failed", "stopped"):
        assert ongoing.call("start").success
    ongoing.wait_for_update("dynamics", 1)
    yield ongoing
    ongoing.let_training(run=False)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ------------------------------------------------------------------------------------ training


@dataclasses.dataclass
class Finished:
    """A learner whose training has come to its end, and what it had said until then."""

    learner: RunningLearner
    path: Path
    statuses: list[DiagnosticStatus]


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """One training for all tests that only look at what it leaves."""
    folder = tmp_path_factory.mktemp("finished")
    config = folder / "train.yaml"
    config.write_text(TINY.format(updates=40))
    with contextlib.ExitStack() as stack:
        domain = stack.enter_context(contextlib.contextmanager(free_domain)())
        observer = stack.enter_context(contextlib.closing(Observer(domain)))
        values = {"dataset": str(dataset), "run": str(folder / "run"), "workers": "1", "nice": 0}
        learner = RunningLearner(observer, **values, config=str(config), seed=7)
        stack.enter_context(contextlib.closing(learner))
        learner.wait_for_state("finished")
        learner.wait_until(lambda: learner.checkpoints, "the announcement")
        statuses = [message.status[0] for message in learner.progress]
        yield Finished(learner, folder / "run" / "wall.safetensors", statuses)


def test_training_reports_progress_and_announces_its_checkpoint(finished):
    assert {message.data for message in finished.learner.checkpoints} == {str(finished.path)}
    _, metadata = load_checkpoint(finished.path)
    assert metadata["provenance"]["seed"] == 7
    assert "--seed=7" in metadata["provenance"]["command"]

    assert {status.level for status in finished.statuses} == {DiagnosticStatus.OK}
    assert {status.name for status in finished.statuses} == {"learner: training"}
    seen = [{entry.key: entry.value for entry in status.values} for status in finished.statuses]
    assert {"representation", "dynamics", "report"} <= {values.get("stage") for values in seen}
    last = [values for values in seen if values.get("stage") == "dynamics"][-1]
    assert last["update"] == last["total"] == "40"
    assert float(last["loss one_step"]) >= 0.0
    assert float(last["seconds"]) > 0.0
    assert "stage seconds left" in last
    assert seen[-1]["checkpoint"] == str(finished.path)


def test_who_comes_later_gets_the_newest_checkpoint(finished):
    learner = finished.learner
    late = learner.observer.listen(String, "learner/checkpoint", qos.LATCHED)
    learner.wait_until(lambda: late, "the announcement again")
    assert late[-1] == learner.checkpoints[-1]


def test_run_of_other_settings_is_refused(finished, settings):
    node = finished.learner.node
    before = node.get_parameter("config")
    node.set_parameters([Parameter("config", value=settings(2))])
    response = finished.learner.call("start")
    node.set_parameters([before])
    assert not response.success
    assert "holds a run with other settings" in response.message


def test_it_ends_with_a_failure_when_told_so(start_learner):
    learner = start_learner(dataset="nowhere", exit_when_done=True)
    learner.wait_until(learner.has_ended, "the end")
    assert learner.outcome is False
    assert learner.status.level == DiagnosticStatus.ERROR


# ------------------------------------------------------------------------------ start and stop


def test_stop_saves_and_start_goes_on_from_there(training):
    training.wait_for_update("dynamics", 50)
    response = training.call("stop")
    assert response.success, response.message
    training.wait_for_state("stopped")
    stopped_at = int(training.values["update"])
    run = Path(training.node.get_parameter("run").value)
    assert (run / "state.pt").exists()
    seen = len(training.progress)
    response = training.call("start")
    assert response.success, response.message
    training.wait_for_update("dynamics", stopped_at + 20)
    updates = [
        int(value.value)
        for message in training.progress[seen:]
        for value in message.status[0].values
        if value.key == "update" and "dynamics" in message.status[0].message
    ]
    assert min(updates) >= stopped_at


def test_services_answer_at_once_while_it_trains(training):
    """The median, because this machine may be busy with other tests."""
    client = training.observer.node.create_client(Trigger, "learner/start")
    assert client.wait_for_service(10.0)
    seconds = []
    for _ in range(20):
        answered = threading.Event()
        started = time.perf_counter()
        future = client.call_async(Trigger.Request())
        future.add_done_callback(lambda _, answered=answered: answered.set())
        assert answered.wait(10.0)
        seconds.append(time.perf_counter() - started)
        assert not future.result().success
        assert "already training" in future.result().message
    print(
        f"answered in {statistics.median(seconds) * 1e3:.1f} ms, at most {max(seconds) * 1e3:.1f}"
    )
    assert statistics.median(seconds) < 0.1


@pytest.mark.slow
def test_other_callbacks_go_on_while_a_start_is_pending(start_learner, settings):
    """A start is answered when training has begun, which takes seconds."""
    learner = start_learner(config=settings(ENDLESS), autostart=False)
    learner.wait_until(lambda: learner.progress, "progress")
    client = learner.observer.node.create_client(Trigger, "learner/start")
    assert client.wait_for_service(10.0)
    pending = client.call_async(Trigger.Request())
    learner.wait_for_state("starting")
    assert learner.call("stop").success
    assert not pending.done()
    learner.wait_until(pending.done, "the response")
    learner.wait_for_state("stopped")


def test_without_autostart_it_waits(start_learner):
    learner = start_learner(autostart=False)
    learner.wait_until(lambda: learner.progress, "progress")
    assert learner.values == {"code": "learner.idle", "state": "idle", "checkpoint": "none"}
    response = learner.call("stop")
    assert not response.success
    assert "nothing to stop" in response.message


# ---------------------------------------------------------------------------- what goes wrong

MISTAKES = [
    ({"dataset": "nowhere"}, "no dataset at nowhere"),
    ({"config": "nothing.yaml"}, "nothing.yaml"),
    ({"synthesis": "magic"}, "magic"),
    ({"workers": "many"}, "many"),
]


@pytest.mark.parametrize(("parameters", "reason"), mostly_slow(MISTAKES))
def test_mistake_is_named_and_the_node_lives_on(start_learner, settings, parameters, reason):
    learner = start_learner(**({"config": settings(1), "autostart": False} | parameters))
    response = learner.call("start")
    assert not response.success
    assert reason in response.message
    learner.wait_for_state("failed")
    assert learner.status.level == DiagnosticStatus.ERROR
    assert reason in learner.status.message
    assert "nothing to stop" in learner.call("stop").message


@pytest.mark.slow
def test_mended_mistake_lets_training_start(start_learner, settings, tmp_path):
    path = Path(settings(ENDLESS))
    good = path.read_text()
    path.write_text("speed: 3")
    learner = start_learner(config=str(path))
    learner.wait_for_state("failed")
    assert "unknown setting speed" in learner.status.message
    path.write_text(good)
    assert learner.call("start").success
    learner.wait_for_update("dynamics", 1)
    assert learner.values["state"] == "training"
    assert learner.status.level == DiagnosticStatus.OK


def test_training_that_dies_is_a_failure_and_start_goes_on(training):
    os.kill(training.training_pid(), signal.SIGKILL)
    training.wait_for_state("failed")
    assert training.status.level == DiagnosticStatus.ERROR
    assert "SIGKILL" in training.status.message
    assert training.call("start").success


def test_system_without_room_for_a_process_is_a_failure_too(start_learner, monkeypatch):
    def no_process(*_, **__):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    learner = start_learner(autostart=False)
    response = learner.call("start")
    assert not response.success
    assert "temporarily unavailable" in response.message
    assert "nothing to stop" in learner.call("stop").message


def test_end_of_the_node_is_quick_and_leaves_nothing(training):
    """Last of those with this training: it ends it."""
    pid = training.training_pid()
    started = time.monotonic()
    training.close()
    assert time.monotonic() - started < 3.0
    assert not is_alive(pid)


@pytest.mark.slow
def test_kill_of_the_node_leaves_no_training(observer, dataset, settings, tmp_path):
    environment = os.environ | {
        "ROS_DOMAIN_ID": str(observer.domain_id),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    progress = observer.listen(DiagnosticArray, "learner/progress", qos.STATUS)
    parameters = {"dataset": dataset, "run": tmp_path / "run", "config": settings(ENDLESS)}
    options = [word for name in parameters for word in ("-p", f"{name}:={parameters[name]}")]
    node = subprocess.Popen(
        [sys.executable, "-m", "wm_mpc.nodes.learner", "--ros-args", *options], env=environment
    )
    try:
        observer.wait_until(
            lambda: progress and "dynamics" in progress[-1].status[0].message, "training", SECONDS
        )
        children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
        pids = [int(pid) for pid in children]
        assert pids
        node.kill()
        node.wait()
        observer.wait_until(lambda: not any(map(is_alive, pids)), "the end of training", 15.0)
    finally:
        node.kill()
        node.wait()


@pytest.mark.slow
def test_live_learner_learns_from_the_running_robot_and_the_controller_takes_it_up(
    observer, tmp_path
):
    """Three processes: a simulated robot, its controller, and the learner that watches both."""
    said = observer.listen(String, "learner/checkpoint", qos.LATCHED)
    progress = observer.listen(DiagnosticArray, "learner/progress", qos.STATUS)
    environment = os.environ | {"ROS_DOMAIN_ID": str(observer.domain_id)}
    time_is_simulated = "use_sim_time:=true"
    nodes = {
        "sim": ["task:=wall", "real_time_factor:=5.0"],
        "mpc": ["checkpoint:=wall", "auto_reload:=true", "planner.iterations:=2",
                time_is_simulated],
        "learner": ["mode:=live", "task:=wall", f"run:={tmp_path}", "live.every:=60",
                    "live.updates:=10", time_is_simulated],
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        for name, parameters in nodes.items():
            given = [part for parameter in parameters for part in ("-p", parameter)]
            command = [sys.executable, "-m", f"wm_mpc.nodes.{name}", "--ros-args", *given]
            process = stack.enter_context(subprocess.Popen(command, env=environment))
            stack.callback(process.terminate)  # and wait, so that none is heard in the next test

        def told(key):
            values = progress[-1].status[0].values if progress else []
            return next((entry.value for entry in values if entry.key == key), "")

        observer.wait_until(lambda: said, "a checkpoint that passed the check", 120.0)
        path = said[0].data
        model, metadata = load_checkpoint(path)
        assert model.spec.task == "wall"
        live = metadata["provenance"]["live"]
        assert live["held-out error after"] <= 1.02 * live["held-out error before"]
        assert len(live["parent"]) == 64
        assert len(Dataset(tmp_path / "live")) >= 5
        assert int(told("live rounds")) >= 1


@pytest.mark.slow
def test_live_learner_names_a_checkpoint_that_is_missing(observer, tmp_path):
    command = [sys.executable, "-m", "wm_mpc.nodes.learner", "--ros-args", "-p", "mode:=live"]
    command += ["-p", "checkpoint:=nothing", "-p", f"run:={tmp_path}"]
    environment = os.environ | {"ROS_DOMAIN_ID": str(observer.domain_id)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60.0)
    assert result.returncode == 1
    assert "no checkpoint 'nothing'" in result.stderr
