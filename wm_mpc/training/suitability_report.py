"""The report of `learn` for people: is the recording good enough, and what to record more of."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from wm_mpc.reports.page import Report
from wm_mpc.training import summary
from wm_mpc.training.suitability import Finding


def verdict(findings: Sequence[Finding]) -> str:
    """Return the outcome as a sentence.

    Args:
        findings: What `suitability.assess` found.
    """
    bad = Counter(finding.name for finding in findings if not finding.holds)
    if not bad:
        return "The recording is good enough in all that was looked at."
    names = [name if count == 1 else f"{name} ({count} times)" for name, count in bad.items()]
    return (
        f"The recording is not good enough in {bad.total()} of {len(findings)} points: "
        f"{', '.join(names)}."
    )


def report(
    findings: Sequence[Finding],
    imported: str,
    results: Mapping[str, Any],
    seconds: float,
    more: str,
) -> Report:
    """Return the report.

    Args:
        findings: What `suitability.assess` found.
        imported: What the import printed.
        results: Contents of metrics.json.
        seconds: Time that the whole command took so far, s.
        more: The command that adds a recording.
    """
    task = results["task"]
    rows = [
        f"| {each.name} | {each.value} | {'yes' if each.holds else 'no'} | {each.advice} |"
        for each in findings
    ]
    listed = [f"- `{line.strip()}`" for line in imported.splitlines() if line.strip()]
    lines = [
        f"# Learned: {task}", "", f"**{verdict(findings)}**", "",
        f"This took {seconds / 60:.0f} minutes.", "", "## The recording", "",
        "| what | found | good enough | what to do |", "|---|---|---|---|", *rows, "",
        "Checks on images use held-out episodes, which the model did not see.", "",
        "## Next", "", f"- Start the controller: `ros2 launch wm_mpc robot.launch.py "
        f"model:={_path(results['checkpoint'])}`. It sends nothing to a robot until you "
        "name an output, such as `output:=cmd_vel`.", f"- Add a recording: `{more}`, then `train` "
        "with another `--run`.", "",
        "## What the import found", "", *(listed or ["The dataset was there already."]), "",
        *summary.markdown(results).splitlines()[1:],
    ]  # fmt: skip
    holds = [finding.holds for finding in findings]
    return Report(f"Learned: {task}", "\n".join(lines), results, holds, "The training")


def _path(checkpoint: str) -> str:
    """A path as a launch argument, which must be absolute."""
    return (
        shlex.quote(checkpoint) if checkpoint.startswith("/") else f"$PWD/{shlex.quote(checkpoint)}"
    )
