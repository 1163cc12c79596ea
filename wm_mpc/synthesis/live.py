"""Episodes out of a running robot's observations and plans, as they come.

What a robot executed is known from the plans it was sent, point by point in time; what it saw, from
its camera. Both meet on a grid of control periods that begins with an image. No ROS here: the node
`learner` and experiments in one process feed the same recorder.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from wm_mpc.control.timeline import Timeline
from wm_mpc.data.episodes import Episode
from wm_mpc.spec import RobotSpec
from wm_mpc.units import SECOND

_STILL = 2.0  # s of rest after which there is nothing new to learn
_MISSING = 2  # images in a row that may be missing; the one before stands for them


class LiveRecorder:
    """Feed plans, then observations; times are integer nanoseconds of one clock.

    longest: control steps of an episode, after which the next begins. Shorter than `shortest`
    model steps (at least the history and a step), episodes are of no use and dropped. Not
    thread-safe.
    """

    def __init__(self, spec: RobotSpec, *, longest: int = 50, shortest: int = 0) -> None:
        self.spec = spec
        self._longest = longest
        self._shortest = max(shortest, spec.history + 1) * spec.frame_skip
        if longest < self._shortest:
            raise ValueError(f"longest is {longest} steps; at least {self._shortest} are needed")
        self._period = round(spec.control_period * SECOND)
        self._sent = Timeline.of(spec)
        self._rest = spec.rest()  # None: of positions, which rest where they are
        self._finished: deque[Episode] = deque()
        self.steps = 0  # in all finished episodes
        self._begin()

    def _begin(self) -> None:
        self._start = 0
        self._images: list[np.ndarray] = []
        self._states: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []

    def plan(self, stamp: int, actions: np.ndarray) -> None:
        """A plan was sent: point k of actions (points, action size), in the action's unit, applies
        from stamp + k periods on; no points: hold."""
        if len(actions):
            self._sent.put(stamp, actions)
        else:
            self._sent.hold(stamp)

    def observe(self, stamp: int, image: np.ndarray, state: np.ndarray) -> None:
        """image: uint8 (height, width, 3) rgb; state: (state size,) of then, in its units."""
        if not self._images:
            self._open(stamp, image, state)
            return
        steps = round((stamp - self._start) / self._period) - (len(self._images) - 1)
        if steps <= -self.spec.frame_skip or steps > 1 + _MISSING:
            self.cut()  # time went back, or too much was missed
            self._open(stamp, image, state)
            return
        for number in range(steps):  # none: an image of a step that has one already
            time = self._start + (len(self._images) - 1) * self._period
            last = number == steps - 1
            action = self._sent.at(time + self._period // 2)
            if action is None:  # the clock was set back: what was planned then is forgotten
                self.cut()
                self._open(stamp, image, state)
                return
            self._actions.append(action)
            self._images.append(image.copy() if last else self._images[-1])
            self._states.append(np.asarray(state, np.float32) if last else self._states[-1])
        if self._is_still():
            self.cut()
        elif len(self._actions) >= self._longest:
            self.cut()
            self._open(stamp, image, state)

    def _open(self, stamp: int, image: np.ndarray, state: np.ndarray) -> None:
        # Waits for motion: an episode may as well begin with it.
        time = stamp + self._period // 2
        entry, action = self._sent.entry_at(time), self._sent.planned_at(time)
        if entry is None or entry.is_rest or action is None or self._rests(action, None):
            return
        self._start, self._images = stamp, [image.copy()]
        self._states, self._actions = [np.asarray(state, np.float32)], []

    def _is_still(self) -> bool:
        count = max(1, round(_STILL / self.spec.control_period))
        latest = self._actions[-count:]
        pairs = zip(latest, [None, *latest[:-1]], strict=True)
        rests = [self._rests(action, before) for action, before in pairs]
        return len(latest) == count and all(rests[self._rest is None :])

    def _rests(self, action: np.ndarray, before: np.ndarray | None) -> bool:
        """Whether an action keeps the robot still. before: the one before it, which tells of
        positions; without it they are taken to move."""
        still = before if self._rest is None else self._rest
        return still is not None and bool((action == still).all())

    def cut(self) -> None:
        """What comes has nothing to do with what was: the robot was put elsewhere, say."""
        actions = self._actions
        # Resting at the end teaches nothing.
        while actions and self._rests(actions[-1], actions[-2] if len(actions) > 1 else None):
            actions.pop()
        if len(actions) >= self._shortest:
            count = len(actions)
            self._finished.append(
                Episode(
                    images=np.stack(self._images[: count + 1]),
                    states=np.stack(self._states[: count + 1]).reshape(count + 1, -1),
                    actions=np.stack(actions).astype(np.float32),
                )
            )
            self.steps += count
        self._begin()

    def take(self) -> list[Episode]:
        """Episodes that were finished since the last call."""
        taken = list(self._finished)
        self._finished.clear()
        return taken
