"""Evidence that actions have not the effect that the model predicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_mpc.control.effect import Effect

HOLD = 5.0  # surprise.effect


def after(share, size=1.0, moments=50, *, effect=None):
    """The evidence after so many moments. share: of the predicted effect that was seen. size: of
    the effect, in usual errors."""
    effect = effect or Effect()
    resting = np.array([0.3, -0.2, 0.1, 0.0])
    step = size * np.array([1.0, -1.0, 1.0, -1.0])
    for _ in range(moments):
        effect.add(resting + share * step, resting + step, resting)
    return effect


@pytest.mark.parametrize(("share", "held", "slowed"), [
    (-1.0, True, True), (0.0, True, True), (0.2, True, True), (0.5, False, True),
    (0.65, False, True), (0.75, False, False), (1.0, False, False), (3.0, False, False),
])  # fmt: skip
def test_small_shares_are_evidence_and_large_ones_are_not(share, held, slowed):
    effect = after(share, moments=300)
    assert (effect.missing > HOLD, effect.weak > HOLD) == (held, slowed)
    assert effect.share == pytest.approx(share)


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5])
def test_where_little_should_move_nothing_is_evidence(share):
    effect = after(share, size=0.29, moments=1000)
    assert effect.missing == effect.weak == 0.0
    assert math.isnan(effect.share)


def test_the_opposite_is_noticed_in_a_few_moments_and_standing_still_in_a_second_or_two():
    moments = [next(n for n in range(1, 99) if after(s, moments=n).missing > HOLD)
               for s in (-1.0, 0.0)]  # fmt: skip
    assert moments == [6, 22]


def test_one_wild_moment_is_no_evidence():
    assert after(-100.0, moments=1).missing == 1.0


def test_good_moments_outweigh_bad_ones():
    effect = after(0.0, moments=20)
    assert effect.missing > 4.0
    assert after(1.0, moments=10, effect=effect).missing == 0.0


def test_errors_in_other_directions_do_not_count():
    effect, step, other = Effect(), np.array([1.0, 1.0]), np.array([5.0, -5.0])
    for _ in range(50):
        effect.add(step + other, step, np.zeros(2))
    assert effect.missing == effect.weak == 0.0
    assert effect.share == pytest.approx(1.0)


def test_what_is_no_number_does_not_count():
    effect = after(0.0, moments=5)
    before = effect.missing
    for seen, predicted in ((math.nan, 1.0), (0.0, math.nan), (math.inf, 1.0)):
        effect.add(np.full(2, seen), np.full(2, predicted), np.zeros(2))
    assert effect.missing == before


def test_forgetting_begins_from_nothing():
    effect = after(0.0)
    effect.forget()
    assert effect.missing == effect.weak == 0.0
    assert math.isnan(effect.share)
