"""The state in a word, why, and since when; and when a controller counts as gone."""

from __future__ import annotations

import pytest

from wm_mpc.codes import HoldCode, Level, StatusCode
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.view.headline import GONE_AFTER, HeadlineKeeper, Tone, duration


def status(code, sentence="why", **values):
    return MpcStatus("left/mpc", Level.OK, code, sentence, values)


def headline(code, **values):
    keeper = HeadlineKeeper()
    keeper.add(status(code, **values), 0.0)
    return keeper.headline(1.0)


def test_nothing_is_known_before_the_first_status():
    found = HeadlineKeeper().headline(100.0)
    assert found.word == "No controller"
    assert found.code == ""
    assert found.tone is Tone.IDLE


@pytest.mark.parametrize(
    ("code", "word", "tone"),
    [
        (StatusCode.PLANNING, "Planning", Tone.GOOD),
        (StatusCode.DEGRADED, "Degraded", Tone.WARN),
        (StatusCode.INACTIVE, "Not active", Tone.IDLE),
        (StatusCode.FAILED, "Failed", Tone.BAD),
        (HoldCode.STALE_IMAGE, "Holding", Tone.BAD),
        (HoldCode.SURPRISE_IMAGE, "Holding", Tone.BAD),
        (HoldCode.PERSON, "Holding", Tone.WARN),
        (HoldCode.NO_GOAL, "Holding", Tone.WARN),
        ("hold.of_a_newer_version", "Holding", Tone.BAD),
        ("something.new", "something.new", Tone.IDLE),
    ],
)
def test_each_code_has_a_word_and_a_colour(code, word, tone):
    found = headline(code)
    assert (found.word, found.tone) == (word, tone)


@pytest.mark.parametrize("code", [*HoldCode, *StatusCode])
def test_no_code_of_ours_is_shown_as_a_code(code):
    assert "." not in headline(code).word
    assert "_" not in headline(code).word


def test_planning_with_a_warning_is_not_green():
    assert headline(StatusCode.PLANNING, warnings="warning.cameras").tone is Tone.WARN


def test_the_reason_is_the_sentence_of_the_controller():
    assert headline(HoldCode.NO_IMAGE).reason == "why"


def test_a_hold_is_said_once():
    keeper = HeadlineKeeper()
    keeper.add(status(HoldCode.STALE_IMAGE, "holding: the last image is 2.0 s old"), 0.0)
    found = keeper.headline(1.0)
    assert (found.word, found.reason) == ("Holding", "the last image is 2.0 s old")


def test_planning_needs_no_reason():
    keeper = HeadlineKeeper()
    keeper.add(status(StatusCode.PLANNING, "planning"), 0.0)
    assert keeper.headline(0.0).reason == ""


def test_time_counts_from_the_change_of_the_code_not_of_the_sentence():
    keeper = HeadlineKeeper()
    keeper.add(status(HoldCode.STALE_IMAGE, "image is 1.0 s old"), 10.0)
    keeper.add(status(HoldCode.STALE_IMAGE, "image is 2.0 s old"), 11.0)
    assert keeper.headline(12.0).seconds == 2.0
    keeper.add(status(StatusCode.PLANNING), 12.5)
    assert keeper.headline(13.0).seconds == 0.5


def test_a_silent_controller_is_gone_and_the_time_is_that_of_its_silence():
    keeper = HeadlineKeeper()
    keeper.add(status(StatusCode.PLANNING), 10.0)
    assert keeper.headline(10.0 + GONE_AFTER).word == "Planning"
    found = keeper.headline(10.1 + GONE_AFTER)
    assert (found.word, found.tone, found.code) == ("Gone", Tone.BAD, "gone")
    assert found.seconds == pytest.approx(0.1 + GONE_AFTER)
    assert "left/mpc" in found.reason


def test_a_controller_that_comes_back_plans_since_then():
    keeper = HeadlineKeeper()
    keeper.add(status(StatusCode.PLANNING), 0.0)
    keeper.add(status(StatusCode.PLANNING), 60.0)
    assert not keeper.is_gone(61.0)
    assert keeper.headline(61.0).seconds == 1.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"),
     (3600, "1 h 0 min"), (90061, "25 h 1 min")],
)  # fmt: skip
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text
