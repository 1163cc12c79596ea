"""The node `mpc` where its clock, its robot or its outputs do not let it stop as usual."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from geometry_msgs.msg import TwistStamped

from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.ros import qos

from .running import RunningMpc

pytestmark = pytest.mark.ros
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cannot_stop(tmp_path):
    """The shipped checkpoint, of a base that always goes forward."""
    model, _ = load_checkpoint(ROOT / "checkpoints" / "wall.safetensors")
    action = dataclasses.replace(model.spec.action, low=(0.25, -1.0), high=(1.0, 1.0))
    other = WorldModel(dataclasses.replace(model.spec, action=action), model.architecture)
    other.load_state_dict(model.state_dict())
    save_checkpoint(other, tmp_path / "forward.safetensors", {})
    return str(tmp_path / "forward.safetensors")


def test_a_base_that_cannot_stop_holds_at_its_slowest_and_every_hold_says_so(observer, cannot_stop):
    sent = observer.listen(TwistStamped, "cmd_vel", qos.COMMAND)
    mpc = RunningMpc(observer, checkpoint=cannot_stop, **{"output.cmd_vel": True})
    with contextlib.closing(mpc):
        status = mpc.wait_for_hold(
            "the limits of the actions exclude 0, so a hold commands vx 0.25"
        )
        assert status.message.startswith("holding: no image received yet")
        assert "warning.moving_rest" in mpc.value("warnings")
        mpc.wait_until(lambda: sent, "a command")
        assert {message.twist.linear.x for message in sent} == {0.25}
        # What is fixed while the node is active is fixed from the beginning of its activation on.
        mpc.node._state_machine.trigger_transition_by_label("deactivate", True)
        assert mpc.node.state == "deactivating"
        mpc.node._state_machine.trigger_transition_by_label("transition_success", True)
        mpc.node._state_machine.trigger_transition_by_label("activate", True)
        mpc.node._session, session = None, mpc.node._session
        assert mpc.node.state == "activating"
        assert "deactivate the node first" in mpc.set("output.cmd_vel_type", "twist").reason
        mpc.node._session = session


def test_a_clock_that_stands_still_holds_the_robot_and_is_said(observer):
    """Nobody publishes /clock."""
    with contextlib.closing(RunningMpc(observer, use_sim_time=True)) as mpc:
        mpc.camera(on=True)
        status = mpc.wait_for_hold("the clock of the node stands still")
        assert "is /clock published" in status.message
        assert mpc.value("code") == "hold.clock_stands"
