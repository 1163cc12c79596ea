"""The optimiser: PyTorch's numbers and states, without what PyTorch imports for its compiler."""

from __future__ import annotations

import copy

import pytest
import torch

from wm_mpc.training.optimiser import AdamW


def make(kind, **settings):
    """A small network with an optimiser of this kind, whose rate changes with every update."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ELU(), torch.nn.Linear(5, 1))
    optimizer = kind(network.parameters(), 0.05, **settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, 40)
    return network, optimizer, schedule


def learn(network, optimizer, schedule, updates, first=0):
    for number in range(first, first + updates):
        inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        network(inputs).square().mean().backward()
        optimizer.step()
        schedule.step()
    return [weight.detach().clone() for weight in network.parameters()]


def assert_same(weights, others):
    for weight, other in zip(weights, others, strict=True):
        assert torch.equal(weight, other)


@pytest.mark.parametrize(
    ("theirs", "settings"),
    [(torch.optim.AdamW, {"weight_decay": 0.1}), (torch.optim.Adam, {"weight_decay": 0.0})],
    ids=["AdamW", "Adam"],
)
def test_weights_become_those_of_pytorch_bit_for_bit(theirs, settings):
    weights, others = (learn(*make(kind, **settings), updates=30) for kind in (AdamW, theirs))
    assert_same(weights, others)


@pytest.mark.parametrize("saved_by", [AdamW, torch.optim.AdamW], ids=["ours", "PyTorch's"])
@pytest.mark.parametrize("loaded_by", [AdamW, torch.optim.AdamW], ids=["ours", "PyTorch's"])
def test_a_saved_state_is_continued_by_ours_and_by_pytorch(saved_by, loaded_by):
    whole = learn(*make(AdamW), updates=30)
    first = make(saved_by)
    learn(*first, updates=10)
    state = copy.deepcopy([part.state_dict() for part in first])
    second = make(loaded_by)
    for part, saved in zip(second, state, strict=True):
        part.load_state_dict(saved)
    assert_same(learn(*second, updates=20, first=10), whole)


def test_an_update_leaves_gradients_on_and_returns_what_the_closure_does():
    network, optimizer, _ = make(AdamW)
    asked = []

    def closure():
        asked.append(torch.is_grad_enabled())
        loss = network(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    before = network(torch.ones(1, 3)).item()
    assert optimizer.step(closure).item() == before
    assert asked == [True]
    assert torch.is_grad_enabled()
    assert not any(weight.grad_fn for weight in network.parameters())
    assert network(torch.ones(1, 3)).item() < before


def test_hooks_of_an_update_are_called():
    network, optimizer, schedule = make(AdamW)
    called = []
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))
    learn(network, optimizer, schedule, updates=2)
    assert called == 2 * ["before", "after"]
