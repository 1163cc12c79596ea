"""A camera that repeats one picture while the robot moves."""

from __future__ import annotations

import math
import types

import pytest

from wm_mpc.control.frozen_camera import FrozenCamera


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def camera(clock):
    """It has sent a picture at 0 s."""
    camera = FrozenCamera(angles={"yaw"}, clock=clock)
    see(camera)
    return camera


def see(camera, data=b"picture"):
    camera.see(types.SimpleNamespace(data=data))


def lasted(camera, clock, now, **places):
    clock.now = now
    see(camera)
    return camera.moved(places, 0.5)


def test_a_robot_that_moves_before_one_picture_is_noticed(camera, clock):
    assert lasted(camera, clock, 0.1, elbow=0.0) == 0.0
    assert lasted(camera, clock, 0.4, elbow=0.2) == 0.0  # not long enough
    assert lasted(camera, clock, 0.7, elbow=0.2) == pytest.approx(0.7)


def test_a_robot_that_stands_may_look_the_same(camera, clock):
    for k in range(20):
        assert lasted(camera, clock, 0.1 * k, elbow=0.03 * (k % 2)) == 0.0


def test_another_picture_begins_again(camera, clock):
    lasted(camera, clock, 0.1, elbow=0.0)
    see(camera, b"another")
    see(camera)
    assert lasted(camera, clock, 0.7, elbow=0.2) == 0.0


def test_messages_with_some_of_the_joints_are_compared_by_name(camera, clock):
    """Arm and gripper in turn: lists of two lengths."""
    assert lasted(camera, clock, 0.1, elbow=0.0, wrist=1.0) == 0.0
    assert lasted(camera, clock, 0.2, finger=0.5) == 0.0
    assert lasted(camera, clock, 0.7, finger=0.5) == 0.0
    assert lasted(camera, clock, 0.8, wrist=1.2, elbow=0.0) == pytest.approx(0.8)


def test_an_angle_that_passes_pi_has_hardly_moved(camera, clock):
    assert lasted(camera, clock, 0.1, yaw=math.pi - 0.01) == 0.0
    assert lasted(camera, clock, 0.7, yaw=-math.pi + 0.01) == 0.0
    assert lasted(camera, clock, 0.8, yaw=-math.pi + 0.2) == pytest.approx(0.8)


def test_numbers_that_are_none_are_no_motion(camera, clock):
    assert lasted(camera, clock, 0.1, elbow=math.nan) == 0.0
    assert lasted(camera, clock, 0.7, elbow=0.0) == 0.0
    assert lasted(camera, clock, 0.8, elbow=math.inf) == 0.0
