"""Faults of what comes over the wires: cameras, states, clocks, actions."""

from __future__ import annotations

import array
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wm_mpc.codes import HoldCode, WarningCode
from wm_mpc.experiments.faults.fault import EITHER, HOLDS, PLANS, Begin, Fault, tampered
from wm_mpc.experiments.faults.rig import Rig, Tamper, nothing, shifted, unchanged

_TRIES = 20
_ELSEWHERE = 0.08  # m in 0.3 s: more than FrozenCamera needs, long before it decides
_NOISE, _PIXELS = random.Random(0), np.random.default_rng(0)


def _frozen() -> Begin:
    def begin(rig: Rig) -> None:
        first: list[Any] = []

        def tamper(message: Any) -> Iterator[Any]:
            first.append(message) if not first else None
            yield first[0]

        rig.image = tamper
        rig.wait_for(lambda: first, 2.0)

    return begin


def _repeated() -> Begin:
    """The same pixels under new stamps, while the robot moves.

    A fast robot may be about to stop, at its goal or at the wall. It does not move then, and nobody
    could notice; so this waits for another moment.
    """

    def begin(rig: Rig) -> None:
        for _ in range(_TRIES):
            data: list[Any] = []

            def tamper(message: Any, data: list[Any] = data) -> Iterator[Any]:
                data.append(message.data) if not data else None
                message.data = data[0]
                yield message

            rig.wait_for_motion(least=0.4)
            rig.image = tamper
            rig.wait_for(lambda data=data: data, 2.0)  # type: ignore[misc]
            rig.began = time.monotonic()
            if rig.moves_by(_ELSEWHERE, 0.3):
                return
            rig.image = unchanged
            rig.wait_for_plans(2, 2.0)
        rig.failures.append(f"the robot did not move in any of {_TRIES} tries")

    return begin


def _jitter(message: Any) -> Iterator[Any]:
    yield from shifted(_NOISE.uniform(-0.04, 0.04))(message)


def _half() -> Tamper:
    # Of this seed never four in a row: then it would have to hold.
    rng = random.Random(40)

    def tamper(message: Any) -> Iterator[Any]:
        if rng.random() < 0.5:
            yield message

    return tamper


def _flood(message: Any) -> Iterator[Any]:
    for _ in range(50):
        yield message


def _encoding(message: Any) -> Iterator[Any]:
    message.encoding = "yuv999"
    yield message


def _truncated(message: Any) -> Iterator[Any]:
    message.data = message.data[: len(message.data) // 2]
    yield message


def _picture(make: Callable[[int, int], np.ndarray]) -> Tamper:
    def tamper(message: Any) -> Iterator[Any]:
        pixels = make(message.height, message.width)
        message.height, message.width = pixels.shape[:2]
        message.step = 3 * message.width
        message.data = array.array("B", pixels.tobytes())
        yield message

    return tamper


def _rare(tamper: Tamper, each: int) -> Tamper:
    count = 0

    def rare(message: Any) -> Iterator[Any]:
        nonlocal count
        count += 1
        if count % each == 0:
            yield from tamper(message)

    return rare


def _dark(height: int, width: int) -> np.ndarray:
    return _PIXELS.integers(0, 16, (height, width, 3)).astype(np.uint8)


def _black(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def _velocity(value: float) -> Tamper:
    def tamper(message: Any) -> Iterator[Any]:
        message.twist.twist.linear.x = value
        yield message

    return tamper


WIRES = (
    Fault("camera falls silent", HOLDS, tampered(image=nothing), codes=(HoldCode.STALE_IMAGE,)),
    Fault("camera freezes: old picture, old stamp", HOLDS, _frozen(),
          codes=(HoldCode.STALE_IMAGE,)),
    Fault("camera repeats one picture under new stamps, robot moves", HOLDS, _repeated(),
          seconds=3.0, codes=(HoldCode.FROZEN_IMAGE,)),
    Fault("camera's stamps jump back by 5 s", HOLDS, tampered(image=shifted(-5.0)),
          codes=(HoldCode.STALE_IMAGE,)),
    Fault("camera's stamps jump ahead by 5 s", HOLDS, tampered(image=shifted(5.0)),
          codes=(HoldCode.FUTURE_IMAGE,)),
    Fault("camera's stamps jump ahead by 0.45 s", HOLDS, tampered(image=shifted(0.45)),
          codes=(HoldCode.FUTURE_IMAGE,)),
    Fault("clock of camera and odometry 0.45 s ahead", HOLDS,
          tampered(image=shifted(0.45), state=shifted(0.45)), codes=(HoldCode.FUTURE_IMAGE,)),
    Fault("clock of camera and odometry 0.06 s ahead", PLANS,
          tampered(image=shifted(0.06), state=shifted(0.06)), seconds=4.0,
          codes=(WarningCode.CLOCKS,)),
    Fault("camera's stamps jitter by 40 ms", PLANS, tampered(image=_jitter), seconds=4.0),
    Fault("half of the images get lost", PLANS, tampered(image=_half()), seconds=4.0),
    Fault("images at 500 Hz", PLANS, tampered(image=_flood), seconds=4.0),
    Fault("wrong encoding", HOLDS, tampered(image=_encoding), codes=(HoldCode.UNREADABLE,)),
    Fault("truncated images", HOLDS, tampered(image=_truncated), codes=(HoldCode.UNREADABLE,)),
    Fault("images of 8x8", HOLDS, tampered(image=_picture(lambda h, w: _black(8, 8))),
          codes=(HoldCode.UNREADABLE,)),
    Fault("images of 4000x3000", EITHER,
          tampered(image=_rare(_picture(lambda h, w: _black(3000, 4000)), 5)), seconds=4.0),
    Fault("lens covered", HOLDS, tampered(image=_picture(_black)),
          codes=(HoldCode.SURPRISE_IMAGE,)),
    Fault("light off", HOLDS, tampered(image=_picture(_dark)), codes=(HoldCode.SURPRISE_IMAGE,)),
    Fault("NaN in the state", HOLDS, tampered(state=_velocity(math.nan)),
          codes=(HoldCode.UNREADABLE,)),
    Fault("infinity in the state", HOLDS, tampered(state=_velocity(math.inf)),
          codes=(HoldCode.UNREADABLE,)),
    Fault("state falls silent", HOLDS, tampered(state=nothing), codes=(HoldCode.STALE_STATE,)),
    Fault("clock jumps ahead by 100 s", HOLDS, tampered(clock=shifted(100.0)),
          codes=(HoldCode.STALE_IMAGE,), simulated_time=True),
    Fault("clock jumps back by 100 s", HOLDS, tampered(clock=shifted(-100.0)),
          codes=(HoldCode.STALE_IMAGE, HoldCode.FUTURE_IMAGE), simulated_time=True),
)  # fmt: skip
