"""What an update sees: as many windows for every variant, and from the right places."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.model import losses
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.synthesis.method import Rollouts
from wm_mpc.synthesis.registry import METHODS
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.phases.dynamics import DynamicsPhase
from wm_mpc.training.phases.phase import PhaseInputs
from wm_mpc.training.phases.proposals import ProposalsPhase
from wm_mpc.training.phases.registry import PHASES, check_phases, of_representation
from wm_mpc.training.phases.representation import RepresentationPhase
from wm_mpc.training.replay import Replay, encode_all

CONFIG = TrainConfig(
    horizon=3, dynamics_batch=40, representation_batch=6, architecture=Architecture(4, 4, 4)
)
TRAIN = np.array([0, 1, 2])


@pytest.fixture(scope="module", params=[1, 2], ids=["history 1", "history 2"])
def model(request, recording):
    torch.manual_seed(0)
    spec = dataclasses.replace(recording.spec, history=request.param)
    return WorldModel(spec, CONFIG.architecture)


@pytest.fixture(scope="module")
def latents(model, recording):
    """The number of the frame in place of the first latent dimension, so that one can tell."""
    latents = encode_all(model, recording.images, recording.states)
    latents[:, 0] = torch.arange(len(latents))
    return latents


def replay_of(model, directory, marker, steps, count=5):
    """Rollouts whose actions are all `marker`; not recorded, so seen by their actions."""
    replay, block = Replay(model, directory), model.spec.block_size
    rng = np.random.default_rng(0)
    rollouts = Rollouts(
        rng.integers(0, 255, (count, steps + 1, 64, 64, 3), dtype=np.uint8),
        rng.normal(size=(count, steps + 1, 2)).astype(np.float32),
        np.full((count, steps, block), marker, np.float32),
    )
    replay.add(f"marker_{marker}_{steps}", lambda: rollouts)
    return replay


def phase_of(model, recording, latents, replays, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return DynamicsPhase(PhaseInputs(model, recording, config, TRAIN, latents, replays))


def drawn(phase, seed=0):
    return phase.batch(np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("share", "markers", "wanted"),
    [
        (0.5, (), {}), (0.5, (7,), {7: 20}), (0.5, (7, 8), {7: 10, 8: 10}),
        (0.2, (7, 8), {7: 4, 8: 4}), (0.0, (7,), {}), (0.99, (7,), {7: 39}),
    ],
)  # fmt: skip
def test_all_variants_see_as_many_windows(
    model, recording, latents, tmp_path, share, markers, wanted
):
    steps = model.spec.history + 2
    replays = [replay_of(model, tmp_path, marker, steps) for marker in markers]
    empty = Replay(model, tmp_path)
    phase = phase_of(model, recording, latents, [*replays, empty], synthesis_share=share)
    windows, _ = drawn(phase)
    assert sum(len(actions) for _, actions in windows) == CONFIG.dynamics_batch
    first = torch.cat([actions[:, 0, 0] for _, actions in windows])
    counts = {marker: int((first == marker).sum()) for marker in markers}
    assert {marker: count for marker, count in counts.items() if count} == wanted


def test_windows_of_one_length_are_one_batch(model, recording, latents, tmp_path):
    steps = model.spec.history + 2
    longer, shorter = (replay_of(model, tmp_path, 7, s) for s in (steps + 3, steps - 1))
    lengths = [
        [(len(actions), actions.shape[1]) for _, actions in
         drawn(phase_of(model, recording, latents, [replay]))[0]]
        for replay in (longer, shorter)
    ]  # fmt: skip
    assert lengths[0] == [(40, steps)]  # longer ones are cut
    assert lengths[1] == [(20, steps - 1), (20, steps)]


def test_every_part_of_a_longer_rollout_is_used(model, tmp_path):
    replay = replay_of(model, tmp_path, 7, 6)
    latents, actions = replay.batch(np.random.default_rng(0), 300, 4)
    assert latents.shape == (300, 5, model.latent_size)
    assert actions.shape == (300, 4, model.spec.block_size)
    assert len({tuple(row) for row in latents[:, 0].tolist()}) == 5 * 3


def test_recorded_windows_are_of_training_episodes_and_in_order(model, recording, latents):
    (windows,), _ = drawn(phase_of(model, recording, latents, []))
    frames = windows[0][..., 0].long()
    assert set(recording.episode_of[frames.flatten().numpy()]) == {0, 1, 2}
    assert (frames.diff(dim=1) == recording.spec.frame_skip).all()
    _, blocks = recording.window(frames[:, 0].numpy(), windows[1].shape[1])
    assert np.array_equal(windows[1], blocks)


def test_shipped_phases_keep_their_order_and_their_random_numbers():
    """Both decide the weights that a seed gives."""
    assert {name: phase.stream for name, phase in PHASES.items()} == {
        "representation": 0, "embedding": 1, "proposals": 2, "dynamics": 3
    }  # fmt: skip
    assert of_representation() == ("representation", "embedding", "proposals")


def test_phases_with_the_same_random_numbers_are_refused():
    class Other(ProposalsPhase):
        name, stream = "other", 3

    message = "phase other: stream is 3, which phase dynamics has; .*, such as 4"
    with pytest.raises(TypeError, match=message):
        check_phases({**PHASES, "other": Other})


def test_phase_registered_under_another_name_is_refused():
    with pytest.raises(TypeError, match="phase proposals is registered as plans"):
        check_phases({"plans": ProposalsPhase})


def test_phase_without_latents_that_needs_them_says_so(model, recording):
    with pytest.raises(ValueError, match="latents is None"):
        DynamicsPhase(PhaseInputs(model, recording, CONFIG, TRAIN))


def test_dynamics_phase_trains_the_dynamics_alone(model, recording, latents):
    phase = phase_of(model, recording, latents, [])
    terms = phase(*drawn(phase))
    model.zero_grad()
    sum(terms.values()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith("dynamics."), name


def test_losses_are_means_over_all_predictions(model, recording, latents, tmp_path):
    """Whatever the lengths: the same as written out per window."""
    replay = replay_of(model, tmp_path, 0.5, model.spec.history)
    phase = phase_of(model, recording, latents / 100.0, [replay], synthesis=("random",))
    windows, seed = drawn(phase)
    assert len(windows) == 2
    terms = phase(windows, seed)
    history = model.spec.history
    for name, loss in (("one_step", losses.one_step), ("multi_step", losses.multi_step)):
        total, count = 0.0, 0
        for states, actions in windows:
            for number in range(len(actions)):
                predictions = actions.shape[1] - history + 1
                one = loss(model, states[number : number + 1], actions[number : number + 1])
                total, count = total + one.item() * predictions, count + predictions
        assert terms[name].item() == pytest.approx(total / count, rel=1e-4)


def test_adversary_attacks_all_transitions(model, recording, latents, tmp_path, monkeypatch):
    attacked = []

    def spy(model, pairs, blocks, *_):
        attacked.append((pairs, blocks))
        return pairs, blocks

    spied = dataclasses.replace(METHODS["adversarial"], perturb=spy)
    monkeypatch.setitem(METHODS, "adversarial", spied)
    steps = model.spec.history + 2
    replay = replay_of(model, tmp_path, 7, steps)
    phase = phase_of(model, recording, latents, [replay])
    terms = phase(*drawn(phase))
    ((pairs, blocks),) = attacked
    transitions = steps - model.spec.history + 1
    assert pairs.shape[:2] == (40 * transitions, model.spec.history + 1)
    assert int((blocks[:, 0, 0] == 7).sum()) == 20 * transitions
    # unperturbed, as the spy left them, they are the clean ones
    assert terms["adversarial"].item() == pytest.approx(terms["one_step"].item(), rel=1e-5)


def test_adversarial_loss_is_worse_than_the_clean_one(model, recording, latents):
    phase = phase_of(model, recording, latents / 100.0, [])
    terms = phase(*drawn(phase))
    assert terms["adversarial"] > terms["one_step"]
    assert "adversarial" not in phase_of(model, recording, latents, [], synthesis=())(*drawn(phase))


def test_representation_phase_trains_encoder_decoder_and_dynamics_from_pixels(model, recording):
    phase = RepresentationPhase(PhaseInputs(model, recording, CONFIG, TRAIN))
    images, states, actions, seen = phase.batch(np.random.default_rng(0))
    steps = model.spec.history + 1
    assert images.shape == (6, steps + 1, 64, 64, 3)
    assert images.dtype == torch.uint8
    assert states.shape == (6, steps + 1, 2)
    assert actions.shape == (6, steps, model.spec.block_size)
    model.zero_grad()
    sum(phase(images, states, actions, seen).values()).backward()
    for name, parameter in model.named_parameters():
        is_trained = name.startswith(("encoder.", "decoder.", "dynamics."))
        assert (parameter.grad is not None) == is_trained, name
        assert parameter.requires_grad == is_trained, name
