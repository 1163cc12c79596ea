"""Faults of what people and programs ask of the node: goals, holds, transitions, odd messages."""

from __future__ import annotations

import contextlib
import importlib
import math
import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from wm_mpc.codes import HoldCode
from wm_mpc.experiments.faults.fault import EITHER, HOLDS, Fault
from wm_mpc.experiments.faults.rig import Rig
from wm_mpc.ros import qos
from wm_mpc.ros.timing import to_stamp

HOLDS_ASKED = 50
_PHASE = 0.1  # s, a control period
_UNCONFIGURED, _INACTIVE, _ACTIVE, _FINALIZED = 1, 2, 3, 4
_TRANSITIONS = (1, 2, 3, 4, 5, 6, 7, 99)  # configure ... active_shutdown, and one that is none
_FIT = {_UNCONFIGURED: (1, 5), _INACTIVE: (2, 3, 6), _ACTIVE: (4, 7), _FINALIZED: ()}
# From active through all states: a transition, and the state after it.
_WAY = ((4, _INACTIVE), (2, _UNCONFIGURED), (1, _INACTIVE), (3, _ACTIVE), (7, _FINALIZED))


# -------------------------------------------------------------------------------------- goals


def _wrong_way(message: Any) -> Iterator[Any]:
    for point in message.points:
        point.velocities = [-value for value in point.velocities]
    yield message


def _repeat_goal(rig: Rig) -> None:
    """The goal under new stamps at 5 Hz, while actions are executed the wrong way round."""
    goals: list[Image] = []
    listener = rig.node.create_subscription(Image, "goal/image", goals.append, qos.LATCHED)
    rig.wait_for(lambda: goals, 5.0)
    rig.node.destroy_subscription(listener)
    publisher = rig.node.create_publisher(Image, "goal/image", qos.LATCHED)

    def send() -> None:
        goals[-1].header.stamp = to_stamp(time.time_ns())
        publisher.publish(goals[-1])

    rig.kept_going = [rig.node.create_timer(0.2, send), publisher]
    rig.pass_time(1.0)
    rig.asker.set_parameters({"surprise.pause": 4.0})
    rig.actions = _wrong_way


def _repeat_no_goal(rig: Rig) -> None:
    timer, publisher = rig.kept_going
    rig.node.destroy_timer(timer)
    rig.node.destroy_publisher(publisher)
    rig.asker.set_parameters({"surprise.pause": 1.0})


# -------------------------------------------------------------------------------------- holds


def hold_often(rig: Any, times: int) -> int:
    """Hold and go on by service, so many times, while the node plans. A person asks at any moment
    of a control period. Returns how many requests were answered."""
    answered, moments = 0, random.Random(0)
    for _ in range(times):
        rig.wait_for_plans(2, 3.0)
        time.sleep(moments.uniform(0.0, _PHASE))
        for holds in (True, False):
            response = rig.asker.ask(SetBool, "mpc/hold", SetBool.Request(data=holds))
            answered += response is not None
    return answered


def _hold(rig: Rig) -> None:
    answered = hold_often(rig, HOLDS_ASKED)
    rig.answer = f"{answered} requests answered"
    if answered < 2 * HOLDS_ASKED:
        rig.failures.append(f"{2 * HOLDS_ASKED - answered} requests were not answered")


# ---------------------------------------------------------------------------------- lifecycle


def _transition(rig: Rig, number: int) -> bool | None:
    request = ChangeState.Request()
    request.transition.id = number
    response = rig.asker.ask(ChangeState, "mpc/change_state", request, 10.0)
    return None if response is None else bool(response.success)


def _state(rig: Rig) -> int | None:
    response = rig.asker.ask(GetState, "mpc/get_state", GetState.Request())
    return None if response is None else int(response.current_state.id)


def _ask_everything(rig: Rig) -> None:
    """In each state every transition that does not fit; then on to the next state."""
    state, asked = _ACTIVE, 0
    for number, following in (*_WAY, (0, 0)):
        for wrong in _TRANSITIONS:
            if wrong in _FIT[state]:
                continue
            asked += 1
            if (answer := _transition(rig, wrong)) is not False:
                rig.failures.append(f"transition {wrong} in state {state}: answered {answer}")
            if answer is None or "mpc" not in rig.pids():
                return
        if state == _ACTIVE and rig.wait_until_steady(10.0) is None:
            rig.failures.append(
                f"it does not plan after requests that do not fit: {rig.status.sentence}"
            )
        if (found := _state(rig)) != state:
            rig.failures.append(f"its state is {found} instead of {state}")
        if number and not _transition(rig, number):
            rig.failures.append(f"transition {number} in state {state} was refused")
        state = following
    rig.answer = f"{asked} requests that do not fit, in all 4 states, were refused"


def _start_again(rig: Rig) -> None:
    if "mpc" in rig.pids():
        rig.end("mpc")
    rig.start_mpc()


# ------------------------------------------------------------------------------ odd messages


def _overflow(rig: Rig) -> None:
    """Numbers that are none or too large, and nothing at all, on every topic of the node."""
    topics = rig.node.get_subscriber_names_and_types_by_node("mpc", "/")
    sent = []
    for topic, kinds in topics:
        # What others plan is another fault, and so are the clock and the parameters.
        if topic in ("/planned_actions", "/clock", "/parameter_events"):
            continue
        package, _, name = kinds[0].split("/")
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
        publisher = rig.node.create_publisher(kind, topic, qos.LATCHED)
        rig.wait_for(publisher.get_subscription_count, 5.0)
        for value in (1e200, 1e39, math.nan, -math.inf, None):
            publisher.publish(_odd(kind(), value))
            rig.pass_time(0.03)
        rig.kept_going.append(publisher)
        sent.append(topic)
    rig.wait_until_steady(5.0)
    status = rig.status
    rig.answer = (
        f"sent on {len(sent)} topics ({', '.join(sent)}); dropped: {status.dropped}; goals "
        f"refused: {status.refused_goals}"
    )
    if not (status.dropped or status.refused_goals):
        rig.failures.append("nothing says that messages were refused")


def _odd(message: Any, value: float | None) -> Any:
    """Of numbers all that value, as far as the message can hold it; of sequences three, or none."""
    for field, kind in message.get_fields_and_field_types().items():
        present = getattr(message, field)
        if field == "stamp":
            message.stamp = to_stamp(time.time_ns())
        elif hasattr(present, "get_fields_and_field_types"):
            _odd(present, value)
        elif value is None:
            continue
        elif isinstance(present, float):
            with contextlib.suppress(AssertionError):
                setattr(message, field, value)
        elif isinstance(present, np.ndarray) and present.dtype.kind == "f":
            setattr(message, field, np.full(present.shape, value, present.dtype))
        elif kind == "sequence<double>":
            setattr(message, field, [value] * 3)
    return message


def _end_publishers(rig: Rig) -> None:
    for publisher in rig.kept_going:
        rig.node.destroy_publisher(publisher)
    rig.kept_going = []


REQUESTS = (
    Fault("goal repeated under new stamps, actions executed the wrong way round", HOLDS,
          _repeat_goal, _repeat_no_goal, codes=(HoldCode.SURPRISE_PREDICTION,),
          within=10.0),
    Fault("a person holds it and lets it go, 50 times", EITHER, _hold, seconds=0.5),
    Fault("callback overflow: 1e200, 1e39, NaN, nothing, on every topic", EITHER, _overflow,
          _end_publishers, seconds=1.0),
    Fault("lifecycle requests that do not fit, in every state", EITHER, _ask_everything,
          _start_again, seconds=0.1),
)  # fmt: skip
