"""What the node `mpc` knows at one moment."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from wm_mpc.control.state_history import StateAt


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A message, its stamp (ns of the node's clock) and when it came (s, monotonic). trip: seconds
    from its `publish` to our callback, NaN: unknown."""

    message: Any
    stamp: int
    received: float
    trip: float = math.nan


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The newest image with the state of its moment, and the goal; None where nothing came yet.
    goal_number counts different goals. goal_is_repeated: whether goal images come one after another
    by themselves, as from a camera."""

    image: Arrival | None
    state: StateAt | None
    goal_image: Any | None
    goal_state: Any | None
    goal_number: int
    goal_is_repeated: bool = False
