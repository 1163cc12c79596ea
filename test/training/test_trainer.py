"""Real training runs, as small as they can be."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.sim.workers import LocalWorkers
from wm_mpc.synthesis.online import OnlineConfig
from wm_mpc.synthesis.random_rollouts import RandomRolloutConfig, random_rollouts
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.phases.registry import PHASES
from wm_mpc.training.replay import encode_all
from wm_mpc.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("few_pictures")
CONFIG = TrainConfig(
    horizon=3,
    representation_updates=41,
    representation_batch=4,
    embedding_updates=41,
    proposals_updates=22,
    dynamics_updates=101,
    dynamics_rate=3e-3,
    dynamics_batch=16,
    threads=1,
    architecture=Architecture(4, 4, 4, hidden=32, proposals=4),
    random=RandomRolloutConfig(count=8, steps=3),
)
# As many updates as there must be for an interruption after some that were reported (every 20).
SHORT = dataclasses.replace(
    CONFIG, representation_updates=22, representation_batch=2, embedding_updates=22,
    dynamics_updates=22,
)  # fmt: skip


def updates(number):
    """Settings of so many updates in every phase."""
    return {f"{phase}_updates": number for phase in PHASES}


class InterruptionError(Exception):
    """Stands for whatever ends a run."""


def interrupt_at(phase, number):
    def progress(stage, done, total, values):
        if (stage, done) == (phase, number):
            raise InterruptionError

    return progress


def tensors(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="module")
def finished(recording, tmp_path_factory):
    trainer = Trainer(recording, CONFIG, tmp_path_factory.mktemp("run"))
    trainer.run()
    return trainer


# When each part is finished: at the first report of what comes next
FINISHED = {"encoder": ("encode", 124), "embedding": ("proposals", 1),
            "proposals": ("random rollouts", 5)}  # fmt: skip


@dataclasses.dataclass
class Short:
    """An uninterrupted run of SHORT, and its parts as they were when they were finished."""

    trainer: Trainer
    parts: dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def short_run(recording, tmp_path_factory):
    parts = {}

    def look(stage, done, *_):
        for part, moment in FINISHED.items():
            if moment == (stage, done):
                parts[part] = tensors(getattr(trainer.model, part))

    trainer = Trainer(recording, SHORT, tmp_path_factory.mktemp("short"), progress=look)
    trainer.run()
    return Short(trainer, parts)


@pytest.fixture(scope="module")
def short(short_run):
    return short_run.trainer


def losses_of(trainer, phase, name):
    return [row[name] for row in trainer.history if row["phase"] == phase]


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        (0, "reconstruction"), (1, "contrast"),
        (2, "proposals"), (3, "one_step"), (3, "multi_step"), (3, "adversarial"),
    ],
)  # fmt: skip
def test_training_lowers_the_loss(finished, phase, name):
    values = losses_of(finished, phase, name)
    assert values[-1] < 0.95 * values[0]


def test_finished_model_wants_no_more_gradients(finished):
    assert not finished.model.training
    assert not any(parameter.requires_grad for parameter in finished.model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("part", FINISHED)
def test_later_phases_leave_a_finished_part_alone(short_run, part):
    finished = short_run.parts[part]
    assert len(finished) > 0
    for name, tensor in getattr(short_run.trainer.model, part).state_dict().items():
        assert torch.equal(finished[name], tensor), name


@pytest.mark.slow
def test_run_that_is_interrupted_again_and_again_ends_like_an_uninterrupted_one(
    recording, short, tmp_path
):
    """At the beginning, in the middle and at the end of phases, and between them. An error of any
    continuation would remain to the end."""
    config = dataclasses.replace(SHORT, checkpoint_interval=1e-9)
    interruptions = [
        ("representation", 1), ("representation", 21), ("encode", 124), ("embedding", 21),
        ("embedding", 22), ("proposals", 21), ("proposals", 22), ("random rollouts", 5),
        ("dynamics", 21), None,
    ]  # fmt: skip
    before: Any = None
    for where in interruptions:
        seen = []

        def progress(stage, done, *_, where=where, seen=seen):
            seen.append((stage, done))
            if (stage, done) == where:
                raise InterruptionError

        trainer = Trainer(recording, config, tmp_path, progress=progress)
        if where is None:
            trainer.run()
        else:
            with pytest.raises(InterruptionError):
                trainer.run()
        # What was done before was not done again.
        if before in [(phase, 21) for phase in PHASES]:
            earlier = list(PHASES)[: list(PHASES).index(before[0])]
            assert not set(earlier) & {stage for stage, _ in seen}
            assert min(done for stage, done in seen if stage == before[0]) > 1
        before = where
    assert_same_model(trainer, short)
    assert trainer.history == short.history


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"ema": 0.9},
        {"architecture": Architecture(4, 4, 4, dynamics="transformer", hidden=16, heads=2)},
        {"history": 2},
        {"synthesis": ("random", "online"), "online": OnlineConfig(10, 4, 2, 3, 2, 2)},
    ],
    ids=["average", "transformer", "history", "online"],
)
def test_every_kind_of_run_resumes_exactly(recording, tmp_path, changes):
    config = dataclasses.replace(
        CONFIG, representation_updates=5, embedding_updates=22, proposals_updates=5,
        dynamics_updates=22, checkpoint_interval=1e-9, **changes,
    )  # fmt: skip
    rarely = dataclasses.replace(config, checkpoint_interval=60.0)
    whole = Trainer(recording, rarely, tmp_path / "whole")
    whole.run()
    for where in (("representation", 1), ("embedding", 21), ("dynamics", 21)):
        with pytest.raises(InterruptionError):
            Trainer(recording, config, tmp_path / "cut", progress=interrupt_at(*where)).run()
    again = Trainer(recording, config, tmp_path / "cut")
    again.run()
    assert_same_model(again, whole)
    assert again.history == whole.history


def assert_same_model(first, second):
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name


@pytest.mark.slow
def test_run_that_is_stopped_continues_where_it_was(recording, short, tmp_path):
    """`stopped` is asked in all phases and between them; whenever it says so, nothing is lost."""
    trainer, before = Trainer(recording, SHORT, tmp_path), 0
    # Which of all questions are answered so; the next run begins with the same question.
    for asked in (0, 1, 10, 22, 23, 41, 45, 46, 53, 54, 73):
        questions = []

        def stopped(questions=questions, last=asked - before):
            questions.append(None)
            return len(questions) > last

        trainer.run(stopped)
        assert not trainer.finished
        assert len(questions) == asked - before + 1
        assert sum(trainer.provenance()["updates"].values()) <= asked
        before = asked
    trainer.run()
    assert trainer.finished
    assert trainer.history == short.history
    assert_same_model(trainer, short)


def test_checkpoints_are_announced_complete(recording, tmp_path):
    found = []

    def look(path):
        model, metadata = load_checkpoint(path)
        found.append((path, metadata["provenance"]["updates"]["dynamics"], model))

    config = dataclasses.replace(CONFIG, **updates(4), checkpoint_interval=1e-9, ema=0.9)
    trainer = Trainer(recording, config, tmp_path, on_checkpoint=look)
    trainer.run()
    assert [updates for _, updates, _ in found] == [1, 2, 3, 4]
    assert {path for path, *_ in found} == {tmp_path / "wall.safetensors"}
    weights = [model.dynamics.linear.weight for *_, model in found]  # type: ignore[attr-defined]
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[3], trainer.model.dynamics.linear.weight)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_average_lags_behind_the_weights(recording, tmp_path):
    """Of a rising sequence it is lower, and a run without one keeps the last weights."""
    models = [
        Trainer(
            recording, dataclasses.replace(CONFIG, ema=ema, **updates(10)), tmp_path / str(ema)
        ).run()
        for ema in (0.0, 0.5, 0.99)
    ]
    change = [
        (model.dynamics.linear.weight - models[0].dynamics.linear.weight).abs().max().item()  # type: ignore[attr-defined]
        for model in models
    ]
    assert change[0] == 0.0 < change[1] < change[2]


@pytest.mark.slow
def test_representation_of_another_run_is_taken_as_if_trained(recording, finished, tmp_path):
    stages = set()
    trainer = Trainer(
        recording, CONFIG, tmp_path / "run", representation=finished.directory,
        progress=lambda stage, *_: stages.add(stage),
    )  # fmt: skip
    trainer.run()
    assert not {"representation", "embedding"} & stages
    assert_same_model(trainer, finished)
    assert trainer.history == finished.history


def test_variants_share_one_representation(recording, finished, tmp_path):
    """Synthesis, its share, the horizon and the number of episodes may differ."""
    config = dataclasses.replace(CONFIG, synthesis=(), horizon=2, episodes=2, dynamics_updates=3)
    first = Trainer(recording, config, tmp_path / "first", representation=finished.directory)
    first.run()
    # and the taken one can be passed on
    second = Trainer(recording, config, tmp_path / "second", representation=first.directory)
    second.run()
    for trainer in (first, second):
        for part in ("encoder", "embedding", "proposals"):
            for name, tensor in getattr(finished.model, part).state_dict().items():
                assert torch.equal(getattr(trainer.model, part).state_dict()[name], tensor), name
        assert trainer.validation_episodes.tolist() == [3]
    assert_same_model(first, second)


def test_one_representation_serves_dynamics_of_several_seeds(recording, finished, tmp_path):
    dynamics = []
    for seed in (0, 5):
        config = dataclasses.replace(
            CONFIG, seed=seed, representation_seed=0, synthesis=(), dynamics_updates=2
        )
        trainer = Trainer(
            recording, config, tmp_path / str(seed), representation=finished.directory
        )
        model = trainer.run()
        assert torch.equal(model.scene_map, finished.model.scene_map)
        dynamics.append(model.dynamics.head[0].weight)  # type: ignore[attr-defined]
    assert (dynamics[0] - dynamics[1]).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, r"settings\.seed is 0 there and 1 here"),
        ({"history": 2}, r"settings\.history is 1 there and 2 here"),
        ({"representation_updates": 42}, "representation_updates is 41 there and 42 here"),
        ({"embedding_updates": 42}, "embedding_updates is 41 there and 42 here"),
        ({"proposals_updates": 23}, "proposals_updates is 22 there and 23 here"),
        ({"embedding_lags": (3,)}, r"embedding_lags is \[1, 2, .*\] there and \[3\] here"),
        (
            {"architecture": Architecture(4, 4, 4, hidden=16)},
            r"settings\.architecture\.hidden is 32 there and 16 here",
        ),
    ],
)
def test_representation_of_other_settings_is_refused(
    recording, finished, tmp_path, changes, message
):
    config = dataclasses.replace(CONFIG, **changes)
    with pytest.raises(TrainingError, match=message):
        Trainer(recording, config, tmp_path / "run", representation=finished.directory)
    assert not (tmp_path / "run").exists()


def test_representation_of_other_data_is_refused(finished, tmp_path):
    recording = Recording(finished.recording.dataset, limit=3)
    with pytest.raises(TrainingError, match="episodes is 4 there and 3 here"):
        Trainer(recording, CONFIG, tmp_path / "run", representation=finished.directory)


def test_unfinished_representation_is_refused(recording, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(TrainingError, match=r"none holds no finished representation"):
        Trainer(recording, CONFIG, tmp_path / "run", representation=tmp_path / "none")


def test_only_the_first_episodes_are_trained_on_when_told_so(recording, tmp_path):
    trainer = Trainer(recording, dataclasses.replace(CONFIG, episodes=2), tmp_path)
    assert trainer.train_episodes.tolist() == [0, 1]
    assert trainer.validation_episodes.tolist() == [3]
    with pytest.raises(TrainingError, match="at least 5 are needed"):
        Trainer(recording, dataclasses.replace(CONFIG, episodes=4), tmp_path / "more")


def test_history_of_the_settings_is_the_models(recording, tmp_path):
    config = dataclasses.replace(CONFIG, history=2, **updates(2))
    trainer = Trainer(recording, config, tmp_path)
    assert trainer.run().spec == dataclasses.replace(recording.spec, history=2)
    with np.load(tmp_path / "random_rollouts.npz") as rollouts:
        assert rollouts["actions"].shape[1] == CONFIG.random.steps + 1  # type: ignore[attr-defined]


def test_scene_latents_have_unit_variance(recording, finished):
    frames = np.flatnonzero(np.isin(recording.episode_of, finished.train_episodes))
    latents = encode_all(finished.model, recording.images[frames], recording.states[frames])
    scene = finished.model.split(latents)[0]
    kept = finished.model.scene_map.any(0)
    assert scene[:, kept].var(0).mean().item() == pytest.approx(1.0, rel=0.3)


@pytest.mark.slow
def test_curves_are_in_tensorboard_once_each(recording, tmp_path):
    config = dataclasses.replace(SHORT, checkpoint_interval=1e-9)
    with pytest.raises(InterruptionError):
        Trainer(recording, config, tmp_path, progress=interrupt_at("dynamics", 21)).run()
    trainer = Trainer(recording, config, tmp_path)
    trainer.run()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    offset = 0
    for number, (phase, name) in enumerate(
        zip(PHASES, ("reconstruction", "contrast", "proposals", "one_step"), strict=True)
    ):
        wanted = [
            (row["update"] + offset, pytest.approx(row[name]))
            for row in trainer.history if row["phase"] == number
        ]  # fmt: skip
        found = [(event.step, event.value) for event in events.Scalars(f"{phase}/{name}")]
        assert found == wanted
        offset += getattr(SHORT, f"{phase}_updates")


def test_finished_run_is_not_repeated(recording, finished):
    stages = []
    again = Trainer(
        recording, CONFIG, finished.directory, progress=lambda stage, *_: stages.append(stage)
    )
    again.run()
    assert not set(PHASES) & set(stages)
    for name, tensor in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


def test_other_seed_gives_another_model(recording, finished, tmp_path):
    config = dataclasses.replace(CONFIG, seed=1, **updates(2))
    other = Trainer(recording, config, tmp_path).run().encoder.features[-1].weight  # type: ignore[index, union-attr]
    assert not torch.equal(other, finished.model.encoder.features[-1].weight)


def test_losses_are_those_of_the_chosen_synthesis(recording, tmp_path):
    for chosen, added in (((), ()), (("random",), ()), (("adversarial",), ("adversarial",))):
        config = dataclasses.replace(CONFIG, synthesis=chosen, **updates(1))
        trainer = Trainer(recording, config, tmp_path / "-".join(("run", *chosen)))
        trainer.run()
        assert set(trainer.history[-1]) == {
            "phase", "update", "one_step", "multi_step", *added
        }  # fmt: skip


def test_run_directory_of_other_settings_is_refused(recording, finished):
    config = dataclasses.replace(CONFIG, seed=9)
    with pytest.raises(TrainingError, match="other settings or other data"):
        Trainer(recording, config, finished.directory)


def test_run_directory_of_other_data_is_refused(finished):
    recording = Recording(finished.recording.dataset, limit=3)
    with pytest.raises(TrainingError, match="other settings or other data"):
        Trainer(recording, CONFIG, finished.directory)


@pytest.mark.parametrize("name", ["run.json", "state.pt"])
def test_damaged_run_is_named(recording, tmp_path, name):
    config = dataclasses.replace(CONFIG, **updates(1))
    Trainer(recording, config, tmp_path).run()
    (tmp_path / name).write_bytes(b"{ damaged")
    with pytest.raises(TrainingError, match=rf"{name} is damaged"):
        Trainer(recording, config, tmp_path).run()


def test_validation_episodes_are_never_trained_on(finished):
    assert finished.validation_episodes.tolist() == [3]
    assert finished.train_episodes.tolist() == [0, 1, 2]


def test_rollouts_begin_in_training_episodes(recording, finished):
    expected = random_rollouts(
        recording,
        CONFIG.random,  # type: ignore[attr-defined]
        CONFIG.seed,
        LocalWorkers(),
        episodes=np.arange(3),
    )
    with np.load(finished.directory / "random_rollouts.npz") as rollouts:
        assert np.array_equal(rollouts["states"], expected.states)
        assert np.array_equal(rollouts["images"], expected.images)


def test_states_are_normalised_by_the_training_episodes(finished):
    recording = finished.recording
    states = recording.states[recording.episode_of < 3]
    assert finished.model.state_mean.numpy() == pytest.approx(states.mean(0), abs=1e-5)
    assert finished.model.state_std.numpy() == pytest.approx(states.std(0), rel=1e-4)


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 1, 1, 1),
        (2, 2, 2, 2),
        pytest.param((19, 21, 20, 21), marks=pytest.mark.slow),
        pytest.param((20, 19, 21, 19), marks=pytest.mark.slow),
    ],
)
def test_any_number_of_updates_will_do(recording, tmp_path, numbers):
    wanted = {f"{phase}_updates": number for phase, number in zip(PHASES, numbers, strict=True)}
    config = dataclasses.replace(SHORT, synthesis=(), **wanted)
    trainer = Trainer(recording, config, tmp_path)
    trainer.run()
    last = {row["phase"]: row["update"] for row in trainer.history}
    assert last == {phase: number - 1 for phase, number in enumerate(numbers)}


def test_loss_that_is_not_finite_ends_the_run(recording, tmp_path):
    trainer = Trainer(recording, CONFIG, tmp_path)
    with torch.no_grad():
        trainer.model.decoder.background.fill_(torch.nan)  # type: ignore[operator]
    with pytest.raises(TrainingError, match="loss is nan in update 0 of phase representation"):
        trainer.run()
    assert not (tmp_path / "state.pt").exists()


def dataset_of(path, recording, episodes):
    dataset = Dataset.create(path, recording.spec)
    for index, episode in enumerate(episodes):
        dataset.append(index, episode)
    return Recording(dataset)


def test_single_episode_is_too_few(recording, tmp_path):
    few = dataset_of(tmp_path / "data", recording, [recording.dataset.read(0)])
    with pytest.raises(TrainingError, match="at least 2 are needed"):
        Trainer(few, CONFIG, tmp_path / "run")


def test_episodes_that_are_too_short_are_named(recording, tmp_path):
    config = dataclasses.replace(CONFIG, horizon=20)
    with pytest.raises(TrainingError, match=r"20 model steps \(100 control steps\) are needed"):
        Trainer(recording, config, tmp_path)


def test_random_synthesis_without_a_simulator_is_refused_at_once(recording, tmp_path):
    episodes = [dataclasses.replace(e, simulator_states=None) for e in recording.dataset]
    real = dataset_of(tmp_path / "data", recording, episodes)
    with pytest.raises(TrainingError, match="accepted here: --synthesis adversarial, or none"):
        Trainer(real, CONFIG, tmp_path / "run")
    Trainer(real, dataclasses.replace(CONFIG, synthesis=("adversarial",)), tmp_path / "run")


def test_pose_readout_fits_the_training_episodes(finished):
    recording, model = finished.recording, finished.model
    train = recording.episode_of < 3
    latents = encode_all(model, recording.images[train], recording.states[train])
    errors = model.read_pose(latents).numpy() - recording.poses[train]
    assert model.architecture.pose_names == ("x", "y")
    assert errors.var(0).sum() < 0.5 * recording.poses[train].var(0).sum()
    assert errors.mean(0) == pytest.approx([0.0, 0.0], abs=0.01)


def test_encoding_does_not_depend_on_the_batch(finished):
    recording = finished.recording
    images, states = recording.images[:10], recording.states[:10]
    whole = encode_all(finished.model, images, states)
    assert torch.allclose(whole, encode_all(finished.model, images, states, batch=3), atol=1e-3)
