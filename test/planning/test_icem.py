"""What iCEM does that CEM does not."""

from __future__ import annotations

import itertools

import pytest
import torch

from wm_mpc.planning.icem import ImprovedCrossEntropyPlanner, coloured_noise


@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize("exponent", [0.0, 2.0, 4.0])
def test_noise_has_unit_deviation_at_every_step(horizon, exponent):
    noise = coloured_noise((20000, horizon, 2), exponent, torch.Generator().manual_seed(0))
    assert noise.shape == (20000, horizon, 2)
    assert noise.std(0) == pytest.approx(torch.ones(horizon, 2), abs=0.03)
    assert noise.mean(0) == pytest.approx(torch.zeros(horizon, 2), abs=0.03)


def neighbours(exponent):
    noise = coloured_noise((5000, 20, 1), exponent, torch.Generator().manual_seed(0))[..., 0]
    return float((noise[:, 1:] * noise[:, :-1]).mean())


def test_colour_makes_neighbouring_steps_alike():
    assert abs(neighbours(0.0)) < 0.05
    assert neighbours(2.0) > 0.7
    assert neighbours(4.0) > neighbours(2.0)


def test_samples_become_fewer_and_the_best_stay():
    asked = []

    def cost(actions):
        asked.append(actions.clone())
        return (actions - 0.3).square().sum((1, 2))

    planner = ImprovedCrossEntropyPlanner(samples=60, elites=5, iterations=4, decay=2.0)
    proposals = torch.zeros(3, 4, 2)
    planner.plan(cost, proposals, budget=torch.inf, generator=torch.Generator().manual_seed(0))
    assert [len(actions) for actions in asked] == [60 + 3, 30 + 2, 15 + 2, 10 + 2]
    for before, after in itertools.pairwise(asked):
        best = before[(before - 0.3).square().sum((1, 2)).argmin()]
        assert (after == best).all(-1).all(-1).any()


def test_a_proposal_that_no_sample_could_be_is_found():
    def cost(actions):
        return torch.where(
            (actions == 0.125).all(-1).all(-1), 0.0, 1.0 + actions.square().sum((1, 2))
        )

    proposals = torch.zeros(3, 4, 2)
    proposals[2] = 0.125
    result = ImprovedCrossEntropyPlanner().plan(
        cost, proposals, budget=torch.inf, generator=torch.Generator().manual_seed(0)
    )
    assert result.cost == 0.0
