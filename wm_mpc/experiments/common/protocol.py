"""The protocol of a comparison: the same held-out episodes for every variant, planner and loop.

Within each episode, all cells run in turn, so a busy machine slows all of them alike and the
ratios of their plan times stay fair. The result of a cell's episode depends only on the settings
and the episode's number, so an interrupted benchmark can continue.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.experiments.common.beside import disturber_of
from wm_mpc.experiments.common.ceiling import TrueSimulator
from wm_mpc.experiments.common.disturbed import DisturbedController, guard_record
from wm_mpc.experiments.common.episodes import Controller, EpisodeResult, run_episode
from wm_mpc.experiments.common.films import Film, FilmShelf
from wm_mpc.experiments.common.policies import POLICIES, Policy
from wm_mpc.experiments.common.records import Cell as Cell
from wm_mpc.experiments.common.records import Record as Record
from wm_mpc.experiments.common.settings import TRUE_SIMULATOR, Settings
from wm_mpc.experiments.common.swm import NAME as SWM
from wm_mpc.experiments.common.swm import Pair, Recording
from wm_mpc.experiments.common.variants import Checkpoint
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.engine import Observation, episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task

LOOPS = ("open", "closed", "ros")
STREAM = "evaluate"  # one of `wm_mpc.sim.engine.STREAMS`; never used for training
WITHOUT_MODEL = (TRUE_SIMULATOR, *POLICIES)
_WARM_UP = 1.0  # s; budget of a planner's first plan, which is the slowest


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Everything that decides the outcome, and the folder of films.

    Attributes:
        steps: Largest number of control steps of an episode.
        replan: Control steps executed of each plan in closed loop.
        open_horizon: Model steps of the plan in open loop; None: the planner's horizon.
        threads: Threads of the planner.
        films: Number of films of each outcome and cell.
        films_folder: Folder of the films.
        disturbances: What happens to pictures, one text for each cell; see `Cell`.
        guard: Whether a robot with disturbed pictures stands still where the node would hold.
        offset: Control steps from start to goal, by the protocol of `swm`; None: the task draws
            starts and goals.
        pairs: Number of pairs that this protocol draws.
    """

    task: str
    goals: str
    checkpoints: tuple[Checkpoint, ...]
    settings: Settings
    planners: tuple[str, ...]
    loops: tuple[str, ...]
    seed: int
    steps: int = 100
    replan: int = 1
    open_horizon: int | None = None
    threads: int = 1
    films: int = 0
    films_folder: Path | None = None
    disturbances: tuple[str, ...] = ("",)
    guard: bool = False
    offset: int | None = None
    pairs: int = 0

    def cells(self) -> list[Cell]:
        """Return all cells in the order of the table."""
        cells = []
        for loop in self.loops:
            for checkpoint in self.checkpoints:
                cells += [
                    Cell(checkpoint.variant, checkpoint.training_seed, planner, loop, disturbance)
                    for disturbance in self.disturbances
                    for planner in self.planners
                    if planner not in WITHOUT_MODEL
                ]
            if loop != "ros":
                own = [name for name in WITHOUT_MODEL if name in self.planners]
                cells += [Cell("-", None, name, loop) for name in own]
        return cells

    def checkpoint_of(self, cell: Cell) -> Checkpoint:
        """Return the checkpoint of a cell.

        Args:
            cell: The cell.
        """
        key = (cell.variant, cell.training_seed)
        return next(c for c in self.checkpoints if (c.variant, c.training_seed) == key)

    def planner_of(self, cell: Cell) -> PlannerConfig:
        """Return the planner's settings in a cell; open loop may have its own horizon.

        Args:
            cell: The cell.
        """
        planner = self.settings.planners[cell.planner]
        if cell.loop == "open" and self.open_horizon is not None:
            return dataclasses.replace(planner, horizon=self.open_horizon)
        return planner

    def replan_of(self, cell: Cell) -> int | None:
        """Return the control steps executed of each plan; None: all.

        The ceiling executes whole model steps, because its plans take seconds.

        Args:
            cell: The cell.
        """
        if cell.loop == "open":
            return None
        if cell.planner == TRUE_SIMULATOR:
            return max(self.replan, make_task(self.task).spec.frame_skip)
        if cell.planner in POLICIES:
            return 1
        return 1 if cell.loop == "ros" else self.replan

    def identity(self) -> dict[str, Any]:
        """Return the values that two runs must share for their episodes to belong together."""
        used = {name: dataclasses.asdict(self.settings.planners[name]) for name in self.planners}
        disturbed: dict[str, Any] = {}
        if any(self.disturbances):  # journals of older versions do not mention it
            disturbed = {"disturbances": list(self.disturbances), "guard": self.guard}
        if self.offset is not None:
            disturbed |= {"protocol": SWM, "offset": self.offset, "pairs": self.pairs}
        return {
            **disturbed,
            "task": self.task,
            "goals": self.goals,
            "seed": self.seed,
            "steps": self.steps,
            "replan": self.replan,
            "open_horizon": self.open_horizon,
            "threads": self.threads,
            "checkpoints": [[c.variant, c.training_seed, c.sha256] for c in self.checkpoints],
            "planners": used,
            "objective": dataclasses.asdict(self.settings.objective),
            "loops": list(self.loops),
        }


