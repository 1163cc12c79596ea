"""When the status of the node `mpc` is logged: codes decide, never what a sentence says."""

from __future__ import annotations

import pytest
import rclpy

from wm_mpc.codes import HoldCode, StatusCode, WarningCode
from wm_mpc.nodes.mpc.status import Status
from wm_mpc.ros.callback_errors import CallbackErrors
from wm_mpc.ros.status import ERROR, OK, WARN

pytestmark = pytest.mark.ros


class Log:
    def __init__(self):
        self.said = []

    def _say(self, text):
        self.said.append(text)

    info = warning = error = _say


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def status(domain_id, log):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = rclpy.create_node("mpc", context=context)
    node.get_logger = lambda: log
    yield Status(node, CallbackErrors(node), dict, list)
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_the_same_codes_are_logged_once_whatever_the_sentence_says(status, log):
    for text in ("holding: no image for 0.6 s", "holding: image stamps are old", "holding: x"):
        status.report(ERROR, HoldCode.STALE_IMAGE, text)
    assert log.said == ["holding: no image for 0.6 s"]
    assert status._now == (ERROR, "holding: x")


@pytest.mark.parametrize(
    "other",
    [
        (WARN, HoldCode.NO_STATE, "holding"),
        (ERROR, HoldCode.NO_IMAGE, "holding"),
        (WARN, HoldCode.NO_IMAGE, "holding", [WarningCode.CLOCKS]),
    ],
)
def test_another_level_code_or_warning_is_logged_though_the_sentence_is_the_same(
    status, log, other
):
    status.report(WARN, HoldCode.NO_IMAGE, "holding")
    status.report(*other)
    assert log.said == ["holding", "holding"]


def test_warnings_in_another_order_are_no_news(status, log):
    warnings = [WarningCode.CLOCKS, WarningCode.GOAL_REFUSED]
    for order in (warnings, warnings[::-1]):
        status.report(WARN, StatusCode.DEGRADED, "planning, degraded", order)
    assert len(log.said) == 1


def test_each_failed_transition_is_logged(status, log):
    for reason in ("no such file", "damaged", "damaged"):
        status.report(ERROR, StatusCode.FAILED, f"cannot configure: {reason}")
    assert len(log.said) == 3


def test_a_failed_transition_says_what_to_do_next(status, log):
    status.report(ERROR, StatusCode.FAILED, "cannot configure: damaged")
    assert "ros2 lifecycle set /mpc configure" in log.said[0]


def test_what_comes_back_is_logged_again(status, log):
    for level, code in ((OK, StatusCode.PLANNING), (WARN, HoldCode.NO_GOAL)) * 2:
        status.report(level, code, code.value)
    assert len(log.said) == 4
