"""`import_bag` from the command line, and training on what it made."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from wm_mpc.cli import import_bag, train
from wm_mpc.data.episodes import Dataset
from wm_mpc.model.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: 3
dynamics_batch: 4
threads: 1
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}
"""
STEPS = 120


def recorded(bags, start=50.0):
    """A square that is pushed to and fro, with a camera above it: (topic, arrival, message)."""
    make, rng = bags.Make(), np.random.default_rng(0)
    messages, x = [], 40.0
    for k in range(STEPS):
        t, speed = start + 0.1 * k, float(rng.uniform(-1, 1))
        pixels = np.full((80, 80, 3), 60, np.uint8)
        pixels[30:50, int(x) - 8 : int(x) + 8] = (220, 40, 40)
        messages += [
            ("/camera/image_raw", t, make.image(t, pixels)),
            ("/joint_states", t, make.joints(t, ["slider"], [x / 80], [speed])),
            ("/commands", t, make.numbers(speed)),
        ]
        x = float(np.clip(x + 3 * speed, 10, 70))
    return messages


@pytest.fixture
def run(bags, tmp_path, monkeypatch, capsys):
    """Run `import_bag` in an empty folder with the recording `bag`: exit code and output."""
    monkeypatch.chdir(tmp_path)
    bags.write_bag(tmp_path / "bag", recorded(bags))

    def run(arguments):
        try:
            code = import_bag.main(shlex.split(arguments))
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err.strip().split("\n")[-1]

    return run


OPTIONS = (
    "--task slider --state-names slider,slider/velocity --action-names slider "
    "--action-low=-1 --action-high=1 --action-unit m/s --image-size 32x32 --max-steps 30"
)


def test_topics_are_listed_and_nothing_is_made(run, tmp_path):
    code, out, _ = run("bag --list")
    assert code == 0
    assert "/camera/image_raw  sensor_msgs/msg/Image" in out
    assert "120 messages" in out
    assert "10.1 Hz" in out
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_a_dataset_is_made_from_options(run):
    code, out, _ = run(f"bag {OPTIONS}")
    assert code == 0
    dataset = Dataset("data/slider")
    assert dataset.spec.task == "slider"
    assert (dataset.spec.image.height, dataset.spec.image.width) == (32, 32)
    assert dataset.spec.state.names == ("slider", "slider/velocity")
    assert [len(episode) for episode in dataset] == [30, 30, 29, 30]
    assert dataset.provenance["bags"] == ["bag"]
    assert "4 episodes of 29 to 30 steps of 0.1 s: 119 steps, 11.9 s" in out
    assert out.strip().endswith("data/slider  task slider  episodes 4")


def test_a_dataset_is_made_from_a_file_and_options_win(run, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "task: one\nmax_steps: 60\nframe_skip: 2\n"
        "state: {topic: /joint_states, names: [slider]}\naction: {names: [a]}\n"
    )
    code, _, _ = run("bag --config a.yaml --task two --dataset here --max-gap 0.3")
    assert code == 0
    spec = Dataset("here").spec
    assert (spec.task, spec.frame_skip, spec.action.names) == ("two", 2, ("a",))


def test_everything_may_be_inferred(run):
    code, out, _ = run("bag")
    assert code == 0
    assert "action limits from the commands: action_0 -0.9" in out
    assert "control period 0.1 s, between two images" in out


def test_a_dataset_grows_only_when_told(run, bags, tmp_path):
    bags.write_bag(tmp_path / "other", recorded(bags, start=500.0))
    assert run(f"bag {OPTIONS}")[0] == 0
    code, _, error = run(f"bag {OPTIONS}")
    assert code == 1
    assert error.startswith("import_bag: dataset data/slider already has 4 episodes; use --append")
    code, out, _ = run(f"other {OPTIONS} --append")
    assert code == 0
    assert "the description of the robot comes from the dataset" in out
    assert Dataset("data/slider").indices() == list(range(8))


def test_appending_needs_a_dataset(run):
    code, _, error = run("bag --append --dataset nothing")
    assert code == 1
    assert "no dataset at nothing" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nothing", "no recording at nothing"),
        ("bag --state /odom", "/joint_states      sensor_msgs/msg/JointState"),
        ("bag --image /joint_states", "accepted as image: sensor_msgs/msg/Image, sensor_msgs/msg"),
        ("bag --action-names a,b", "action has 1 numbers; 2 are needed"),
        (
            "bag --action /joint_states --state joint_states",
            "is both the state and the action topic",
        ),
        ("bag --split-at /reset", "/joint_states"),
        ("bag --config no.yaml", "cannot read no.yaml"),
        ("bag --max-steps 3", "min_steps is 15; accepted: at most max_steps, 3"),
        ("bag --image-size 8x8", "image is 8x8; at least 16x16 is needed"),
        ("bag --image-range 5", "image.value_range is [5.0]; accepted: two numbers"),
        (
            "bag --stamps receive --clock-offset 2",
            "but stamps is 'receive', which ignores all stamps",
        ),
        ("bag --angles elbow", "state.angles is ('elbow',); accepted: entries of state.names"),
    ],
)
def test_refusals_are_told_in_words(run, tmp_path, arguments, message):
    code, _, error = run(arguments)
    assert code == 1
    assert message in error
    assert not (tmp_path / "data").exists()


DEPTH = "--task deep --image /depth --state /joint_states --action /commands --image-size 32x32"


