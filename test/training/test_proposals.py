"""First plans, learned from hindsight: what is proposed is what once led there."""

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
from wm_mpc.training.phases.phase import PhaseInputs
from wm_mpc.training.phases.proposals import ProposalsPhase

SPEC = RobotSpec(
    "toy",
    ActionSpec(("a",), "velocity", "m/s", (-1.0,), (1.0,)),
    StateSpec(("x",), ("m",), "odom"),
    ImageSpec(16, 16),
    control_period=0.1,
    frame_skip=1,
)
CONFIG = TrainConfig(proposals_updates=200, proposals_rate=6e-3)
LENGTH, EPISODES, STEPS = 30, 20, 3
TRAIN = np.arange(2, EPISODES)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    dataset = Dataset.create(tmp_path_factory.mktemp("walks") / "data", SPEC)
    rng = np.random.default_rng(0)
    for index in range(EPISODES):
        actions = rng.uniform(-1.0, 1.0, (LENGTH - 1, 1)).astype(np.float32)
        states = np.concatenate([np.zeros((1, 1)), actions.cumsum(0)]).astype(np.float32)
        images = np.zeros((LENGTH, 16, 16, 3), np.uint8)
        dataset.append(index, Episode(images, states, actions))
    return Recording(dataset)


def trained(recording, scene_of):
    """A model whose scene has one coordinate that matters: `scene_of` the way so far."""
    torch.manual_seed(0)
    sizes = Architecture(3, 4, 4, hidden=8, proposals=6, proposal_steps=STEPS)
    model = WorldModel(SPEC, sizes)
    way = torch.from_numpy(recording.states[:, 0])
    latents = torch.zeros(len(way), model.latent_size)
    latents[:, 0] = scene_of(way)
    phase = ProposalsPhase(PhaseInputs(model, recording, CONFIG, TRAIN, latents))
    optimisation = Optimisation(Compute().launch(), phase, CONFIG)
    losses = [
        optimisation.update(phase.batch(np.random.default_rng(number)))["proposals"].item()
        for number in range(CONFIG.proposals_updates)
    ]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    return model.requires_grad_(False)


def proposed(model, present, goal):
    """Plans (n, steps) from one value of the scene's coordinate to another."""
    latents = torch.zeros(2, model.latent_size)
    latents[:, 0] = torch.tensor([present, goal])
    return model.propose(*latents)[..., 0]


@pytest.fixture(scope="module")
def mover(recording):
    return trained(recording, lambda way: way)


@pytest.mark.parametrize("distance", [-1.5, -0.5, 0.6, 1.5])
def test_plans_lead_to_the_goal(mover, distance):
    """A goal may be one, two or three steps ahead: some plan gets there in each number of steps."""
    reached = proposed(mover, 0.3, 0.3 + distance).cumsum(1)
    assert (reached - distance).abs().min() < 0.2
    assert (reached * np.sign(distance)).max(1).values.mean() > 0.3


@pytest.mark.slow
def test_different_ways_to_one_goal_are_different_plans(recording):
    """Where both directions lead to the scene that is seen, both are proposed."""
    model = trained(recording, lambda way: way.abs())
    first = proposed(model, 0.0, 0.8)[:, 0]
    assert first.min() < -0.3
    assert first.max() > 0.3


def test_frames_are_of_one_episode_and_in_order(recording, mover):
    latents = torch.zeros(len(recording.images), mover.latent_size)
    phase = ProposalsPhase(PhaseInputs(mover, recording, CONFIG, TRAIN, latents))
    present, reached, actions, taken = phase.batch(np.random.default_rng(0))
    episode = recording.episode_of
    assert set(episode[present]) <= set(TRAIN)
    assert (episode[present] == episode[reached]).all()
    assert torch.equal(reached - present, taken)
    assert {1, 2, 3} == set(taken.tolist())
    way = recording.states[:, 0]
    for number in range(20):
        steps = int(taken[number])
        moved = way[reached[number]] - way[present[number]]
        assert actions[number, :steps].sum().item() == pytest.approx(moved, abs=1e-4)


def test_plans_are_as_long_as_the_shortest_recording_allows(recording):
    model = WorldModel(SPEC, Architecture(3, 4, 4, hidden=8, proposals=2, proposal_steps=99))
    latents = torch.zeros(len(recording.images), model.latent_size)
    phase = ProposalsPhase(PhaseInputs(model, recording, CONFIG, TRAIN, latents))
    batch = phase.batch(np.random.default_rng(0))
    assert batch[2].shape[1] == LENGTH - 1
    assert torch.isfinite(phase(*batch)["proposals"])


def test_model_without_proposals_proposes_nothing():
    model = WorldModel(SPEC, Architecture(3, 4, 4, hidden=8, proposals=0))
    latent = torch.zeros(model.latent_size)
    assert model.propose(latent, latent).shape == (0, 5, 1)
    assert ProposalsPhase.weights_of(model) == []
