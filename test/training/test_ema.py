"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.training.ema import Average


def test_average_is_the_weighted_mean_of_the_past():
    weight = torch.zeros(2)
    average, expected = Average([weight], 0.8), torch.zeros(2)
    for number in range(1, 60):
        weight += torch.tensor([1.0, -2.0])
        average.update()
        decay = min(0.8, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weight
    copied = torch.zeros(2)
    average.copy_to([copied])
    torch.testing.assert_close(copied, expected)
    # of a straight line, in the long run, it is where the line was decay / (1 - decay) ago
    assert copied[0].item() == pytest.approx(59 - 4, abs=0.1)
    assert torch.equal(weight, torch.tensor([59.0, -118.0]))


def test_start_is_soon_forgotten():
    weight = torch.zeros(1)
    average = Average([weight], 0.9999)
    weight += 1.0
    for _ in range(50):
        average.update()
    copied = torch.zeros(1)
    average.copy_to([copied])
    assert copied.item() > 0.99


def test_restored_average_goes_on_exactly():
    weight = torch.randn(3)
    first, second = Average([weight], 0.9), Average([torch.zeros(3)], 0.9)
    first.update()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.state_dict()["values"][0], second.state_dict()["values"][0])
    assert first.state_dict()["count"] == second.state_dict()["count"] == 1
