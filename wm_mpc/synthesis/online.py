"""Online world modelling (arXiv 2512.09929): learn what the planner's own plans really do.

From recorded states, the present model plans by gradient to goals; the plan is executed in the
simulator from the very start state, and what really happened joins the training data. Where
the planner found a phantom way (through a wall, say), the model now learns that there is none.

A controller does not start from recorded states only, but mostly from where its own plans led it:
near the goal, or stuck. So more plans to the same goal may follow, each from where the one before
it ended (as in DAgger, Ross et al. 2011, arXiv 1011.0686).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import torch

from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.data.episodes import Recording
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.settings.fields import SettingError, check, setting
from wm_mpc.sim.engine import Observation
from wm_mpc.sim.workers import Workers, kept_simulation
from wm_mpc.spec import RobotSpec
from wm_mpc.synthesis.method import Material, RolloutMethod, Rollouts
from wm_mpc.synthesis.random_rollouts import execute

_CHUNK = 8  # plans of a job: enough work to be worth sending
GOALS = ("later", "anywhere", "task")


@dataclasses.dataclass(frozen=True)
class OnlineConfig:
    """The settings `online.*`. The planner is Adam; make it as strong as the one that will be used,
    or it misses the phantom ways that one finds. Raises SettingError when they are not accepted."""

    every: int = setting(500, "Number of updates between two rounds", low=1)
    plans: int = setting(250, "Plans made and executed in a round, a multiple of attempts", low=1)
    attempts: int = setting(
        1,
        "Plans to one goal: the first from a recorded state, each other one from where the one "
        "before it ended",
        low=1,
    )
    horizon: int = setting(7, "Model steps of a plan", "steps", low=1)
    restarts: int = setting(16, "Starts of the planner", low=1)
    iterations: int = setting(20, "Iterations of the planner", low=1)
    goals: str = setting(
        "later",
        "Goals of the plans: a later frame of the same episode (up to a plan's length later, much "
        "as in the paper), any recorded frame of the same layout, which a plan may not reach, or "
        "goals as the task draws them",
        choices=GOALS,
    )

    def __post_init__(self) -> None:
        check(self, "online.")
        if self.plans % self.attempts:
            raise SettingError(
                f"online.plans is {self.plans}; a multiple of online.attempts, {self.attempts}, "
                "is needed"
            )


def online_rollouts(
    model: WorldModel,
    recording: Recording,
    config: OnlineConfig,
    seed: list[int],
    episodes: np.ndarray,
    workers: Workers,
    progress: Callable[[int], None] = lambda _: None,
) -> Rollouts:
    """Plan from recorded frames of `episodes` with the present model, and execute the plans.

    Goals are in the layout of the start; see `config.goals`. The number of rollouts is
    `config.plans`, less those for which no finite plan was found; each has its own random numbers,
    so they do not depend on the workers. `progress` is called with the number that was made. Raises
    ValueError when the recording holds no simulator states, or no finite plan was found at all.
    """
    if recording.simulator_states is None:
        raise ValueError("online rollouts restore recorded simulator states; this dataset has none")
    count = config.plans // config.attempts
    least = 1 if config.goals == "later" else 0  # model steps left in the episode
    frames = np.random.default_rng(seed).choice(
        recording.window_starts(least, episodes), size=count
    )
    goals = _goals(recording, config, seed, episodes, frames)
    starts = []
    seeds = np.random.SeedSequence(seed).spawn(count)
    for frame, goal, own_seed in zip(frames, goals, seeds, strict=True):
        layout = recording.layouts[recording.episode_of[frame]]
        assert layout is not None
        seen = _seen(recording, frame)
        shown = None if goal is None else _seen(recording, goal)
        starts.append(_Start(own_seed, layout, recording.simulator_states[frame], seen, shown))
    chunks = [starts[first : first + _CHUNK] for first in range(0, len(starts), _CHUNK)]
    executed = []
    for chunk in workers.map(_Round.of(model, config), chunks):
        for rollouts in chunk:
            progress(config.attempts)
            executed += rollouts
    if not executed:
        raise ValueError("no finite plan was found in a whole round of online rollouts")
    images, states, actions = zip(*executed, strict=True)
    return Rollouts(np.stack(images), np.stack(states), np.stack(actions))


def _seen(recording: Recording, frame: int) -> Observation:
    return Observation(np.array(recording.images[frame]), recording.states[frame])


def _goals(
    recording: Recording,
    config: OnlineConfig,
    seed: list[int],
    episodes: np.ndarray,
    starts: np.ndarray,
) -> list[int | None]:
    """A frame that shows the goal for each frame to start from; None: the task draws it."""
    if config.goals == "task":
        return [None] * len(starts)
    rng = np.random.default_rng([*seed, 1])
    of_frame = recording.episode_of
    if config.goals == "later":
        last = np.searchsorted(of_frame, of_frame[starts], side="right") - 1
        length = np.minimum(config.horizon * recording.spec.frame_skip, last - starts)
        return (starts + rng.integers(1, length + 1)).tolist()
    layout = recording.layout_numbers(np.arange(len(recording.indices)))
    usable = np.flatnonzero(np.isin(of_frame, episodes))
    usable_layout, wanted = layout[of_frame[usable]], layout[of_frame[starts]]
    alike = {number: usable[usable_layout == number] for number in np.unique(wanted)}
    return [int(rng.choice(alike[number])) for number in wanted]


# Images, states and normalised action blocks of one executed plan.
_Executed = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Start:
    """A recorded frame to plan from: what is seen there, and how to get there again.

    goal: what is seen at the goal; None: the task draws one.
    """

    seed: np.random.SeedSequence
    layout: np.ndarray
    simulator_state: np.ndarray
    seen: Observation
    goal: Observation | None


@dataclasses.dataclass
class _Round:
    """What workers need to know of one round: the model, in a form to be sent, and the settings."""

    spec: RobotSpec
    architecture: Architecture
    weights: dict[str, np.ndarray]
    config: OnlineConfig

    @classmethod
    def of(cls, model: WorldModel, config: OnlineConfig) -> _Round:
        weights = {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}
        return cls(model.spec, model.architecture, weights, config)

    def __call__(self, starts: list[_Start]) -> list[list[_Executed]]:
        """In a worker: what was executed from each start."""
        return [self._rollouts(start) for start in starts]

    @functools.cached_property
    def _model(self) -> WorldModel:
        model = WorldModel(self.spec, self.architecture)
        model.load_state_dict({name: torch.from_numpy(w) for name, w in self.weights.items()})
        return model.eval().requires_grad_(False)

    def _rollouts(self, start: _Start) -> list[_Executed]:
        rng = np.random.default_rng(start.seed)
        simulation = kept_simulation(self.spec.task)
        simulation.restore(start.layout, start.simulator_state)
        goal = start.goal or simulation.new_goal(rng).observation
        controller = RecedingHorizon(self._model, int(rng.integers(2**31)))
        planner = PlannerConfig(
            horizon=self.config.horizon,
            restarts=self.config.restarts,
            iterations=self.config.iterations,
            learning_rate=0.3,  # far, before first plans are learned
            learning_rate_decay=0.95,
            warm_start=False,
        )
        image, state = start.seen.image, start.seen.state
        simulator_state = start.simulator_state
        executed: list[_Executed] = []
        for _ in range(self.config.attempts):
            controller.forget()
            try:
                controller.set_goal(goal.image, goal.state)
                plan = controller.plan(
                    image, state, 0.0, planner=planner, objective=ObjectiveConfig()
                )
            except PlanningError:  # a model this bad learns from the other plans
                break
            actions = self.spec.normalise_action(plan.actions)
            images, states = execute(simulation, start.layout, simulator_state, actions)
            blocks = actions.reshape(self.config.horizon, -1).astype(np.float32)
            executed.append((images, states, blocks))
            image, state = images[-1], states[-1]
            simulator_state = simulation.state()
        return executed


def _round(config: OnlineConfig, material: Material) -> Rollouts:
    return online_rollouts(
        material.model(),
        material.recording,
        config,
        [material.seed, 2, material.update],
        material.episodes,
        material.workers,
        material.progress,
    )


def _complaint(config: OnlineConfig, history: int) -> str:
    if config.horizon >= history:
        return ""
    return f"online.horizon is {config.horizon}; at least the history, {history}, is needed"


METHOD = RolloutMethod(
    OnlineConfig,
    _round,
    count=lambda config: config.plans,
    steps=lambda config: config.horizon,
    every=lambda config: config.every,
    complaint=_complaint,
    by_default=True,
)
