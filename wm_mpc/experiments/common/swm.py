"""Pairs of start and goal as stable-worldmodel draws them from recorded episodes.

Its evaluation picks rows of a recording at random. A row is a start, and the state some control
steps later in the same episode is the goal. The robot has twice that many steps, and success at any
of them counts. It picks without a look at where the goal is, so some starts are at their goals
already; a second row of the results leaves them out.

The recording here is made when it is needed, by the task's explorer and with random numbers that
training never uses. So no episode of it was seen in training.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from wm_mpc.sim.engine import EngineError, Observation, Simulation, episode_rng

NAME = "swm"
SEED = 42  # theirs
OFFSET = 25  # theirs, control steps
BUDGET = 2  # control steps for each step of the offset; theirs
_STREAM = "evaluate"
_STEPS = 100  # of a recorded episode, where the task does not say
_FEWEST = 200  # recorded episodes
_AT_ONCE = 50  # more of them, as long as too few rows can be starts
_ROWS = 2  # rows that can be starts, for each pair
_MOST = 10_000  # recorded episodes


@dataclasses.dataclass(frozen=True)
class Pair:
    """One start with its goal.

    Attributes:
        episode: Number of the recorded episode.
        first: Number of the start in it, control steps.
        layout: Its layout.
        start: State at the start.
        goal: State at the goal.
        actions: (offset, action size), what was done in between, in the action's unit.
    """

    episode: int
    first: int
    layout: np.ndarray
    start: np.ndarray
    goal: np.ndarray
    actions: np.ndarray

    def begin(self, simulation: Simulation) -> Observation:
        """Put a simulation to the start and set the goal.

        Args:
            simulation: The simulation.

        Returns:
            The first observation.
        """
        simulation.put(self.layout, self.start)
        simulation.set_goal(self.goal)
        return simulation.observe()


def starts(lengths: list[int], offset: int, count: int, seed: int) -> list[tuple[int, int]]:
    """Draw starts by the rule of stable-worldmodel: as many rows, sorted, none twice.

    Like theirs, the draw never takes the last row that could be one.

    Args:
        lengths: Number of rows (states) of each recorded episode.
        offset: Control steps from start to goal.
        count: Number of starts.
        seed: The seed.

    Returns:
        Number of the episode and of the row in it, for each.

    Raises:
        ValueError: Too few rows have a goal in their episode.
    """
    valid = [
        (episode, row) for episode, length in enumerate(lengths) for row in range(length - offset)
    ]
    if count > len(valid) - 1:
        raise ValueError(
            f"only {max(0, len(valid) - 1)} rows of {len(lengths)} recorded episodes can be "
            f"starts, but {count} are wanted: the others have no state {offset} control steps later"
        )
    chosen = np.random.default_rng(seed).choice(len(valid) - 1, size=count, replace=False)
    return [valid[index] for index in np.sort(chosen)]


@dataclasses.dataclass(frozen=True)
class _Episode:
    layout: np.ndarray
    states: np.ndarray
    actions: np.ndarray


class Recording:
    """Held-out episodes of a task, without pictures, recorded as they are needed.

    Args:
        simulation: A restorable simulation.
        seed: Seed of the episodes.

    Attributes:
        steps: Longest episode, control steps.

    Raises:
        EngineError: The world is not restorable.
    """

    def __init__(self, simulation: Simulation, seed: int) -> None:
        if not simulation.is_restorable:
            raise EngineError(
                f"--protocol {NAME} returns to recorded states, which task "
                f"{simulation.task.spec.task!r} cannot"
            )
        self.steps = int(getattr(simulation.task, "episode_steps", _STEPS))
        self._simulation, self._seed = simulation, seed
        self._episodes: list[_Episode] = []

    def pairs(self, offset: int, count: int) -> list[Pair]:
        """Draw pairs; see `starts`. The same arguments give the same pairs.

        Args:
            offset: Control steps from start to goal.
            count: Number of pairs.

        Raises:
            EngineError: No episode is as long as the offset.
            ValueError: Too few rows can be starts.
        """
        if offset > self.steps:
            raise EngineError(
                f"offset is {offset}; an episode of task {self._simulation.task.spec.task!r} has "
                f"at most {self.steps} control steps"
            )
        self._episodes.clear()
        while len(self._episodes) < _FEWEST or (
            self._rows(offset) <= _ROWS * count and len(self._episodes) < _MOST
        ):
            first = len(self._episodes)
            self._episodes += [self._record(index) for index in range(first, first + _AT_ONCE)]
        lengths = [len(episode.states) for episode in self._episodes]
        return [
            self._pair(episode, row, offset)
            for episode, row in starts(lengths, offset, count, self._seed)
        ]

    def __len__(self) -> int:
        return len(self._episodes)

    def _rows(self, offset: int) -> int:
        return sum(max(0, len(episode.states) - offset) for episode in self._episodes)

    def _record(self, index: int) -> _Episode:
        simulation = self._simulation
        rng = episode_rng(self._seed, _STREAM, index)
        simulation.reset(rng, goal=False)
        explore = simulation.explorer(rng)
        states, actions = [simulation.state()], []
        for _ in range(self.steps):
            actions.append(np.asarray(explore(), np.float32))
            simulation.advance(actions[-1])
            states.append(simulation.state())
            if simulation.is_over:
                break
        return _Episode(simulation.layout.copy(), np.stack(states), np.stack(actions))

    def _pair(self, episode: int, row: int, offset: int) -> Pair:
        found, end = self._episodes[episode], row + offset
        return Pair(
            episode, row, found.layout, found.states[row], found.states[end],
            found.actions[row:end],
        )  # fmt: skip
