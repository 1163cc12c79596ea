"""The faults: what is done to the robot's wires and processes, and what must follow."""

from __future__ import annotations

import array
import dataclasses
import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import String

from wm_mpc.faults.rig import Rig, Tamper, nothing, shifted, unchanged
from wm_mpc.nodes.mpc_parameters import TABLE
from wm_mpc.ros import qos
from wm_mpc.ros.timing import to_stamp

PLANS, HOLDS, STANDS, EITHER = "goes on planning", "holds", "stands", "stays safe"
Begin = Callable[[Rig], None]
_NOISE, _PIXELS = random.Random(0), np.random.default_rng(0)


def _tampered(**wires: Tamper) -> Begin:
    def begin(rig: Rig) -> None:
        for name, tamper in wires.items():
            setattr(rig, name, tamper)

    return begin


def repair(rig: Rig) -> None:
    """Wires as they were."""
    rig.image = rig.state = rig.clock = unchanged


@dataclasses.dataclass(frozen=True)
class Fault:
    """name: for people. must: `PLANS` (no hold), `HOLDS` (an empty plan in time, and none but empty
    ones until the end), `STANDS` (the robot itself, as nobody is left to tell it), or `EITHER`.
    begin, end: make and mend it. seconds: it lasts, after the hold. reason: what diagnostics must
    say. within: s, until the hold; None: observation_timeout + one period. settle: s after the
    first hold from which on there must be no other plan. simulated_time: on a rig of that kind."""

    name: str
    must: str
    begin: Begin
    end: Begin = repair
    seconds: float = 2.0
    reason: str = ""
    within: float | None = None
    settle: float = 0.3
    simulated_time: bool = False


# ------------------------------------------------------------------------------------- wires


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
    """The same pixels under new stamps."""

    def begin(rig: Rig) -> None:
        data: list[Any] = []

        def tamper(message: Any) -> Iterator[Any]:
            data.append(message.data) if not data else None
            message.data = data[0]
            yield message

        rig.wait_for_motion()
        rig.image = tamper
        rig.wait_for(lambda: data, 2.0)

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
    message.encoding = "yuv422"
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


# --------------------------------------------------------------------------------- processes


def _kill_sim(rig: Rig) -> None:
    rig.kill("sim")


def _start_sim(rig: Rig) -> None:
    rig.start_sim()


def _kill_mpc(rig: Rig) -> None:
    rig.wait_for_motion()
    rig.kill("mpc")


def _start_mpc(rig: Rig) -> None:
    rig.start_mpc()


def _stop_mpc(rig: Rig) -> None:
    rig.wait_for_motion()
    rig.process("mpc").send_signal(signal.SIGSTOP)


def _continue_mpc(rig: Rig) -> None:
    rig.process("mpc").send_signal(signal.SIGCONT)


def _second(rig: Rig) -> None:
    """Until it plans, or has noticed that another one does."""
    told = ("planning", "holding: another")
    rig.told.pop("mpc_2", None)
    rig.start_mpc("second", "mpc_2")
    rig.wait_for(lambda: rig.told.get("mpc_2", "").startswith(told), 20.0)


def _no_second(rig: Rig) -> None:
    rig.kill("second")


# --------------------------------------------------------------------- parameters, checkpoints


def _storm(rig: Rig) -> None:
    """A thousand random settings, of every parameter, of every kind, most of them impossible."""
    rng = random.Random(0)
    kept = {"planner.type": "adam", "planner.backend": "native", "observation_timeout": 0.5}
    for _ in range(1000):
        entry = rng.choice([e for e in TABLE if e.name not in ("checkpoint", "lockstep")])
        choices: list[Any] = [
            entry.default,
            -1,
            0,
            1,
            7,
            1e9,
            -3.5,
            math.nan,
            "x",
            "",
            True,
            [1, 2],
            "adam",
        ]
        if entry.choices:
            choices += list(entry.choices)
        value = rng.choice(choices)
        rig.asker.set_parameters({entry.name: value})
    calm = {e.name: e.default for e in TABLE if not (e.read_only or e.only_inactive)} | kept
    for name, value in calm.items():
        rig.asker.set_parameters({name: value})


def _garbage(rig: Rig) -> None:
    """In the place of the checkpoint it was started with, and asked to read that again."""
    path = Path(rig.checkpoint)
    rig.kept = path.read_bytes()
    path.write_bytes(b"garbage" * 1000)
    rig.answer = rig.asker.trigger("mpc/reload") or "no answer"


def _no_garbage(rig: Rig) -> None:
    Path(rig.checkpoint).write_bytes(rig.kept)


def _announce(rig: Rig) -> None:
    rig.asker.set_parameters({"auto_reload": True})
    publisher = rig.node.create_publisher(String, "learner/checkpoint", qos.LATCHED)
    bad = Path(rig.checkpoint).with_name("announced.safetensors")
    bad.write_bytes(b"\x08\0\0\0\0\0\0\0{}      garbage")
    for text in (str(bad), "/etc/passwd", "../../x.safetensors", "\0" * 50, "x" * 100_000):
        publisher.publish(String(data=text))
        time.sleep(0.3)
    rig.node.destroy_publisher(publisher)


