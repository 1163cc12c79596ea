"""A camera that is missing, late, or repeats itself holds the robot, and is named."""

from __future__ import annotations

import types

import pytest

from wm_mpc.codes import HoldCode
from wm_mpc.control.camera_set import CameraSet
from wm_mpc.messages.camera_pairs import Frame

MS = 1_000_000


class Cameras:
    """front and side, and a control period of 100 ms. Times are ms."""

    def __init__(self):
        self.now = 0.0
        self.set = CameraSet(
            ["front", "side"], ["/front/image", "/side/image"], 0.1, clock=lambda: self.now / 1e3
        )

    def come(self, camera, at, now=None, data=None):
        self.now = at if now is None else now
        message = types.SimpleNamespace(data=repr(at) if data is None else data)
        frame = Frame(message, round(at * MS), self.now / 1e3)
        return self.set.add(camera, frame, round(self.now * MS))

    def finding(self, now, timeout=0.5, *, is_timed=True):
        self.now = now
        return self.set.finding(round(now * MS), now / 1e3, timeout, is_timed=is_timed)


@pytest.fixture
def cameras():
    return Cameras()


def test_before_the_first_picture_both_cameras_are_awaited(cameras):
    found = cameras.finding(0)
    assert found.code is HoldCode.NO_IMAGE
    assert not found.is_fault
    assert "'front' on /front/image and camera 'side' on /side/image" in found.hold


def test_a_camera_that_never_came_is_named(cameras):
    cameras.come(0, 0)
    found = cameras.finding(10)
    assert (found.code, found.is_fault) == (HoldCode.NO_IMAGE, True)
    assert found.hold == "no image received yet from camera 'side' on /side/image"


@pytest.mark.parametrize("silent", [0, 1])
def test_a_camera_that_falls_silent_is_named(cameras, silent):
    for at in range(0, 1000, 100):
        if at < 400 or silent != 0:
            cameras.come(0, at)
        if at < 400 or silent != 1:
            cameras.come(1, at)
    found = cameras.finding(910)
    assert found.code is HoldCode.STALE_IMAGE
    assert f"camera {['front', 'side'][silent]!r}" in found.hold
    assert "0.6 s" in found.hold


def test_a_camera_whose_pictures_are_old_on_arrival_is_named(cameras):
    for at in range(1000, 2000, 100):
        cameras.come(0, at)
        cameras.come(1, at - 800, now=at)
    found = cameras.finding(1950)
    assert found.code is HoldCode.STALE_IMAGE
    assert "'side'" in found.hold


def test_pictures_of_different_moments_hold_and_name_the_camera_that_is_away(cameras):
    for at in range(1000, 3000, 1000):
        cameras.come(0, at)
        cameras.come(1, at - 200, now=at)
    found = cameras.finding(2010)
    assert found.code is HoldCode.CAMERAS_APART
    assert "camera 'side' on /side/image is 200 ms older than that of camera 'front'" in found.hold
    assert "up to 50 ms" in found.hold


def test_pictures_of_one_moment_are_good(cameras):
    for at in range(0, 500, 100):
        cameras.come(0, at)
        cameras.come(1, at + 10)
    assert cameras.finding(450).hold == ""


def test_a_camera_that_repeats_its_picture_while_the_robot_moves_is_named(cameras):
    for at in range(0, 2000, 100):
        cameras.come(0, at)
        cameras.come(1, at, data="the same")
        cameras.set.frozen({"x": at / 1000}, 0.5)
    lasted, name = cameras.set.frozen({"x": 2.0}, 0.5)
    assert name == "side"
    assert lasted == pytest.approx(1.9)


def test_cameras_that_show_something_new_are_not_frozen(cameras):
    for at in range(0, 1000, 100):
        cameras.come(0, at)
        cameras.come(1, at)
        assert cameras.set.frozen({"x": at / 1000}, 0.5) == (0.0, "")


def test_after_a_clock_was_set_back_both_are_awaited(cameras):
    for camera in (0, 1):
        cameras.come(camera, 10_000)
    cameras.set.forget()
    assert cameras.finding(0).code is HoldCode.NO_IMAGE


def test_the_camera_whose_clock_is_ahead_is_named(cameras):
    cameras.come(0, 0)
    cameras.come(1, 300, now=0)
    assert cameras.set.ahead.whose == "camera 'side'"
    assert cameras.set.ahead.newest == pytest.approx(0.3)
