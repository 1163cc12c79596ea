"""Small and odd recordings end in a usable checkpoint that says what is wrong, or in a refusal."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import yaml

from wm_mpc.cli import train
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint, read_metadata
from wm_mpc.model.familiarity import checkpoint_complaint
from wm_mpc.training.calibration import measure_familiarity
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.phases.registry import PHASES
from wm_mpc.training.preparation import check_finite, data_notes
from wm_mpc.training.replay import encode_all
from wm_mpc.training.trainer import Trainer

from ..conftest import mostly_slow

pytestmark = pytest.mark.usefixtures("few_pictures")
TINY = TrainConfig(
    horizon=2,
    representation_batch=4,
    dynamics_batch=8,
    threads=1,
    synthesis=("adversarial",),
    architecture=Architecture(4, 4, 4, hidden=16),
    **{f"{phase}_updates": 3 for phase in PHASES},
)


def grey(yaw, height, width):
    return np.full((height, width, 3), 90, np.uint8)


RECORDINGS = {
    "one picture": {"picture": grey},
    "one state": {"state": lambda yaw: [0.5]},
    "nothing measured": {"names": (), "unit": (), "state": lambda yaw: []},
    "huge state": {"names": ("x",), "unit": ("m",), "state": lambda yaw: [1e6 + yaw]},
    "tiny state": {"names": ("x",), "unit": ("m",), "state": lambda yaw: [1e-9 * yaw]},
    "an action that never moves": {"action": lambda rng: 0.0},
    "an action at its limit": {"action": lambda rng: 2.0},
    "nothing ever happens": {
        "picture": grey, "state": lambda yaw: [0.0], "action": lambda rng: 0.0,
    },
    "two episodes": {"episodes": 2, "steps": 20},
    "short episodes": {"steps": 4},
    "sizes of no power of two": {"size": (49, 65)},
    "smallest picture": {"size": (16, 16)},
    "odd picture": {"size": (17, 23)},
}  # fmt: skip


@pytest.mark.parametrize("changes", mostly_slow(RECORDINGS.values(), 3), ids=RECORDINGS)
def test_every_checkpoint_is_finite_and_says_how_wrong_it_usually_is(changes, turner, tmp_path):
    announced = []

    def look(path):
        announced.append(load_checkpoint(path)[0])  # which refuses what is not finite

    recording = turner(**changes)
    config = dataclasses.replace(TINY, checkpoint_interval=1e-9)
    trainer = Trainer(recording, config, tmp_path / "run", on_checkpoint=look)
    trainer.run()
    assert len(announced) == 3
    for model in announced:
        assert model.familiarity.moments > 0
        assert model.familiarity.image >= 0.5 / 255
        latents = encode_all(model, recording.images, recording.states)
        assert latents.isfinite().all()
        assert latents.abs().max() < 1e3
    last = measure_familiarity(trainer.model, recording, trainer.validation_episodes)
    assert announced[-1].familiarity.prediction == pytest.approx(last.prediction, rel=1e-4)
    assert announced[-1].familiarity.image == pytest.approx(last.image, rel=1e-4)


@pytest.mark.parametrize("changes", [{"steps": 1}, {"steps": 3}, {"episodes": 1}], ids=str)
def test_recordings_too_small_to_learn_from_are_refused(changes, turner, tmp_path):
    with pytest.raises(TrainingError, match=r"no episode is long enough|at least 2 are needed"):
        Trainer(turner(**changes), TINY, tmp_path / "run").run()


NOTES = {
    "one picture": "all images are the same",
    "one state": "state yaw is always 0.5, so it carries no information",
    "huge state": "state x is near 1e+06 and changes by",
    "an action that never moves": "action wz never changes",
    "an action at its limit": "action wz never changes",
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_is_odd_about_a_recording_is_told(name, turner):
    notes = data_notes(turner(**RECORDINGS[name]))
    if name in NOTES:
        assert any(note.startswith(NOTES[name]) for note in notes)
    elif name != "nothing ever happens":
        assert [note for note in notes if "counts as an angle" not in note] == []


def test_weights_that_are_not_finite_end_a_training(turner, tmp_path):
    trainer = Trainer(turner(), TINY, tmp_path / "run")
    trainer.model.decoder.background.data[0, 0, 0, 0] = float("nan")  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"decoder\.background is not finite after phase rep"):
        check_finite(trainer.model, "representation")


def command(recording, folder, **settings):
    """The command line that trains on a recording with the settings of TINY and others."""
    config = {**dataclasses.asdict(TINY), **settings}
    config = {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}
    config["architecture"]["pose_names"] = []
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    return [
        *("--dataset", str(recording.dataset.path), "--run", str(folder / "run")),
        *("--config", str(folder / "train.yaml"), "--workers", "1"),
    ]


@pytest.mark.parametrize("late", [0, 2])
def test_train_says_at_its_end_that_a_late_base_needs_a_second_frame(
    late, turner, tmp_path, capsys
):
    recording = turner(late=late, steps=120, size=(16, 16), picture=grey)  # only the state moves
    assert train.main(command(recording, tmp_path)) == 0
    said = capsys.readouterr()
    assert "second_frame" in said.out
    assert ("train with --history 2" in said.err) == (late > 0)


@pytest.mark.slow
def test_train_says_at_its_end_that_no_goal_will_count_as_reached(turner, tmp_path, capsys):
    assert train.main(command(turner(picture=grey), tmp_path)) == 0
    said = capsys.readouterr().err
    for line in (
        "nothing moved in the held-out recordings, as the model sees them: no goal counts as",
        "how wrong the model usually is was measured on only 39 moments (100 are enough)",
        "all images are the same: the model cannot see what the robot does",
    ):
        assert f"train: WARNING: {line}" in said
    model = load_checkpoint(tmp_path / "run" / "turner.safetensors")[0]
    assert "no goal counts as reached" in checkpoint_complaint(model)


def test_train_says_at_its_end_that_nothing_could_be_measured(turner, tmp_path, capsys):
    """The last episode, which is held out, is too short for a moment."""
    recording = turner(episodes=5)
    short = turner(episodes=1, steps=1)
    recording.dataset.append(5, next(iter(short.dataset)))
    assert train.main(command(recording, tmp_path)) == 0
    said = capsys.readouterr().err
    assert "train: WARNING: the checkpoint does not say how wrong the model usually is" in said
    model = load_checkpoint(tmp_path / "run" / "turner.safetensors")[0]
    assert model.familiarity is None
    assert "no goal counts as reached" in checkpoint_complaint(model)


@pytest.mark.slow
def test_a_yaw_across_pi_is_learned_as_an_angle(turner, tmp_path, capsys):
    """A recording from before angles: the model made of it turns through pi all the same."""
    recording = turner(episodes=12)
    assert recording.spec.state.angles == ()
    crossings = np.abs(np.diff(recording.states[:, 0])) > 3.0
    assert crossings.sum() > 20
    settings = {"representation_updates": 30, "dynamics_updates": 400, "dynamics_rate": 5e-3}
    settings["architecture"] = dataclasses.asdict(Architecture(4, 4, 4, hidden=32))
    assert train.main(command(recording, tmp_path, **settings)) == 0
    assert "state yaw counts as an angle" in capsys.readouterr().err
    path = tmp_path / "run" / "turner.safetensors"
    model = load_checkpoint(path)[0]
    assert model.spec.state.angles == ("yaw",)
    assert read_metadata(path)["format"] == 3

    held_out = turner(episodes=12, seed=1)
    starts = held_out.window_starts(1, None)
    frames, actions = held_out.window(starts, 1)
    latents = encode_all(model, held_out.images[frames[:, 0]], held_out.states[frames[:, 0]])
    predicted = predict(model, latents[:, None], actions)[:, 0]
    yaw = model.denormalise_state(model.split(predicted)[1])[:, 0].numpy()
    before, after = held_out.states[frames[:, 0], 0], held_out.states[frames[:, 1], 0]
    wrong, still = (
        np.abs(np.remainder(value - after + math.pi, 2 * math.pi) - math.pi)
        for value in (yaw, before)
    )
    across = np.abs(after - before) > 3.0
    assert across.sum() > 10
    for some in (across, ~across):
        assert wrong[some].mean() < 0.4 * still[some].mean()


def test_a_run_of_before_is_not_continued_with_another_model(turner, tmp_path, monkeypatch):
    recording = turner()
    monkeypatch.setattr("wm_mpc.spec_parts._ALWAYS_ANGLES", {})
    before = Trainer(recording, TINY, tmp_path / "run")
    before.run()
    monkeypatch.undo()
    with pytest.raises(TrainingError, match=r"other settings|another run|other"):
        Trainer(recording, TINY, tmp_path / "run")
