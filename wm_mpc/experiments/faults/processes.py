"""Faults of processes, parameters and checkpoints."""

from __future__ import annotations

import math
import random
import signal
import time
from pathlib import Path
from typing import Any

from std_msgs.msg import String

from wm_mpc.codes import HoldCode
from wm_mpc.experiments.faults.fault import EITHER, HOLDS, PLANS, STANDS, Fault
from wm_mpc.experiments.faults.rig import Rig
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.ros import qos
from wm_mpc.ros.parameters import parameters_of

_TABLE = parameters_of(MpcSettings)


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
    _listen(rig, False)
    rig.process("mpc").send_signal(signal.SIGSTOP)


def _continue_mpc(rig: Rig) -> None:
    rig.process("mpc").send_signal(signal.SIGCONT)
    rig.wait_until_steady(5.0)
    _listen(rig, True)


def _second(rig: Rig) -> None:
    """Until it plans, or has noticed that another one does."""
    _listen(rig, False)
    rig.statuses.pop("mpc_2", None)
    rig.start_mpc("second", "mpc_2")

    def is_there() -> bool:
        status = rig.statuses.get("mpc_2")
        return status is not None and (status.is_planning or status.code == HoldCode.RIVAL)

    rig.wait_for(is_there, 20.0)


def _no_second(rig: Rig) -> None:
    rig.kill("second")
    rig.wait_until_steady(10.0)
    _listen(rig, True)


def _storm(rig: Rig) -> None:
    """A thousand random settings, of every parameter, of every kind, most of them impossible."""
    rng = random.Random(0)
    kept: dict[str, Any] = {
        "planner.type": "adam", "planner.backend": "native", "observation_timeout": 0.5
    }  # fmt: skip
    if rig.latencies is not None:
        kept |= dict.fromkeys([f"output.{name}" for name in rig.latencies.streams], True)
    _listen(rig, False)
    for _ in range(1000):
        entry = rng.choice([e for e in _TABLE if e.name not in ("checkpoint", "lockstep")])
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
        if entry.setting.choices:
            choices += list(entry.setting.choices)
        value = rng.choice(choices)
        rig.asker.set_parameters({entry.name: value})
    free = [e for e in _TABLE if not (e.setting.read_only or e.setting.only_inactive)]
    calm = {e.name: e.default for e in free} | kept
    for name, value in calm.items():
        rig.asker.set_parameters({name: value})


def _calm(rig: Rig) -> None:
    _listen(rig, True)


def _listen(rig: Rig, listens: bool) -> None:
    """Whether holds are timed: not while two nodes send them, or one does not run."""
    if rig.latencies is not None:
        rig.latencies.listen(listens)


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


PROCESSES = (
    Fault("simulation killed, and started again", HOLDS, _kill_sim, _start_sim, 3.0,
          (HoldCode.STALE_IMAGE,)),
    Fault("1000 random parameter settings", EITHER, _storm, _calm, seconds=1.0),
    Fault("checkpoint replaced by garbage, and reload asked for", PLANS, _garbage, _no_garbage),
    Fault("garbage announced as checkpoints, with auto_reload", PLANS, _announce,
          _no_announcement),
    Fault("mpc stopped for 3 s (SIGSTOP)", STANDS, _stop_mpc, _continue_mpc, 3.0, within=1.2),
    Fault("mpc killed during a plan, and started again", STANDS, _kill_mpc, _start_mpc, 3.0,
          within=1.2),
    Fault("two controllers at once", HOLDS, _second, _no_second, 8.0, (HoldCode.RIVAL,),
          settle=3.0),
)  # fmt: skip
