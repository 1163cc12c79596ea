"""Pictures of several cameras are joined where they are of one moment."""

from __future__ import annotations

import pytest

from wm_mpc.messages.camera_pairs import CameraPairs, Frame

MS = 1_000_000


class Pair:
    """Two cameras, and a control period of 100 ms."""

    def __init__(self, cameras=2):
        self.pairs = CameraPairs(cameras, 0.1)

    def come(self, camera, at):
        """What is joined when a picture taken at `at` ms comes; None without."""
        found = self.pairs.add(camera, Frame((camera, at), round(at * MS), 0.0))
        return None if found is None else tuple(stamp for _, stamp in found[0].messages)


@pytest.fixture
def pair():
    return Pair()


def test_pictures_of_one_moment_are_joined_once(pair):
    assert pair.come(0, 0) is None
    assert pair.come(1, 0) == (0, 0)
    assert pair.come(1, 1) is None
    assert pair.come(1, 100) is None
    assert pair.come(0, 100) == (100, 100)


def test_a_late_camera_is_joined_with_the_picture_of_its_moment(pair):
    for at in range(0, 300, 100):
        pair.come(0, at)
    assert pair.come(1, 200) == (200, 200)
    pair.come(0, 300)
    pair.come(0, 400)
    assert pair.come(1, 300) == (300, 300)
    assert pair.come(1, 400) == (400, 400)


def test_cameras_that_are_not_triggered_together_are_joined_with_the_nearest(pair):
    joined = []
    for at in range(0, 1000, 100):
        joined += [pair.come(0, at), pair.come(1, at + 30)]
    assert [found for found in joined if found] == [(at, at + 30) for at in range(0, 1000, 100)]


def test_of_fast_cameras_no_neighbour_is_taken_for_the_picture_of_the_moment(pair):
    """At 30 Hz, 33 ms apart are other moments, although a control period is longer."""
    for at in range(0, 330, 33):
        pair.come(0, at)
        pair.come(1, at)
    assert pair.come(0, 330) is None
    assert pair.come(1, 330) == (330, 330)


def test_a_slow_camera_sets_how_far_pictures_may_be_apart(pair):
    found = []
    for at in range(0, 1000, 25):
        found.append(pair.come(0, at))
        if at % 100 == 0:
            found.append(pair.come(1, at))
    joined = [both for both in found if both]
    assert len(joined) > 20
    assert max(abs(a - b) for a, b in joined) <= 50


def test_pictures_half_a_control_period_apart_are_of_two_moments(pair):
    assert pair.come(0, 0) is None
    assert pair.come(1, 51) is None
    assert pair.pairs.joined is None


def test_three_cameras_wait_for_the_last():
    three = Pair(3)
    assert three.come(2, 0) is None
    assert three.come(0, 1) is None
    assert three.come(1, 2) == (1, 2, 0)