def _no_announcement(rig: Rig) -> None:
    rig.asker.set_parameters({"auto_reload": False})


def _repeat_goal(rig: Rig) -> None:
    """The goal under new stamps at 5 Hz, while the robot never does what is predicted: each
    prediction fails by more than 0.01 of what is usual."""
    goals: list[Image] = []
    listener = rig.node.create_subscription(Image, "goal/image", goals.append, qos.LATCHED)
    rig.wait_for(lambda: goals, 5.0)
    rig.node.destroy_subscription(listener)
    publisher = rig.node.create_publisher(Image, "goal/image", qos.LATCHED)

    def send() -> None:
        goals[-1].header.stamp = to_stamp(time.time_ns())
        publisher.publish(goals[-1])

    rig.kept_going = [rig.node.create_timer(0.2, send), publisher]
    rig.wait_for(lambda: False, 1.0)
    rig.asker.set_parameters({"surprise.hold": 0.01, "surprise.pause": 4.0})


def _repeat_no_goal(rig: Rig) -> None:
    timer, publisher = rig.kept_going
    rig.node.destroy_timer(timer)
    rig.node.destroy_publisher(publisher)
    rig.asker.set_parameters({"surprise.hold": 3.5, "surprise.pause": 1.0})


FAULTS = (
    Fault("simulation killed, and started again", HOLDS, _kill_sim, _start_sim, 3.0, "no image"),
    Fault("camera falls silent", HOLDS, _tampered(image=nothing), reason="no image for"),
    Fault("camera freezes: old picture, old stamp", HOLDS, _frozen(), reason="stamps are"),
    Fault("camera repeats one picture under new stamps, robot moves", HOLDS, _repeated(),
          seconds=3.0, reason="repeated one image"),
    Fault("camera's stamps jump back by 5 s", HOLDS, _tampered(image=shifted(-5.0)),
          reason="stamps are"),
    Fault("camera's stamps jump ahead by 5 s", HOLDS, _tampered(image=shifted(5.0)),
          reason="in the future"),
    Fault("camera's stamps jump ahead by 0.45 s", HOLDS, _tampered(image=shifted(0.45)),
          reason="in the future"),
    Fault("camera's stamps jitter by 40 ms", PLANS, _tampered(image=_jitter), seconds=4.0),
    Fault("half of the images get lost", PLANS, _tampered(image=_half()), seconds=4.0),
    Fault("images at 500 Hz", PLANS, _tampered(image=_flood), seconds=4.0),
    Fault("wrong encoding", HOLDS, _tampered(image=_encoding), reason="accepted encodings"),
    Fault("truncated images", HOLDS, _tampered(image=_truncated), reason="truncated"),
    Fault("images of 8x8", HOLDS, _tampered(image=_picture(lambda h, w: _black(8, 8))),
          reason="the model wants"),
    Fault("images of 4000x3000", EITHER,
          _tampered(image=_rare(_picture(lambda h, w: _black(3000, 4000)), 5)), seconds=4.0),
    Fault("lens covered", HOLDS, _tampered(image=_picture(_black)), reason="does not know"),
    Fault("light off", HOLDS, _tampered(image=_picture(_dark)), reason="does not know"),
    Fault("NaN in the state", HOLDS, _tampered(state=_velocity(math.nan)), reason="is nan"),
    Fault("infinity in the state", HOLDS, _tampered(state=_velocity(math.inf)), reason="is inf"),
    Fault("state falls silent", HOLDS, _tampered(state=nothing), reason="no robot state for"),
    Fault("clock jumps ahead by 100 s", HOLDS, _tampered(clock=shifted(100.0)),
          reason="stamps are", simulated_time=True),
    Fault("clock jumps back by 100 s", HOLDS, _tampered(clock=shifted(-100.0)),
          reason="stamps", simulated_time=True),
    Fault("goal repeated under new stamps while predictions fail", HOLDS, _repeat_goal,
          _repeat_no_goal, reason="does not do what the model predicts", within=10.0),
    Fault("1000 random parameter settings", EITHER, _storm, seconds=1.0),
    Fault("checkpoint replaced by garbage, and reload asked for", PLANS, _garbage, _no_garbage),
    Fault("garbage announced as checkpoints, with auto_reload", PLANS, _announce,
          _no_announcement),
    Fault("mpc stopped for 3 s (SIGSTOP)", STANDS, _stop_mpc, _continue_mpc, 3.0, within=1.2),
    Fault("mpc killed during a plan, and started again", STANDS, _kill_mpc, _start_mpc, 3.0,
          within=1.2),
    Fault("two controllers at once", HOLDS, _second, _no_second, 8.0, "another node plans",
          settle=3.0),
)  # fmt: skip
