"""What an output of the node `mpc` is: one way to send plans to a robot.

The publisher (`publisher.py`) decides what is sent and when. An output writes it as messages of one
topic. The registry (`registry.py`) names the outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from wm_mpc.spec import RobotSpec


@dataclasses.dataclass(frozen=True)
class Plan:
    """A plan that the validator has passed.

    Attributes:
        stamp: When its first action applies (ns).
        actions: (points, action size), one for each control step. No points: hold.
    """

    stamp: int
    actions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Moment:
    """What there is to send at one moment.

    Attributes:
        now: The time of the node's clock (ns).
        action: What the robot executes now, (action size,), or its rest; None: unknown.
        plan: The plan that has just come, or a plan without points for a hold; None: it is only
            time for the next action of the last plan.
        measured: Positions by name, as far as known: where the plan begins, or holds.
        newest: Those positions by name that were measured within the last moment.
    """

    now: int
    action: np.ndarray | None
    plan: Plan | None = None
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict)
    newest: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Output(Protocol):
    """One way to send plans to a robot, on a topic named like the output.

    A class that inherits from it needs `text`, `message`, an `__init__` that sets `publisher`, and
    `send`. All calls come one after another, never at the same time.

    Attributes:
        text: What it sends, for the parameter, the launch argument and the pages, e.g. "the plan,
            one action at a time".
        message: Its type of message, for the pages, e.g. "`std_msgs/Float64MultiArray`".
        streams: Whether it sends one action at a time. If so, `send` is called in each control
            step, with an action that is known. If not, it is called for each plan and each hold.
        settings: Further settings `output.<name>_<key>` by key, made by
            `wm_mpc.settings.fields.setting`. What `__init__` reads, such as a type of message, has
            `only_inactive`; `use` reads all others. None is a bool; launch files take those for
            outputs.
        publisher: Of its topic.
    """

    text: ClassVar[str]
    message: ClassVar[str]
    streams: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Any]] = {}
    publisher: Any

    def __init__(self, node: Any, spec: RobotSpec, settings: Any) -> None:
        """Create the publisher.

        Args:
            node: Whose topic it is.
            spec: The robot.
            settings: The settings `output.*` of the node.
        """

    def send(self, moment: Moment) -> None:
        """Send the action of a moment (if it streams), or its plan (if it does not)."""

    def use(self, settings: Any) -> None:
        """Take the settings of the node, an `MpcSettings`, as they are from now on."""
        return

    def begin(self, now: int) -> None:
        """It was switched on. now: ns."""
        return

    def end(self) -> None:
        """It was switched off, and has sent its last message."""
        return

    def forget(self) -> None:
        """Nothing counts any more that was sent before: the robot may have been moved since."""
        return
