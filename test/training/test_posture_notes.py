"""Who trains for an arm is told when its own posture cannot be a goal."""

from __future__ import annotations

import pytest

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec
from wm_mpc.training.preparation import posture_notes


def notes(kind="position", state=("j1", "j2"), robot_from_state=True):
    action = ActionSpec(("j1", "j2"), kind, "rad", (-1.0, -1.0), (1.0, 1.0))
    units = ("rad",) * len(state)
    spec = RobotSpec(
        "arm", action, StateSpec(state, units, "joint_states"), ImageSpec(16, 16), 0.1, 2
    )
    return posture_notes(WorldModel(spec, Architecture(3, 4, 4, robot_from_state=robot_from_state)))


def test_an_arm_that_is_drawn_from_its_measured_positions_is_noted():
    (note,) = notes()
    assert "architecture.robot_from_state: false" in note


@pytest.mark.parametrize(
    "settings",
    [{"kind": "velocity"}, {"state": ("j1",)}, {"robot_from_state": False}],
    ids=["velocities", "not all measured", "drawn by keypoints"],
)
def test_others_are_not(settings):
    assert notes(**settings) == []
