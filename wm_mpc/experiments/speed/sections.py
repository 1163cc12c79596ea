"""A benchmark from beginning to end: what is missing is measured, what is finished is reported.

Each section's result is a file as soon as it is measured, and reports follow every section, so that
a run can be killed at any moment and continued by the same command. Sections of other code, another
machine or other settings are measured again: results are of one kind.
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
from wm_mpc.experiments.speed.tables import markdown
from wm_mpc.experiments.speed.workbench import Options, Workbench
from wm_mpc.experiments.success.through_ros import LaunchError

# What each one answers, for people; in the order in which they are measured: what takes the
# processor for itself first, what runs several processes last.
SECTIONS = {
    "peers": "our planners against stable-worldmodel and pytorch-mppi, on our model and cost",
    "latency": "plan time against horizon, restarts or samples, model size and dynamics",
    "limit": "plan time against what its matrix products alone would take on this machine",
    "budget": "is time_budget kept, and are plans valid then",
    "repeat": "are plans the same from run to run, with a seed",
    "success": "success against plan time, on held-out episodes",
    "node": "from the camera to the published plan in the real node, stage by stage",
}
_IDENTITY = "identity.json"


class BenchmarkRun:
    """Measures sections and keeps them in a folder.

    out: folder of all files. sections: keys of `SECTIONS`. fresh: forget what is there. domain: ROS
    domain of the nodes, default a free one. command, code: for the record. tell: told what happens,
    a line for a person.
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
                self._tell("what was measured is of other code, models, settings or machine: anew")
            shutil.rmtree(self._kept)
        self._kept.mkdir(parents=True, exist_ok=True)
        write(self._kept / _IDENTITY, _json(identity))

    def run(self) -> dict[str, Any]:
        """Measure what is missing and return all results. A section that cannot be measured is told
        and left out: `failures` of the results say why. Raises CheckpointError."""
        torch.set_num_threads(self._options.threads)
        for name in self._wanted:
            path = self._kept / f"{name}.json"
            if path.is_file():
                self._tell(f"{name}: measured before (--fresh measures again)")
                continue
            self._tell(f"{name}: {SECTIONS[name]} ...")
            load, started = _load(), time.perf_counter()
            try:
                result = self._measure(name)
            except Exception as error:  # a fault of one must not take the others with it
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
        return results

    def results(self) -> dict[str, Any]:
        """Everything in results.json, of what is finished so far."""
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
    """Processes that wanted to compute in the last minute, on average; None where nobody counts."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _read(path: Path) -> Any:
    """None where there is no such file, or only half of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
