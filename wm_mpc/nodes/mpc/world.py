"""The topics of the node `mpc`, as the control loop wants them (`wm_mpc.control.world`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from wm_mpc.codes import HoldCode
from wm_mpc.control.goals import Goal
from wm_mpc.control.holds import HoldError
from wm_mpc.control.settings import ControlSettings
from wm_mpc.messages.errors import MessageError
from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.nodes.mpc.snapshots import Snapshot
from wm_mpc.ros.timing import StageClock

_PRESENT = 0.2  # s, for which a robot's state tells where it is now
_MOMENT = 0.05  # s, for which it tells where a robot is that moves


class NodeObservation:
    """A snapshot of the inputs as the control loop wants it; see `control.loop.Observation`."""

    def __init__(self, inputs: Inputs, snapshot: Snapshot) -> None:
        assert snapshot.image is not None
        self._inputs, self._snapshot, self._image = inputs, snapshot, snapshot.image
        self.stamp = snapshot.image.stamp
        self.clock = StageClock(snapshot.image.received, snapshot.image.trip)
        self.lap = self.clock.lap

    def image(self) -> np.ndarray:
        with _readable():
            return self._inputs.image_array(self._image.message)

    def state(self) -> np.ndarray:
        if not self._inputs.needs_state:
            return np.zeros(0, np.float32)
        assert self._snapshot.state is not None
        return self._snapshot.state.values


class NodeWorld:
    """The node's topics as the control loop wants them; see `control.loop.World`."""

    def __init__(
        self, node: Any, inputs: Inputs, goals: Goals, rivals: Any, *, lockstep: bool
    ) -> None:
        self._node, self._inputs, self._goals, self._rivals = node, inputs, goals, rivals
        self._lockstep = lockstep
        self.positions = inputs.state_positions

    def now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def has_rival(self) -> bool:
        return bool(self._rivals.is_there)

    def observe(self, settings: ControlSettings) -> NodeObservation:
        inputs, lockstep, timeout = self._inputs, self._lockstep, settings.observation_timeout
        snapshot = inputs.snapshot(wait_for_state=1.0 if lockstep else 0.01, always_wait=lockstep)
        found = inputs.why_unusable(snapshot, timeout, lockstep=lockstep)
        if found.hold:
            raise HoldError(found.code or HoldCode.FAULT, found.hold, is_fault=found.is_fault)
        # Half a period less, so that the picture of that moment is the last to count.
        patience = max(0.5 * timeout, timeout - 0.5 * inputs.spec.control_period)
        if not lockstep and (frozen := inputs.repeats_image(patience)):
            whose = f"the camera {inputs.frozen_camera!r}" if inputs.frozen_camera else "the camera"
            reason = f"{whose} has repeated one image for {frozen:.1f} s, but the robot moves"
            raise HoldError(HoldCode.FROZEN_IMAGE, reason, is_fault=True)
        with _readable():
            self._goals.take(snapshot)
        return NodeObservation(inputs, snapshot)

    def goal(self) -> Goal | None:
        return self._goals.current

    def why_no_goal(self) -> str:
        return self._goals.why_none()

    def goal_arrays(self, goal: Goal) -> tuple[np.ndarray, np.ndarray | None]:
        with _readable():
            return self._inputs.goal_arrays(goal.content.image, goal.content.state)

    def measured(self) -> dict[str, float]:
        return self._inputs.measured_positions(_PRESENT)

    def newest(self) -> dict[str, float]:
        """Positions by name that were measured within the last moment."""
        return self._inputs.measured_positions(_MOMENT)

    def places(self) -> dict[str, tuple[int, float]]:
        """The same, each with its stamp (ns)."""
        return self._inputs.measured_places(_MOMENT)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """A message that cannot be read is a reason to hold."""
    try:
        yield
    except MessageError as error:
        raise HoldError(HoldCode.UNREADABLE, str(error), is_fault=True) from None
