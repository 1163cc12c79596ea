"""What a fault is: what is done to the robot's wires and processes, and what must follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from wm_mpc.experiments.faults.rig import Rig, Tamper, unchanged

PLANS, HOLDS, STANDS, EITHER = "goes on planning", "holds", "stands", "stays safe"
Begin = Callable[[Rig], None]


def tampered(**wires: Tamper) -> Begin:
    def begin(rig: Rig) -> None:
        for name, tamper in wires.items():
            setattr(rig, name, tamper)

    return begin


def repair(rig: Rig) -> None:
    """Wires as they were."""
    rig.image = rig.state = rig.clock = rig.actions = unchanged


@dataclasses.dataclass(frozen=True)
class Fault:
    """name: for people. must: `PLANS` (no hold), `HOLDS` (an empty plan in time, and none but empty
    ones until the end), `STANDS` (the robot itself, as nobody is left to tell it), or `EITHER`.
    begin, end: make and mend it. seconds: it lasts, after the hold. codes: one of
    which the status must have, as its code or among its warnings; none: any. within: s, until the
    hold; None: observation_timeout + one period. settle: s after the first hold from which on there
    must be no other plan. simulated_time: on a rig of that kind."""

    name: str
    must: str
    begin: Begin
    end: Begin = repair
    seconds: float = 2.0
    codes: tuple[str, ...] = ()
    within: float | None = None
    settle: float = 0.3
    simulated_time: bool = False
