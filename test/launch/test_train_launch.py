"""Training as a user starts it: `ros2 launch wm_mpc train.launch.py ...`, and what a controller
makes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from std_msgs.msg import String

from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.ros import qos

from ..conftest import Observer, free_domain
from .conftest import Launched

LAUNCH_FILE = "train.launch.py"
pytestmark = [
    pytest.mark.launch,
    pytest.mark.ros,
    pytest.mark.timeout(400),  # two trainings; each may take `SECONDS` on a busy machine
    pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: run make setup"),
]
UPDATES = 700
SECONDS = 90.0  # for what takes ten on an idle machine
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


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three short episodes of the real simulator."""
    from wm_mpc.cli import collect

    path = tmp_path_factory.mktemp("episodes") / "wall"
    assert collect.main(["--dataset", str(path), "--episodes=3", "--steps=20", "--workers=1"]) == 0
    return path


def arguments_of(folder, dataset, updates):
    """Launch arguments of a training with so many updates of the last phase."""
    config = folder / "train.yaml"
    config.write_text(TINY.format(updates=updates))
    run = folder / "run"
    return f"dataset:={dataset}", f"run:={run}", f"config:={config}", "workers:=1", "nice:=0"


class Listener:
    """What the learner has published so far."""

    def __init__(self, observer):
        self.progress = observer.listen(DiagnosticArray, "learner/progress", qos.STATUS)
        self.checkpoints = observer.listen(String, "learner/checkpoint", qos.LATCHED)

    def updates(self, stage, first=0):
        """Numbers of the updates of a stage that were told of."""
        told = [{v.key: v.value for v in m.status[0].values} for m in self.progress[first:]]
        return [int(values["update"]) for values in told if values.get("stage") == stage]


@dataclasses.dataclass
class Trained:
    """A training that Ctrl-C has interrupted and the same command has finished, and what was said.

    seconds: from Ctrl-C to the end. left: processes that ran on then. done: updates until then.
    first: number of the first message of the second launch. used: checkpoint of its controller.
    """

    listener: Listener
    path: Path
    seconds: float
    left: list[int]
    done: int
    first: int
    launches: list[Launched]
    used: str = ""


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """Learner and controller together: announced, loaded beside, taken up."""
    folder = tmp_path_factory.mktemp("trained")
    command = *arguments_of(folder, dataset, UPDATES), "seed:=3"
    path = folder / "run" / "wall.safetensors"
    with contextlib.ExitStack() as stack:
        domain = stack.enter_context(contextlib.contextmanager(free_domain)())
        observer = stack.enter_context(contextlib.closing(Observer(domain)))
        listener = Listener(observer)
        diagnostics = observer.listen(DiagnosticArray, "diagnostics", qos.STATUS)

        def start():
            launched = Launched(domain, LAUNCH_FILE, *command)
            stack.callback(launched.close)
            return launched

        launched = start()
        observer.wait_until(
            lambda: any(update > 40 for update in listener.updates("dynamics")), "training", SECONDS
        )
        pids = launched.pids()
        assert len(pids) == 2, launched.output
        began = time.monotonic()
        launched.process.send_signal(signal.SIGINT)
        launched.process.wait(30.0)
        seconds = time.monotonic() - began
        launched.wait()  # for the rest of its output
        left = [pid for pid in pids if launched.is_alive(pid)]
        done, first = listener.updates("dynamics")[-1], len(listener.progress)
        trained = Trained(listener, path, seconds, left, done, first, [launched])

        controller = subprocess.Popen(
            ["ros2", "run", "wm_mpc", "mpc", "--ros-args", "-p", "auto_reload:=true"],
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        )

        def end():
            controller.send_signal(signal.SIGINT)
            return controller.wait(20.0)

        stack.callback(end)
        trained.launches.append(start())
        assert trained.launches[-1].wait() == 0, trained.launches[-1].output

        def checkpoint():
            values = diagnostics[-1].status[0].values if diagnostics else []
            return next((value.value for value in values if value.key == "checkpoint"), "")

        observer.wait_until(lambda: checkpoint() == str(path), "the new world model", SECONDS)
        trained.used = checkpoint()
        assert end() == 0
        yield trained


@pytest.mark.slow
def test_interrupt_ends_everything_soon(trained):
    """In three seconds on an idle machine: test/nodes/test_learner.py measures it alone."""
    assert trained.left == []
    assert "Traceback" not in trained.launches[0].output
    assert trained.seconds < 15.0, trained.launches[0].output


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_was_interrupted(trained):
    assert min(trained.listener.updates("dynamics", trained.first)) >= trained.done
    assert not trained.listener.updates("representation", trained.first)


@pytest.mark.slow
def test_training_ends_by_itself_with_a_checkpoint_announced(trained):
    assert trained.listener.checkpoints[-1].data == str(trained.path)
    _, metadata = load_checkpoint(trained.path)
    assert metadata["provenance"]["seed"] == 3
    assert (trained.path.parent / "report.png").exists()
    assert trained.listener.updates("dynamics")[-1] == UPDATES
    assert trained.listener.progress[-1].status[0].message == "finished"
    assert "Traceback" not in trained.launches[1].output


@pytest.mark.slow
def test_controller_plans_with_what_was_just_trained(trained):
    assert trained.used == str(trained.path)


@pytest.mark.slow
def test_failure_is_an_error_of_the_launch_with_its_reason(launch, dataset, tmp_path):
    launched = launch(*arguments_of(tmp_path, dataset, 1), "synthesis:=magic")
    assert launched.wait() == 1
    assert "synthesis is ['magic']; accepted: random, online" in launched.output


@pytest.mark.slow
def test_a_learner_may_wait_for_its_start_and_outlive_its_training(launch, observer):
    """What then happens: test/nodes/test_learner.py."""
    launched = launch("autostart:=false", "exit_when_done:=false")
    request = GetParameters.Request(names=["autostart", "exit_when_done"])
    found = observer.call(GetParameters, "learner/get_parameters", request).values
    assert [value.bool_value for value in found] == [False, False]
    assert launched.process.poll() is None


def test_show_args_explains_every_argument():
    result = subprocess.run(
        ["ros2", "launch", "wm_mpc", "train.launch.py", "--show-args"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0
    for name in ("task", "dataset", "run", "config", "seed", "synthesis", "workers", "nice",
                 "autostart", "exit_when_done"):  # fmt: skip
        assert f"'{name}'" in result.stdout
