"""Training as a user starts it: `ros2 launch wm_mpc train.launch.py ...`, and what a controller
makes of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.ros import qos

LAUNCH_FILE = "train.launch.py"
pytestmark = [
    pytest.mark.launch,
    pytest.mark.ros,
    pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: run make setup"),
]
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


@pytest.fixture
def arguments(dataset, tmp_path):
    """Launch arguments of a training with so many updates of the last phase."""

    def make(updates):
        config = tmp_path / "train.yaml"
        config.write_text(TINY.format(updates=updates))
        run = tmp_path / "run"
        return f"dataset:={dataset}", f"run:={run}", f"config:={config}", "workers:=1", "nice:=0"

    return make


class Listener:
    """What the learner has published so far."""

    def __init__(self, observer):
        self.progress = observer.listen(DiagnosticArray, "learner/progress", qos.STATUS)
        self.checkpoints = observer.listen(String, "learner/checkpoint", qos.LATCHED)

    def updates(self, stage, first=0):
        """Numbers of the updates of a stage that were told of."""
        told = [{v.key: v.value for v in m.status[0].values} for m in self.progress[first:]]
        return [int(values["update"]) for values in told if values.get("stage") == stage]


def test_training_ends_by_itself_with_a_checkpoint_announced(launch, observer, arguments, tmp_path):
    listener = Listener(observer)
    launched = launch(*arguments(40), "seed:=3")
    assert launched.wait() == 0, launched.output
    path = tmp_path / "run" / "wall.safetensors"
    assert listener.checkpoints[-1].data == str(path)
    _, metadata = load_checkpoint(path)
    assert metadata["provenance"]["seed"] == 3
    assert (tmp_path / "run" / "report.png").exists()
    assert listener.updates("dynamics")[-1] == 40
    assert listener.progress[-1].status[0].message == "finished"
    assert "Traceback" not in launched.output


@pytest.mark.timeout(400)  # two trainings; each may take `SECONDS` on a busy machine
def test_interrupt_ends_everything_in_three_seconds_and_the_same_command_goes_on(
    launch, observer, arguments
):
    listener = Listener(observer)
    command = arguments(700)
    launched = launch(*command)
    observer.wait_until(
        lambda: any(update > 40 for update in listener.updates("dynamics")), "training", SECONDS
    )
    pids = launched.pids()
    assert len(pids) == 2, launched.output
    started = time.monotonic()
    launched.process.send_signal(signal.SIGINT)
    launched.process.wait(30.0)
    assert time.monotonic() - started < 3.0, launched.output
    launched.wait()  # for the rest of its output
    assert not any(map(launched.is_alive, pids))
    assert "Traceback" not in launched.output

    done, first = listener.updates("dynamics")[-1], len(listener.progress)
    launched = launch(*command)
    assert launched.wait() == 0, launched.output
    assert min(listener.updates("dynamics", first)) >= done
    assert not listener.updates("representation", first)
    assert listener.checkpoints


def test_failure_is_an_error_of_the_launch_with_its_reason(launch, arguments):
    launched = launch(*arguments(1), "synthesis:=magic")
    assert launched.wait() == 1
    assert "synthesis is ['magic']; accepted: random, online" in launched.output


def test_failure_can_leave_the_node_running(launch, observer, arguments):
    listener = Listener(observer)
    launched = launch(*arguments(1), "synthesis:=magic", "exit_when_done:=false")
    observer.wait_until(
        lambda: listener.progress and "magic" in listener.progress[-1].status[0].message,
        "the failure",
        SECONDS,
    )
    count = len(listener.progress)
    observer.wait_until(lambda: len(listener.progress) > count + 1, "more progress")
    assert launched.process.poll() is None


def test_controller_plans_with_what_was_just_trained(launch, observer, arguments, tmp_path):
    """Learner and controller together: announced, loaded beside, taken up."""
    diagnostics = observer.listen(DiagnosticArray, "diagnostics", qos.STATUS)
    controller = subprocess.Popen(
        ["ros2", "run", "wm_mpc", "mpc", "--ros-args", "-p", "auto_reload:=true"],
        env=os.environ | {"ROS_DOMAIN_ID": str(observer.domain_id)},
    )
    try:
        observer.wait_until(lambda: diagnostics, "the controller", SECONDS)
        launched = launch(*arguments(40), "exit_when_done:=false")
        path = str(tmp_path / "run" / "wall.safetensors")
        observer.wait_until(
            lambda: any(
                value.key == "checkpoint" and value.value == path
                for value in diagnostics[-1].status[0].values
            ),
            "the new world model",
            SECONDS,
        )
        assert launched.process.poll() is None
    finally:
        controller.send_signal(signal.SIGINT)
        assert controller.wait(10.0) == 0


def test_show_args_explains_every_argument():
    result = subprocess.run(
        ["ros2", "launch", "wm_mpc", "train.launch.py", "--show-args"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0
    for name in ("task", "dataset", "run", "config", "seed", "synthesis", "workers", "nice",
                 "autostart", "exit_when_done"):  # fmt: skip
        assert f"'{name}'" in result.stdout
