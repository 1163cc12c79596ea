"""Statuses as messages of `diagnostic_msgs`."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from wm_mpc.codes import GoalCode, HoldCode, LearnerCode, Level, SimCode
from wm_mpc.messages.progress_statuses import EpisodeStatus, LearnerStatus
from wm_mpc.messages.statuses import GoalReport, MpcStatus
from wm_mpc.ros.status import from_diagnostics, mpc_statuses, to_diagnostics

pytestmark = pytest.mark.ros
STATUSES = [
    MpcStatus("left/mpc", Level.ERROR, HoldCode.RIVAL, "holding: another", {"plans": "3"}),
    GoalReport(2, GoalCode.CANCELLED, "skipped", 12_000_000_345, 1.5, 1.0, 3.25),
    EpisodeStatus(SimCode.TIMED_OUT, "holding", "wall", 1, False, 9, {"distance": 0.5}, 0, 0, 0),
    LearnerStatus("learner", LearnerCode.FAILED, "no dataset", 2.5),
]


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_comes_back_from_a_message_as_it_was(status):
    message = to_diagnostics(status, "left")
    assert from_diagnostics(message, type(status)) == status
    assert (message.message, message.hardware_id) == (status.sentence, "left")
    assert message.level == bytes([status.level])


def test_controllers_are_told_apart_by_namespace():
    array = DiagnosticArray()
    for node in ("mpc", "left/mpc", "left/second", "house/left/mpc"):
        array.status.append(to_diagnostics(MpcStatus(node, Level.OK, "planning", "")))
    array.status.append(DiagnosticStatus(name="left/mpc: callbacks"))
    array.status.append(DiagnosticStatus(name="mpc"))
    assert [s.node for s in mpc_statuses(array, "/left")] == ["left/mpc", "left/second"]
    assert [s.node for s in mpc_statuses(array, "/")] == ["mpc"]
    assert len(list(mpc_statuses(array))) == 4


def test_a_controller_without_a_code_is_read_all_the_same():
    (found,) = mpc_statuses(
        DiagnosticArray(status=[DiagnosticStatus(name="mpc: mpc", level=b"\x07")])
    )
    assert (found.code, found.level, found.is_holding) == ("", Level.STALE, False)
