"""What an open browser costs: how the times of stretches become ratios and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.experiments.speed.viewer_cost import PAGE, SCENE, WITHOUT, report, summary
from wm_mpc.experiments.success.through_ros import LaunchError


def stretches(middle, rounds=4, shift=0.0):
    """Times (ms) around a middle; each round differs from the one before by `shift`."""
    rng = np.random.default_rng(1)
    return [(middle + shift * k + rng.normal(0.0, 1.0, 300)).tolist() for k in range(rounds)]


def measured(trips):
    found = {"task": "push_t", "rounds": 4, "seconds": 30, "stolen_percent": 0.0, "cores": {}}
    return found | summary(trips)


@pytest.mark.slow
def test_a_ratio_compares_with_the_stretches_without_a_browser():
    trips = {WITHOUT: stretches(20.0), PAGE: stretches(21.0), SCENE: stretches(30.0)}
    found = summary(trips)
    assert found["image_to_plan_ms"][PAGE]["plans"] == 1200
    assert found["ratio"][PAGE]["p50"]["ratio"] == pytest.approx(1.05, abs=0.01)
    assert found["ratio"][SCENE]["p50"]["ratio"] == pytest.approx(1.5, abs=0.02)
    assert WITHOUT not in found["ratio"]


@pytest.mark.slow
def test_what_changes_for_both_does_not_widen_the_interval():
    def width(trips):
        row = summary(trips)["ratio"][PAGE]["p50"]
        assert row["low"] <= row["ratio"] <= row["high"]
        return row["high"] - row["low"]

    slower = {WITHOUT: stretches(20.0, shift=2.0), PAGE: stretches(21.0, shift=2.0)}
    uneven = {WITHOUT: stretches(20.0), PAGE: stretches(18.0, shift=2.0)}
    assert width(slower) < 0.03 < width(uneven)


@pytest.mark.slow
@pytest.mark.parametrize(("middle", "verdict"), [(20.2, "holds"), (22.0, "does not hold")])
def test_the_report_says_whether_the_page_is_cheap_enough(middle, verdict):
    text = report(measured({WITHOUT: stretches(20.0), PAGE: stretches(middle)}))
    (line,) = [line for line in text.splitlines() if "p50 x" in line]
    assert line.endswith(f"at most x 1.05 is wanted: {verdict}")


def test_a_stretch_without_plans_is_an_error():
    with pytest.raises(LaunchError, match="no plan came in a stretch with the page"):
        summary({WITHOUT: stretches(20.0), PAGE: [*stretches(20.0, 3), []]})
