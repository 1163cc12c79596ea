"""A whole benchmark: measure the missing sections and report the finished ones.

Each section writes its result when it is finished, and the reports follow. The run may be killed
at any moment, and the same command continues it. Sections with other code, another machine or
other settings are measured again, so that all results belong together.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from wm_mpc.atomic import write
from wm_mpc.experiments.common.machine import describe_machine, today
from wm_mpc.experiments.speed import budget, latency, limit, node, peers, repeat, success
from wm_mpc.experiments.speed.claims import judge
from wm_mpc.experiments.speed.picture import draw
from wm_mpc.experiments.speed.tables import markdown, report
from wm_mpc.experiments.speed.workbench import Options, Workbench
from wm_mpc.experiments.success.through_ros import LaunchError
from wm_mpc.reports.page import save_page

# The question of each section, in the order of measurement: sections that need the processor for
# themselves come first, sections with several processes last.
SECTIONS = {
    "peers": "our planners against stable-worldmodel and pytorch-mppi, on our model and cost",
    "latency": "plan time against horizon, restarts or samples, model size and dynamics",
    "limit": "plan time against the time of its matrix products alone on this machine",
    "budget": "whether planners keep time_budget and still return valid plans",
    "repeat": "whether plans with the same seed are the same in every run",
    "success": "success against plan time, on held-out episodes",
    "node": "time from the image to the published plan in the real node, stage by stage",
}
_IDENTITY = "identity.json"


class BenchmarkRun:
    """Measures sections and keeps their results in a folder.

    Args:
        options: Options that decide the outcome.
        out: Folder of all files.
        sections: Keys of `SECTIONS`.
        fresh: Ignore earlier results.
        domain: ROS domain of the nodes; None: a free one.
        command: Command line, for the results.
        code: Version of the code, for the results.
        tell: Receives progress as text.
    """

    def __init__(
        self,
        options: Options,
        out: Path,
        sections: Sequence[str] = tuple(SECTIONS),
        *,
        fresh: bool = False,
        domain: int | None = None,
        command: str = "",
        code: str = "",
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._options, self._out, self._domain, self._tell = options, out, domain, tell
        self._wanted = [name for name in SECTIONS if name in sections]
        self._command, self._code = command, code
        self._machine = describe_machine()
        self._bench = Workbench(options)
        self._kept = out / "sections"
        self._failures: dict[str, str] = {}
        self._begin(fresh=fresh)

    def _begin(self, *, fresh: bool) -> None:
        identity = json.loads(json.dumps(
            {**self._options.identity(), "code": self._code, "machine": self._machine}
        ))  # fmt: skip
        if self._kept.is_dir() and (fresh or _read(self._kept / _IDENTITY) != identity):
            if not fresh:
                self._tell(
                    "earlier results come from other code, models, settings or another machine; "
                    "measuring again"
                )
            shutil.rmtree(self._kept)
        self._kept.mkdir(parents=True, exist_ok=True)
        write(self._kept / _IDENTITY, _json(identity))

    def run(self) -> dict[str, Any]:
        """Measure the missing sections.

        A section that cannot be measured is reported and left out; `failures` of the results has
        the reason.

        Returns:
            All results.

        Raises:
            CheckpointError: A world model cannot be loaded.
        """
        torch.set_num_threads(self._options.threads)
        for name in self._wanted:
            path = self._kept / f"{name}.json"
            if path.is_file():
                self._tell(f"{name}: already measured (--fresh measures again)")
                continue
            self._tell(f"{name}: {SECTIONS[name]} ...")
            load, started = _load(), time.perf_counter()
            try:
                result = self._measure(name)
            except Exception as error:  # one failed section must not stop the others
                if not isinstance(error, LaunchError):
                    traceback.print_exc()
                self._failures[name] = f"{type(error).__name__}: {error}"
                self._tell(f"{name}: not measured: {error}")
                continue
            seconds = round(time.perf_counter() - started, 1)
            write(path, _json({"load": load, "seconds": seconds, "result": result}))
            self._tell(f"{name}: {seconds} s")
            self._save(picture=False)
        return self._save(picture=True)

    def _measure(self, name: str) -> Any:
        if name == "success":
            return success.measure(self._bench, self._kept, self._tell)
        if name == "node":
            return node.measure(self._bench, self._domain)
        modules = {"peers": peers, "latency": latency, "limit": limit, "budget": budget,
                   "repeat": repeat}  # fmt: skip
        return modules[name].measure(self._bench)

    def _save(self, *, picture: bool) -> dict[str, Any]:
        results = self.results()
        write(self._out / "results.json", _json(results))
        write(self._out / "results.md", markdown(results) + "\n")
        if picture:
            write(self._out / "results.png", draw(results))
        save_page(report(results), self._out / "results.html", self._out / "results.png")
        return results

    def results(self) -> dict[str, Any]:
        """Return the contents of results.json for the finished sections."""
        found = {name: _read(self._kept / f"{name}.json") for name in SECTIONS}
        kept = {name: entry for name, entry in found.items() if entry}
        sections = {name: entry["result"] for name, entry in kept.items()}
        fastest = {task: self._bench.fastest(self._bench.model(task)) for task in self._bench.tasks}
        checkpoints = self._options.checkpoints
        return {
            "command": self._command,
            "date": today(),
            "complete": all(name in sections for name in SECTIONS),
            "code": self._code,
            "machine": self._machine,
            "load": {name: entry["load"] for name, entry in kept.items()},
            "seconds": sum(entry["seconds"] for entry in kept.values()),
            "seconds_each": {name: entry["seconds"] for name, entry in kept.items()},
            "failures": self._failures,
            "quick": self._options.quick,
            "seed": self._options.seed,
            "threads": self._options.threads,
            "fastest": fastest,
            "checkpoints": {task: entry.describe() for task, entry in checkpoints.items()},
            "planners": {
                task: {
                    name: dataclasses.asdict(self._bench.planner(task, name))
                    for name in self._options.planners
                }
                for task in self._bench.tasks
            },
            "claims": judge(sections, fastest),
            "sections": sections,
        }


def _load() -> float | None:
    """Average number of computing processes in the last minute; None if unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _read(path: Path) -> Any:
    """Contents of a file; None if it is missing or incomplete."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
