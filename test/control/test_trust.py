"""What the node `mpc` trusts, and for how long it does not."""

from __future__ import annotations

import pytest

from wm_mpc.control.codes import HoldError
from wm_mpc.control.settings import SurpriseSettings
from wm_mpc.control.surprise import Surprise
from wm_mpc.control.trust import Trust
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.resources import resolve_checkpoint

SECOND = 1_000_000_000
VALUES = SurpriseSettings()


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(resolve_checkpoint("wall"))[0]


@pytest.fixture
def trust(model):
    """It has begun to hold at 1000 s, for 1 s."""
    trust = Trust(model)
    trust._surprise = Surprise(prediction=9.0, image=0.1)
    with pytest.raises(HoldError, match="does not do what the model predicts"):
        trust._pace(1000 * SECOND, VALUES)
    return trust


def holds(trust, seconds):
    try:
        trust.check_pause(round(seconds * SECOND))
    except HoldError:
        return True
    return False


def test_it_holds_for_as_long_as_the_parameter_says(trust):
    assert [holds(trust, 1000.0), holds(trust, 1000.99), holds(trust, 1001.0)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("now", [0.0, 10.0, 900.0, 998.9])
def test_a_clock_that_jumps_back_does_not_hold_until_the_old_time_comes_again(trust, now):
    assert not holds(trust, now)
    assert not holds(trust, 1000.5)


def test_a_clock_that_is_adjusted_does_not_end_the_pause(trust):
    assert holds(trust, 999.9)


def test_a_pause_that_is_over_does_not_come_back(trust):
    assert not holds(trust, 1002.0)
    assert not holds(trust, 1000.5)


def test_a_clock_that_jumps_back_to_within_a_long_pause_ends_it(model):
    """Else the robot would hold for the pause and for as long as the clock jumped."""
    trust = Trust(model)
    trust._surprise = Surprise(prediction=9.0, image=0.1)
    with pytest.raises(HoldError):
        trust._pace(1000 * SECOND, VALUES | {"surprise.pause": 60.0})
    assert [holds(trust, 1000.1), holds(trust, 1020.0)] == [True, True]
    assert not holds(trust, 1015.0)