class Bench:
    """A benchmark at work in this process, with one simulation and the loaded world models."""

    def __init__(self, benchmark: Benchmark) -> None:
        """Load simulation and world models.

        Args:
            benchmark: The benchmark.

        Raises:
            CheckpointError: A world model cannot be loaded.
        """
        torch.set_num_threads(benchmark.threads)
        self._benchmark = benchmark
        self._models: dict[str, WorldModel] = {
            c.sha256: load_checkpoint(c.path)[0] for c in benchmark.checkpoints
        }
        self._simulation = simulate(make_task(benchmark.task), goals=benchmark.goals)
        self._ceiling: TrueSimulator | None = None
        self._shelf = FilmShelf(benchmark.films_folder, benchmark.films)
        self._warmed: set[Cell] = set()
        self._pairs: list[Pair] = []
        self._data = ""
        if benchmark.offset is not None:
            recording = Recording(self._simulation, benchmark.seed)
            self._pairs = recording.pairs(benchmark.offset, benchmark.pairs)
            self._data = f"{len(recording)} held-out episodes of the explorer"

    def run(self, cell: Cell, episode: int) -> Record:
        """Run one episode of one cell.

        Args:
            cell: The cell.
            episode: Number of the episode.
        """
        simulation = self._simulation
        pair = self._pairs[episode] if self._pairs else None
        self._warm_up(cell)
        extra: dict[str, Any] = {}
        begin = None
        if pair is not None:
            pair.begin(simulation)
            extra = {"solved_at_start": simulation.is_success(), "data": self._data}
            begin = functools.partial(pair.begin, simulation)
        controller = self._controller(cell, episode, pair, begin)
        film = None
        if self._shelf.wants(cell.label()):
            model = getattr(controller, "model", None)
            film = Film(simulation, f"{cell.label()}   episode {episode}", model)
        result = self._run(cell, episode, controller, begin, film)
        if film is not None:
            self._shelf.keep(film, cell.label(), episode, success=result.success)
        if result.between_seconds:
            extra["between_ms"] = [round(1e3 * each, 3) for each in result.between_seconds]
        shown = simulation.goal_shown()
        if shown is not None:
            extra["goal_shown"] = round(shown, 4)
        return Record(
            cell,
            episode,
            result.success,
            result.steps,
            result.success_at_end,
            {name: round(value, 5) for name, value in result.errors.items()},
            [round(1e3 * seconds, 3) for seconds in result.plan_seconds if seconds],
            result.holds,
            {**guard_record(controller), **extra},
        )

    def _run(
        self, cell: Cell, episode: int, controller: Controller,
        begin: Callable[[], Observation] | None, film: Film | None = None,
    ) -> EpisodeResult:  # fmt: skip
        benchmark = self._benchmark
        return run_episode(
            self._simulation,
            controller,
            episode_rng(benchmark.seed, STREAM, episode),
            planner=benchmark.planner_of(cell),
            objective=benchmark.settings.objective,
            steps=benchmark.steps,
            replan=benchmark.replan_of(cell),
            watch=film,
            begin=begin,
        )

    def _controller(
        self, cell: Cell, episode: int, pair: Pair | None, begin: Callable[[], Observation] | None
    ) -> RecedingHorizon | TrueSimulator | DisturbedController | Policy:
        """The controller of a cell, with random numbers that depend on the episode only."""
        sequence = np.random.SeedSequence([self._benchmark.seed, episode])
        seed = int(sequence.generate_state(1)[0])
        if cell.planner in POLICIES:
            recorded = None if pair is None else pair.actions
            return Policy(cell.planner, self._simulation, seed, recorded)
        if cell.planner != TRUE_SIMULATOR:
            model = self._models[self._benchmark.checkpoint_of(cell).sha256]
            controller = RecedingHorizon(model, seed)
            if not cell.disturbance:
                return controller
            places = [self._benchmark.seed, episode]
            undisturbed = functools.partial(self._run, cell, episode, begin=begin)
            disturber = disturber_of(cell.disturbance, places, model, seed, undisturbed)
            return DisturbedController(controller, disturber, holds=self._benchmark.guard)
        if self._ceiling is None:
            self._ceiling = TrueSimulator(self._simulation)
        self._ceiling.restart(seed)
        return self._ceiling

    def _warm_up(self, cell: Cell) -> None:
        """Make one unmeasured plan before the first plan of a cell."""
        if cell in self._warmed or cell.planner in WITHOUT_MODEL:
            return
        self._warmed.add(cell)
        model = self._models[self._benchmark.checkpoint_of(cell).sha256]
        controller = RecedingHorizon(model)
        image = np.zeros((model.spec.image.height, model.spec.image.width, 3), np.uint8)
        state = model.state_mean.numpy()
        try:
            controller.set_goal(image, state)
            controller.plan(
                image,
                state,
                0.0,
                planner=self._benchmark.planner_of(cell),
                objective=self._benchmark.settings.objective,
                budget=_WARM_UP,
            )
        except PlanningError:  # the episodes will show it
            return

    def close(self) -> None:
        """Close the simulation."""
        if self._ceiling is not None:
            self._ceiling.close()
        self._simulation.close()


