"""Intervals of success rates, and comparisons on the same episodes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.experiments.common.statistics import (
    holm,
    mcnemar_exact,
    permutation_exact,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        # Newcombe 1998, Two-sided confidence intervals for the single proportion, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_known_intervals(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_rate_and_is_symmetric(case):
    successes, trials = case
    low, high = wilson_interval(successes, trials)
    rate = successes / trials
    assert 0.0 <= low <= high <= 1.0
    assert low - 1e-12 <= rate <= high + 1e-12
    mirrored = wilson_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-9)


def test_more_trials_narrow_the_interval():
    widths = [high - low for low, high in (wilson_interval(n // 2, n) for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} successes in {trials} trials"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (0, 5, 0.0625),
        (0, 6, 0.03125),
        (5, 5, 1.0),
        (2, 8, 0.109375),
        (1, 9, 0.021484375),
        (12, 5, 0.1435),
        # The approval ratings of Agresti 1990, Categorical Data Analysis, p. 350
        (150, 86, 3.716e-05),
    ],
)
def test_known_mcnemar_values(only_first, only_second, p_value):
    assert mcnemar_exact(only_first, only_second) == pytest.approx(p_value, rel=1e-3)


@given(st.integers(0, 1500), st.integers(0, 1500))
def test_mcnemar_is_a_probability_and_does_not_depend_on_the_order(first, second):
    p_value = mcnemar_exact(first, second)
    assert 0.0 <= p_value <= 1.0
    assert p_value == mcnemar_exact(second, first)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="-1 and 3; they cannot be negative"):
        mcnemar_exact(-1, 3)


def test_holm_corrects_the_smallest_most_and_keeps_the_order():
    # multipliers 4, 3, 2, 1 from the smallest; no value below that of a smaller one
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_the_number_of_tests(p_values):
    for before, after in zip(p_values, holm(p_values), strict=True):
        assert before <= after <= min(1.0, len(p_values) * before)


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(ValueError, match=r"accepted: 0 to 1"):
        holm([0.5, 1.2])


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        ([1.0, 0.9, 0.8], [0.7, 0.6, 0.5], 2 / 20),  # the most that 3 against 3 can show
        ([0.7, 0.6, 0.5], [1.0, 0.9, 0.8], 2 / 20),
        ([1.0] * 5, [0.0] * 5, 2 / 252),
        ([0.5, 0.5], [0.5, 0.5], 1.0),
        ([0.9], [0.1], 1.0),
        ([1.0, 0.6], [0.8, 0.4], 4 / 6),  # differences 0.2; 0.4, 0, 0, 0.4, 0.2
    ],
)
def test_permutation_test_counts_divisions_as_different_as_the_one_seen(first, second, p_value):
    assert permutation_exact(first, second) == pytest.approx(p_value)


def test_permutation_test_needs_values():
    with pytest.raises(ValueError, match="0 and 1 values"):
        permutation_exact([], [0.5])
    with pytest.raises(ValueError, match="accepted: finite numbers"):
        permutation_exact([math.nan, 1.0], [0.0, 0.5])
    with pytest.raises(ValueError, match="12 against 12 values can be divided in too many ways"):
        permutation_exact([0.5] * 12, [0.5] * 12)


def test_permutation_test_does_not_depend_on_the_unit():
    assert permutation_exact([1e-12, 2e-12, 3e-12], [0.0, 0.0, 0.0]) == pytest.approx(0.1)
