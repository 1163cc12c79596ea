"""A whole evaluation: run the missing episodes and report the finished ones.

With a folder, every finished episode is in the journal at once and the reports follow every few
seconds. The run may be killed at any moment, and the same command continues it.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wm_mpc.experiments.common.disturbed import guard_errors
from wm_mpc.experiments.common.films import FilmShelf
from wm_mpc.experiments.common.journal import NAME, Journal
from wm_mpc.experiments.common.machine import describe_machine, today
from wm_mpc.experiments.common.protocol import Benchmark, Job, run_jobs
from wm_mpc.experiments.success.cells import compare, summarise
from wm_mpc.experiments.success.disturb_curve import guard_curve, save_curve
from wm_mpc.experiments.success.tables import save
from wm_mpc.experiments.success.through_ros import free_domain, run_cell

_REPORT_EVERY = 20.0  # s


class Evaluation:
    """One benchmark over a number of episodes."""

    def __init__(
        self,
        benchmark: Benchmark,
        episodes: int,
        *,
        out: Path | None = None,
        fresh: bool = False,
        workers: int = 1,
        ros_domain: int | None = None,
        command: str = "",
        code: str = "",
    ) -> None:
        """Open or begin an evaluation.

        Args:
            benchmark: The benchmark.
            episodes: Number of episodes.
            out: Folder of all files; None: no files.
            fresh: Ignore earlier results.
            workers: As for `run_jobs`.
            ros_domain: As for `free_domain`.
            command: Command line, for the results.
            code: Version of the code, for the results.

        Raises:
            JournalError: `out` holds another evaluation.
        """
        films_folder = out / "films" if out else None
        self._benchmark = dataclasses.replace(benchmark, films_folder=films_folder)
        self._episodes, self._out, self._workers = episodes, out, workers
        self._ros_domain = ros_domain
        self._command, self._date = command, today()
        path = out / NAME if out else None
        if path is not None and fresh:
            path.unlink(missing_ok=True)
            FilmShelf(films_folder, 0).clear()
        origin = {"code": code, "machine": describe_machine(), "workers": workers}
        self._journal = Journal(path, self._benchmark.identity(), origin)
        self._reported_at = time.monotonic()

    @property
    def origins(self) -> list[dict[str, Any]]:
        """Code and machine of the episodes; with more than one, times are not comparable."""
        return self._journal.origins

    def total(self) -> int:
        """Number of episodes in all cells."""
        return len(self._benchmark.cells()) * self._episodes

    def done(self) -> int:
        """Number of finished episodes in all cells."""
        return sum(len(self._journal.of(c, self._episodes)) for c in self._benchmark.cells())

    def run(self, progress: Callable[[int], Any] = lambda _: None) -> dict[str, Any]:
        """Run the missing episodes.

        Args:
            progress: Called with 1 after each episode of each cell.

        Returns:
            The results.

        Raises:
            CheckpointError: A world model cannot be loaded.
            LaunchError: The nodes could not be run to the end.
        """
        try:
            for record in run_jobs(self._benchmark, self._jobs(), self._workers):
                self._journal.add(record)
                progress(1)
                self._report_sometimes()
            self._run_ros_cells(progress)
        finally:
            results = self.results()
            if self._out is not None and self._journal.records:
                is_disturbed = any(self._benchmark.disturbances)  # then the curve is the picture
                save(self._out, results, picture=not is_disturbed)
                self._save_curve(self._out)
        return results

    def _save_curve(self, out: Path) -> None:
        """Write the curve of the guard, if pictures were disturbed and the robot drove on."""
        benchmark, errors, successes = self._benchmark, {}, {}
        if benchmark.guard or not any(benchmark.disturbances):
            return
        for disturbance in benchmark.disturbances:
            cells = [cell for cell in benchmark.cells() if cell.disturbance == disturbance]
            records = [r for cell in cells for r in self._journal.of(cell, self._episodes)]
            if records:
                successes[disturbance] = sum(r.success for r in records) / len(records)
                found = [error for r in records for error in guard_errors(r.extra)]
                errors[disturbance] = found
        curve = guard_curve(successes, errors)
        if curve is not None:
            save_curve(out, benchmark.task, curve)

    def _jobs(self) -> list[Job]:
        """Missing cells, episode by episode."""
        cells = [cell for cell in self._benchmark.cells() if cell.loop != "ros"]
        jobs = [
            (episode, [cell for cell in cells if (cell, episode) not in self._journal.records])
            for episode in range(self._episodes)
        ]
        return [job for job in jobs if job[1]]

    def _run_ros_cells(self, progress: Callable[[int], Any]) -> None:
        """Run one cell after another; a launch runs all episodes, so only whole cells count."""
        cells = [
            cell
            for cell in self._benchmark.cells()
            if cell.loop == "ros" and len(self._journal.of(cell, self._episodes)) < self._episodes
        ]
        if not cells:
            return
        with tempfile.TemporaryDirectory() as temporary, free_domain(self._ros_domain) as domain:
            folder = self._out / "ros" if self._out else Path(temporary)
            for cell in cells:
                known = len(self._journal.of(cell, self._episodes))
                records = run_cell(self._benchmark, cell, self._episodes, folder, domain, progress)
                for record in records:
                    self._journal.add(record)
                progress(-known)  # they were counted before and have now run again
                self._report_sometimes()

    def _report_sometimes(self) -> None:
        now = time.monotonic()
        if self._out is not None and now - self._reported_at > _REPORT_EVERY:
            self._reported_at = now
            save(self._out, self.results(), picture=False)

    def results(self) -> dict[str, Any]:
        """Return the contents of results.json for the finished episodes."""
        benchmark, origins = self._benchmark, self._journal.origins
        identity = benchmark.identity()
        return {
            "command": self._command,
            "date": self._date,
            "complete": self.done() == self.total(),
            "code": origins[-1]["code"],
            "machine": origins[-1]["machine"],
            "earlier_parts": origins[:-1],
            "workers": max(origin["workers"] for origin in origins),
            **{
                name: identity[name]
                for name in ("task", "goals", "seed", "steps", "replan", "open_horizon", "threads")
            },
            **{
                name: identity[name]
                for name in ("disturbances", "guard", "protocol", "offset")
                if name in identity
            },
            "episodes": self._episodes,
            "planners": identity["planners"],
            "objective": identity["objective"],
            "checkpoints": [checkpoint.describe() for checkpoint in benchmark.checkpoints],
            "cells": summarise(benchmark, self._journal, self._episodes),
            "comparisons": compare(benchmark, self._journal, self._episodes),
        }