Job = tuple[int, list[Cell]]


def run_jobs(benchmark: Benchmark, jobs: Sequence[Job], workers: int = 1) -> Iterator[Record]:
    """Run the cells of each episode in turn.

    Args:
        benchmark: The benchmark.
        jobs: The episodes with their cells.
        workers: Processes that share the episodes. With more than one, plan times are not
            comparable.

    Yields:
        Each record as soon as it is finished.

    Raises:
        CheckpointError: A world model cannot be loaded.
    """
    if not jobs:
        return
    if workers <= 1:
        bench = Bench(benchmark)
        try:
            for episode, cells in jobs:
                for cell in cells:
                    yield bench.run(cell, episode)
        finally:
            bench.close()
        return
    context = multiprocessing.get_context("spawn")
    work = functools.partial(_run_job, benchmark)
    with context.Pool(min(workers, len(jobs)), _ignore_interrupts) as pool:
        for records in pool.imap_unordered(work, jobs):
            yield from records


_bench: Bench | None = None  # of a worker


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C, which reaches all processes of the group; the first process ends the
    others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_job(benchmark: Benchmark, job: Job) -> list[Record]:
    global _bench
    if _bench is None:
        _bench = Bench(benchmark)
    episode, cells = job
    return [_bench.run(cell, episode) for cell in cells]