@pytest.fixture
def depth(bags, tmp_path):
    """The recording `deep`: a compressed 16 bit depth picture of 0.5 to 0.9 m, in mm."""
    make, messages = bags.Make(), []
    for topic, t, message in recorded(bags):
        if topic == "/camera/image_raw":
            wall = np.full((48, 48), 500, np.uint16)
            wall[:, :20] = 900
            data = cv2.imencode(".png", wall)[1].reshape(-1)
            message = make.compressed(t, np.zeros((4, 4, 3), np.uint8))
            message.data, message.format, topic = data, "16UC1; png compressed ", "/depth"
        messages.append((topic, t, message))
    bags.write_bag(tmp_path / "deep", messages)


def test_depth_is_refused_until_its_range_is_stated(run, depth):
    code, _, error = run(f"deep {DEPTH}")
    assert code == 1
    assert "which 8 bits cannot hold: state the range of values" in error
    assert "--image-range" in error
    assert run(f"deep {DEPTH} --image-range 0,1000")[0] == 0
    dataset = Dataset("data/deep")
    assert dataset.spec.image.value_range == (0.0, 1000.0)
    assert set(np.unique(next(iter(dataset)).images)) >= {128, 230}


def test_options_about_what_messages_mean_are_taken(run):
    code, out, _ = run(f"bag {OPTIONS} --angles slider --clock-offset 0 --trajectory-points at")
    assert code == 0
    assert Dataset("data/slider").spec.state.angles == ("slider",)
    assert "received minus stamp is +0 s by the clocks, as stated" in out


def test_no_angles_may_be_stated(run):
    assert run(f"bag {OPTIONS} --angles ''")[0] == 0
    assert Dataset("data/slider").spec.state.angles == ()


@pytest.mark.parametrize(
    "option",
    [
        "--image-size big",
        "--frame-skip 0",
        "--stamps mine",
        "--clock-offset x",
        "--trajectory-points to",
    ],
)
def test_options_that_cannot_be_end_with_code_2(run, option):
    assert run(f"bag {option}")[0] == 2


def test_neither_ros_nor_a_simulator_is_needed(run, tmp_path):
    program = (
        "import sys\n"
        "from wm_mpc.cli import import_bag\n"
        f"assert import_bag.main({shlex.split(OPTIONS)!r} + ['bag']) == 0\n"
        "assert not {'rclpy', 'sensor_msgs', 'pybullet', 'torch'} & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_missing_library_is_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "rosbags.typesys", None)
    for name in [name for name in sys.modules if name.startswith("wm_mpc.data.storage")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "wm_mpc.data.bag", raising=False)
    code, _, error = run("bag --list")
    assert code == 1
    assert error.endswith("install it: pip install rosbags")


@pytest.mark.slow
@pytest.mark.parametrize("synthesis", ["none", "adversarial"])
def test_a_model_is_trained_on_a_recording(run, tmp_path, capsys, synthesis):
    assert run(f"bag {OPTIONS} --frame-skip 2")[0] == 0
    (tmp_path / "train.yaml").write_text(TINY)
    options = f"--dataset data/slider --config train.yaml --workers 1 --synthesis {synthesis}"
    assert train.main(shlex.split(options)) == 0
    model, metadata = load_checkpoint("runs/slider/slider.safetensors")
    assert model.spec.task == "slider"
    assert model.spec.state.source == "joint_states"
    assert metadata["provenance"]["data"]["bags"] == ["bag"]
    assert (tmp_path / "runs/slider/report.png").exists()


@pytest.mark.slow
def test_a_model_is_trained_on_a_robot_that_is_only_seen(run, tmp_path):
    assert run("bag --no-state --image-size 32x32 --max-steps 30 --frame-skip 2")[0] == 0
    (tmp_path / "train.yaml").write_text(TINY)
    options = "--dataset data/my_robot --config train.yaml --workers 1 --synthesis adversarial"
    assert train.main(shlex.split(options)) == 0
    assert load_checkpoint("runs/my_robot/my_robot.safetensors")[0].spec.state.size == 0


@pytest.mark.parametrize("synthesis", ["random", "online", "random,online"])
def test_synthesis_that_needs_a_simulator_is_refused(run, tmp_path, capsys, synthesis):
    assert run(f"bag {OPTIONS} --frame-skip 2")[0] == 0
    (tmp_path / "train.yaml").write_text(TINY)
    options = f"--dataset data/slider --config train.yaml --workers 1 --synthesis {synthesis}"
    assert train.main(shlex.split(options)) == 1
    error = capsys.readouterr().err
    assert f"synthesis {synthesis} executes new actions" in error
    assert "accepted here: --synthesis adversarial, or none" in error


def test_a_failed_import_leaves_nothing_and_may_be_repeated(run, bags, tmp_path):
    (tmp_path / "bad.mcap").write_bytes(b"garbage")
    assert run(f"bag bad.mcap {OPTIONS}")[0] == 1
    assert not (tmp_path / "data/slider/dataset.json").exists()
    assert run(f"bag {OPTIONS}")[0] == 0
    assert run(f"bag bad.mcap {OPTIONS} --append")[0] == 1
    assert Dataset("data/slider").indices() == [0, 1, 2, 3]


def test_what_a_killed_import_left_is_removed(run):
    assert run(f"bag {OPTIONS}")[0] == 0
    (Dataset("data/slider").path / "importing.json").write_text('{"first": 0}')
    code, out, _ = run(f"bag {OPTIONS}")
    assert code == 0
    assert "an earlier import into data/slider did not finish; its 4 episodes are removed" in out
    assert Dataset("data/slider").indices() == [0, 1, 2, 3]
