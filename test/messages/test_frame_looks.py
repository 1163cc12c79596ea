"""What is said of odometry that changes its frames in one stream."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from wm_mpc.messages.frame_looks import FrameLooks


def odometry(frame="odom", body="base_link"):
    return SimpleNamespace(header=SimpleNamespace(frame_id=frame), child_frame_id=body)


def said(*messages):
    looks = FrameLooks("/odom")
    return [looks.see(message) for message in messages], looks


def test_nothing_is_said_of_one_frame():
    at_once, looks = said(*[odometry()] * 5)
    assert at_once == [[]] * 5
    assert looks.mixed() == looks.summary() == ""


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (odometry("map"), "frame_id (2 'odom', 1 'map')"),
        (odometry(""), "frame_id (2 'odom', 1 '')"),
        (odometry(body="camera"), "child_frame_id (2 'base_link', 1 'camera')"),
    ],
)
def test_a_frame_that_changes_is_said_once_with_both_names(other, text):
    at_once, looks = said(odometry(), odometry(), other, other)
    assert at_once[:2] == [[], []]
    assert at_once[2] == [
        "the messages of /odom are of several frames, and their numbers are mixed: " + text
    ]
    assert at_once[3] == []
    assert looks.mixed() == ""  # it stays in the new frame


def test_two_sources_in_turn_stay_mixed():
    at_once, looks = said(*[odometry("odom"), odometry("map")] * 10)
    assert sum(map(len, at_once)) == 1
    assert "10 'odom', 10 'map'" in looks.mixed()


def test_a_pose_has_no_body():
    assert said(*[SimpleNamespace(header=SimpleNamespace(frame_id="map"))] * 3)[0] == [[]] * 3


def test_thousands_of_names_are_not_kept():
    _, looks = said(*[odometry(f"frame_{k}") for k in range(5000)])
    assert len(looks.summary()) < 400
