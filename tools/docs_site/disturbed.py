"""Tables of disturbed pictures: what light, blur, a moved camera or a foreign object do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docs_site.measured import percent, results
from docs_site.sources import table


def disturbed(*tasks: str) -> str:
    """Success in disturbed live pictures, a column for each task.

    In brackets is the share of pictures at which the node would hold. The robot drove on.
    """
    by_task = {task: _cells(task) for task in tasks}
    kinds = list(dict.fromkeys(kind for cells in by_task.values() for kind in cells))
    rows = [
        [f"`{kind}`", *(_cell(cells[kind]) if kind in cells else "" for cells in by_task.values())]
        for kind in kinds
    ]
    links = [f"[`{task}`](../results/disturbed/{task}/results.md)" for task in tasks]
    return table(("live pictures", *links), rows)


def _cells(task: str) -> dict[str, dict[str, Any]]:
    return {row["disturbance"]: row for row in results(f"disturbed/{task}")["cells"]}


def _cell(row: dict[str, Any]) -> str:
    return f"{percent(row['success_rate'])} ({percent(row['held_share'])})"


MAKERS: dict[str, Callable[..., str]] = {"disturbed": disturbed}
