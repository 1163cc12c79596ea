"""The distance to a goal, learned from time: what is far to go is far, however near it looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wm_mpc.data.episodes import Dataset, Episode, Recording
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec
from wm_mpc.training.compute import Compute
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.optimisation import Optimisation
from wm_mpc.training.phases.embedding import EmbeddingPhase
from wm_mpc.training.phases.phase import PhaseInputs

SPEC = RobotSpec(
    "toy",
    ActionSpec(("a",), "velocity", "m/s", (-1.0,), (1.0,)),
    StateSpec(("x",), ("m",), "odom"),
    ImageSpec(16, 16),
    control_period=0.1,
    frame_skip=1,
)
CONFIG = TrainConfig(embedding_updates=200, embedding_rate=1e-2, embedding_lags=(1, 2, 4, 8, 16))
LENGTHS = np.random.default_rng(0).integers(30, 40, 20)  # of the episodes, in frames
TRAIN = np.arange(1, 19)
# Two arms side by side, joined at one end.
ARM, GAP, STEP = 2.0, 0.25, 0.08
PATH = 2 * ARM + GAP


def make_recording(path, lengths=LENGTHS, layouts=None):
    """Episodes of so many frames; what they show plays no part."""
    dataset = Dataset.create(path, SPEC)
    for index, length in enumerate(lengths):
        images = np.zeros((length, 16, 16, 3), np.uint8)
        states, actions = np.zeros((length, 1), np.float32), np.zeros((length - 1, 1), np.float32)
        layout = None if layouts is None else np.array([layouts[index]], float)
        dataset.append(index, Episode(images, states, actions, layout=layout))
    return Recording(dataset)


def walk(rng, length):
    """Ways along the path (frames,): to and fro, at one speed."""
    way, step = [rng.uniform(0.0, PATH)], rng.choice([-STEP, STEP])
    while len(way) < length:
        if not 0.0 <= way[-1] + step <= PATH:
            step = -step
        way.append(way[-1] + step)
    return np.array(way)


def latents_at(way):
    """Latents (frames, 7) of points so far along the path: x and y are the first coordinates."""
    latents = torch.zeros(len(way), 7)
    latents[:, 0] = torch.from_numpy(np.minimum(np.minimum(way, ARM), PATH - way))
    latents[:, 1] = torch.from_numpy(np.clip(way - ARM, 0.0, GAP))
    return latents


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return make_recording(tmp_path_factory.mktemp("walks") / "data")


@pytest.fixture(scope="module")
def latents():
    rng = np.random.default_rng(1)
    return latents_at(np.concatenate([walk(rng, length) for length in LENGTHS]))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WorldModel(SPEC, Architecture(3, 4, 4, hidden=8))


@pytest.fixture
def phase(model, recording, latents):
    return EmbeddingPhase(PhaseInputs(model, recording, CONFIG, TRAIN, latents))


def train(phase, updates, seed=0):
    """As the trainer does; returns the losses."""
    optimisation = Optimisation(Compute().launch(), phase, CONFIG)
    generators = (np.random.default_rng([seed, number]) for number in range(updates))
    losses = [optimisation.update(phase.batch(rng))["contrast"].item() for rng in generators]
    phase.finish()
    return losses


def batches(phase, count=50):
    """Frames (n,), partners (n,) and the time between them, of many batches."""
    for seed in range(count):
        before, after, _, number = phase.batch(np.random.default_rng(seed))
        yield before.numpy(), after.numpy(), CONFIG.embedding_lags[number]


def distance(model, first, second):
    """Of the places so far along the path, as goals are compared."""
    embedded = model.embed(latents_at(np.array([first, second])))
    return (embedded[0] - embedded[1]).norm().item()


def detour(model):
    """How many times as far the ends of the arms are apart as places on one arm whose latents have
    the same distance."""
    starts = (0.0, 0.3 * ARM, 0.8 * ARM, PATH - GAP)
    return distance(model, 0.0, PATH) / max(distance(model, a, a + GAP) for a in starts)


@pytest.mark.slow
def test_ends_of_two_arms_are_far_apart_however_near_they_look(model, phase):
    assert detour(model) == pytest.approx(1.0, rel=1e-4)  # untrained: as near as they look
    train(phase, 200)
    assert detour(model) > 4.0


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 0.75 * ARM], ids=["along an arm", "round the bend"])
def test_what_takes_longer_is_farther_up_to_the_longest_lag(model, phase, start):
    train(phase, 200)
    distances = [distance(model, start, start + lag * STEP) for lag in CONFIG.embedding_lags]
    assert (np.diff(distances) > 0.05).all()


def test_two_random_frames_have_a_mean_squared_distance_of_one(model, recording, latents, phase):
    train(phase, 20)
    frames = np.flatnonzero(np.isin(recording.episode_of, TRAIN))
    embedded = model.embed(latents[frames])
    assert torch.cdist(embedded, embedded).square().mean().item() == pytest.approx(1.0, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [True, False])
def test_furniture_is_no_distance(tmp_path, latents, apart):
    """A coordinate that tells episodes apart, and nothing else, is of use only if it may be."""
    layouts = np.arange(len(LENGTHS)) if apart else np.zeros(len(LENGTHS))
    recording = make_recording(tmp_path / "data", layouts=layouts)
    furnished = latents.clone()
    furnished[:, 2] = 3.0 * torch.from_numpy(np.sin(5.0 * recording.episode_of))
    torch.manual_seed(0)
    model = WorldModel(SPEC, Architecture(3, 4, 4, hidden=8))
    train(EmbeddingPhase(PhaseInputs(model, recording, CONFIG, TRAIN, furnished)), 100)
    within = []
    for episode in TRAIN:
        embedded = model.embed(furnished[recording.episode_of == episode])
        within.append(torch.cdist(embedded, embedded).square().mean().item())
    if apart:
        assert np.mean(within) == pytest.approx(1.0, rel=0.1)
    else:
        assert np.mean(within) < 0.5


def test_partner_is_exactly_the_lag_later_in_the_same_training_episode(recording, phase):
    episodes = set()
    for before, after, lag in batches(phase):
        assert (after - before == lag).all()
        assert (recording.episode_of[before] == recording.episode_of[after]).all()
        episodes |= set(recording.episode_of[before])
    assert episodes == set(TRAIN)


def test_all_lags_and_all_parts_of_an_episode_are_drawn(recording, phase):
    drawn = list(batches(phase, 200))
    assert {lag for *_, lag in drawn} == set(CONFIG.embedding_lags)
    frames = np.unique(np.concatenate([np.concatenate(pair[:2]) for pair in drawn]))
    assert np.array_equal(frames, np.flatnonzero(np.isin(recording.episode_of, TRAIN)))


@pytest.mark.parametrize(("longest", "longest_lag"), [(17, 16), (16, 8), (3, 2), (2, 1)])
def test_lag_that_no_episode_has_room_for_is_left_out(model, tmp_path, longest, longest_lag):
    recording = make_recording(tmp_path / "data", [40, 2, longest, 2])
    latents = torch.zeros(44 + longest, 7)
    phase = EmbeddingPhase(PhaseInputs(model, recording, CONFIG, np.array([1, 2, 3]), latents))
    drawn = list(batches(phase))
    assert {lag for *_, lag in drawn} == {n for n in CONFIG.embedding_lags if n <= longest_lag}
    for before, after, lag in drawn:
        assert (recording.episode_of[before] == recording.episode_of[after]).all()
        assert lag == 1 or set(recording.episode_of[before]) == {2}


def test_lag_is_one_step_when_all_are_too_long(model, recording, latents):
    config = TrainConfig(embedding_lags=(100, 200))
    phase = EmbeddingPhase(PhaseInputs(model, recording, config, TRAIN, latents))
    before, after, _, _ = phase.batch(np.random.default_rng(0))
    assert (after - before == 1).all()


def test_embedding_alone_is_trained(model, phase):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(phase, 3)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("embedding."), name
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith("embedding."), name


def test_same_seed_gives_the_same_embedding(model, recording, latents):
    outcomes = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        twin = WorldModel(SPEC, model.architecture)
        losses = train(
            EmbeddingPhase(PhaseInputs(twin, recording, CONFIG, TRAIN, latents)), 10, seed
        )
        outcomes.append((losses, twin.embed(latents)))
    assert outcomes[0][0] == outcomes[1][0] != outcomes[2][0]
    assert torch.equal(outcomes[0][1], outcomes[1][1])
    assert not torch.equal(outcomes[0][1], outcomes[2][1])
