"""The benchmark: the same held-out episodes for every variant, planner and loop.

Episode by episode, all cells in turn, so that a busy machine slows all of them alike and the ratios
of their plan times stay fair. Each episode of each cell depends on the settings and its own number
only, so an interrupted benchmark continues where it stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.experiments.common.ceiling import TrueSimulator
from wm_mpc.experiments.common.episodes import run_episode
from wm_mpc.experiments.common.films import Film, FilmShelf
from wm_mpc.experiments.common.settings import TRUE_SIMULATOR, Settings
from wm_mpc.experiments.common.variants import Checkpoint
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.tasks import make_task

LOOPS = ("open", "closed", "ros")
STREAM = "evaluate"  # of `wm_mpc.sim.bullet.STREAMS`: held out from training
_WARM_UP = 1.0  # s for the first plan of a planner, which is slower than all others


@dataclasses.dataclass(frozen=True)
class Cell:
    """One row of the results. training_seed: of the checkpoint. The ceiling belongs to no variant:
    its variant is "-"."""

    variant: str
    training_seed: int | None
    planner: str
    loop: str

    def label(self) -> str:
        seed = "" if self.training_seed is None else f" s{self.training_seed}"
        return f"{self.variant}{seed} {self.planner} {self.loop}"


@dataclasses.dataclass(frozen=True)
class Record:
    """One episode of one cell; see `EpisodeResult`. plan_ms: of each plan. extra: what only one way
    of running tells."""

    cell: Cell
    episode: int
    success: bool
    steps: int
    success_at_end: bool
    errors: dict[str, float]
    plan_ms: list[float]
    holds: int = 0
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Everything that decides the outcome, and where films go.

    steps: low-level step budget. replan: low-level steps executed of each plan, in closed loop.
    open_horizon: model steps of the one plan in open loop; None: the planner's own horizon.
    films: of each outcome and cell.
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

    def cells(self) -> list[Cell]:
        """All cells, in the order of the table."""
        cells = []
        for loop in self.loops:
            for checkpoint in self.checkpoints:
                cells += [
                    Cell(checkpoint.variant, checkpoint.training_seed, planner, loop)
                    for planner in self.planners
                    if planner != TRUE_SIMULATOR
                ]
            if TRUE_SIMULATOR in self.planners and loop != "ros":
                cells.append(Cell("-", None, TRUE_SIMULATOR, loop))
        return cells

    def checkpoint_of(self, cell: Cell) -> Checkpoint:
        key = (cell.variant, cell.training_seed)
        return next(c for c in self.checkpoints if (c.variant, c.training_seed) == key)

    def planner_of(self, cell: Cell) -> PlannerConfig:
        """The planner's settings in a cell: open loop may have a horizon of its own."""
        planner = self.settings.planners[cell.planner]
        if cell.loop == "open" and self.open_horizon is not None:
            return dataclasses.replace(planner, horizon=self.open_horizon)
        return planner

    def replan_of(self, cell: Cell) -> int | None:
        """Low-level steps executed of each plan; None: all. The ceiling executes whole model steps,
        because its plans take seconds."""
        if cell.loop == "open":
            return None
        if cell.planner == TRUE_SIMULATOR:
            return max(self.replan, make_task(self.task).spec.frame_skip)
        return 1 if cell.loop == "ros" else self.replan

    def identity(self) -> dict[str, Any]:
        """What two runs must have in common for their episodes to belong together."""
        used = {name: dataclasses.asdict(self.settings.planners[name]) for name in self.planners}
        return {
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
    """A benchmark at work in this process: one simulation, and the world models loaded."""

    def __init__(self, benchmark: Benchmark) -> None:
        """Raises CheckpointError."""
        torch.set_num_threads(benchmark.threads)
        self._benchmark = benchmark
        self._models: dict[str, WorldModel] = {
            c.sha256: load_checkpoint(c.path)[0] for c in benchmark.checkpoints
        }
        self._simulation = Simulation(make_task(benchmark.task), goals=benchmark.goals)
        self._ceiling: TrueSimulator | None = None
        self._shelf = FilmShelf(benchmark.films_folder, benchmark.films)
        self._warmed: set[Cell] = set()

    def run(self, cell: Cell, episode: int) -> Record:
        """One episode of one cell."""
        benchmark, simulation = self._benchmark, self._simulation
        controller = self._controller(cell, episode)
        self._warm_up(cell)
        film = None
        if self._shelf.wants(cell.label()):
            model = getattr(controller, "model", None)
            film = Film(simulation, f"{cell.label()}   episode {episode}", model)
        result = run_episode(
            simulation,
            controller,
            episode_rng(benchmark.seed, STREAM, episode),
            planner=benchmark.planner_of(cell),
            objective=benchmark.settings.objective,
            steps=benchmark.steps,
            replan=benchmark.replan_of(cell),
            watch=film,
        )
        if film is not None:
            self._shelf.keep(film, cell.label(), episode, success=result.success)
        return Record(
            cell,
            episode,
            result.success,
            result.steps,
            result.success_at_end,
            {name: round(value, 5) for name, value in result.errors.items()},
            [round(1e3 * seconds, 3) for seconds in result.plan_seconds],
            result.holds,
        )

    def _controller(self, cell: Cell, episode: int) -> RecedingHorizon | TrueSimulator:
        """With random numbers of its own for each episode, the same for all cells."""
        sequence = np.random.SeedSequence([self._benchmark.seed, episode])
        seed = int(sequence.generate_state(1)[0])
        if cell.planner != TRUE_SIMULATOR:
            model = self._models[self._benchmark.checkpoint_of(cell).sha256]
            return RecedingHorizon(model, seed)
        if self._ceiling is None:
            self._ceiling = TrueSimulator(self._simulation)
        self._ceiling.restart(seed)
        return self._ceiling

    def _warm_up(self, cell: Cell) -> None:
        """A plan whose time does not count, before the first one of a cell."""
        if cell in self._warmed or cell.planner == TRUE_SIMULATOR:
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
        except PlanningError:  # the episodes will tell
            return

    def close(self) -> None:
        if self._ceiling is not None:
            self._ceiling.close()
        self._simulation.close()


Job = tuple[int, list[Cell]]


def run_jobs(benchmark: Benchmark, jobs: Sequence[Job], workers: int = 1) -> Iterator[Record]:
    """Run the cells of each episode in turn; their records as they come.

    workers: processes that share the episodes. They slow each other down: with more than one, plan
    times mean little. Raises CheckpointError.
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
    """Ctrl-C reaches the whole group of processes; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_job(benchmark: Benchmark, job: Job) -> list[Record]:
    global _bench
    if _bench is None:
        _bench = Bench(benchmark)
    episode, cells = job
    return [_bench.run(cell, episode) for cell in cells]
