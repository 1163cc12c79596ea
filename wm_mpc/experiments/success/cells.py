"""Summaries of finished episodes per cell, and comparisons on the same episodes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from wm_mpc.experiments.common.disturbed import guard_errors, guard_summary
from wm_mpc.experiments.common.journal import Journal
from wm_mpc.experiments.common.policies import PRIVILEGED
from wm_mpc.experiments.common.protocol import WITHOUT_MODEL, Benchmark, Cell, Record
from wm_mpc.experiments.common.settings import TRUE_SIMULATOR
from wm_mpc.experiments.common.statistics import (
    MOST_DIVISIONS,
    holm,
    mcnemar_exact,
    permutation_exact,
    wilson_interval,
)
from wm_mpc.experiments.success.protocol_columns import ALL, AWAY, protocol_columns

POOLED = "pooled"
EARLY = 50  # control steps; success within them is reported as well
SHOWN = 0.8  # of the things; goals whose pictures show less are left out of `success_rate_shown`
Row = dict[str, Any]
_Outcomes = dict[tuple[int | None, int], bool]  # success by training seed and episode


def summarise(benchmark: Benchmark, journal: Journal, episodes: int) -> list[Row]:
    """Summarise all cells with finished episodes, per training seed and, with several, pooled.

    Args:
        benchmark: The benchmark.
        journal: Finished episodes.
        episodes: Use the first so many episodes only.
    """
    rows = []
    for group in _groups(benchmark):
        found = [(cell, journal.of(cell, episodes)) for cell in group]
        for cell, records in found:
            rows += _rows(benchmark, cell, cell.training_seed, records)
        pooled = [record for _, records in found for record in records]
        if len(group) > 1 and pooled:
            seeds = [cell.training_seed for cell, records in found if records]
            rows += [
                {**row, "training_seeds": seeds}
                for row in _rows(benchmark, group[0], POOLED, pooled)
            ]
    _add_time_ratios(rows)
    return rows


def _groups(benchmark: Benchmark) -> list[list[Cell]]:
    """Groups of cells that differ only in their training seed."""
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in benchmark.cells():
        key = cell.loop, cell.variant, cell.disturbance, cell.planner
        groups.setdefault(key, []).append(cell)
    return list(groups.values())


def _rows(
    benchmark: Benchmark, cell: Cell, training_seed: int | str | None, records: Sequence[Record]
) -> list[Row]:
    """One row; by the protocol of `swm` another one without starts at their goals, if some are."""
    if not records:
        return []
    if benchmark.offset is None:
        return [_row(benchmark, cell, training_seed, records)]
    away = [record for record in records if not record.extra["solved_at_start"]]
    kept = {ALL: records, AWAY: away}
    return [
        _row(benchmark, cell, training_seed, some)
        | {"starts": starts, "solved_at_start": len(records) - len(away)}
        | protocol_columns(benchmark, cell, records)
        for starts, some in kept.items()
        if some and (starts == ALL or len(some) < len(records))
    ]


def _row(
    benchmark: Benchmark, cell: Cell, training_seed: int | str | None, records: Sequence[Record]
) -> Row:
    planner = benchmark.planner_of(cell)
    steps = [record.steps for record in records if record.success]
    row: Row = {
        "task": benchmark.task,
        "goals": benchmark.goals,
        "variant": cell.variant,
        "training_seed": training_seed,
        "planner": cell.planner,
        "loop": cell.loop,
        "episodes": len(records),
        **_rate("success_rate", "ci95", [record.success for record in records]),
        "steps_mean": round(float(np.mean(steps)), 1) if steps else None,
    }
    if cell.disturbance:
        errors = [error for record in records for error in guard_errors(record.extra)]
        row |= {"disturbance": cell.disturbance, **guard_summary(errors)}
    if benchmark.steps > EARLY:
        early = [record.success and record.steps <= EARLY for record in records]
        row |= _rate(f"success_rate_{EARLY}", f"ci95_{EARLY}", early)
    row |= _where_shown(records)
    if cell.loop == "open":
        row |= _rate(
            "success_rate_at_end", "ci95_at_end", [record.success_at_end for record in records]
        )
    p50, p99 = _plan_times(records)
    row |= {
        "plan_ms_p50": p50,
        "plan_ms_p99": p99,
        "plans": sum(len(record.plan_ms) for record in records),
        "holds": sum(record.holds for record in records),
        "horizon": planner.horizon,
        "restarts": planner.restarts,
        "replan": benchmark.replan_of(cell),
        "privileged": cell.planner in (TRUE_SIMULATOR, *PRIVILEGED),
    }
    trips = [time for record in records for time in record.extra.get("round_trip_ms", [])]
    if trips:
        row["round_trip_ms_p50"], row["round_trip_ms_p99"] = _percentiles(trips)
    between = [time for record in records for time in record.extra.get("between_ms", [])]
    if between:
        row["between_searches"] = len(between)
        row["between_ms_p50"], row["between_ms_p99"] = _percentiles(between)
    return row


def _where_shown(records: Sequence[Record]) -> Row:
    """Success at the goals whose pictures show the things, and of how many goals it is known."""
    known = [record for record in records if "goal_shown" in record.extra]
    shown = [record.success for record in known if record.extra["goal_shown"] >= SHOWN]
    row: Row = {"episodes_known": len(known), "episodes_shown": len(shown)} if known else {}
    return row | (_rate("success_rate_shown", "ci95_shown", shown) if shown else {})


def _rate(name: str, interval: str, outcomes: Sequence[bool]) -> Row:
    low, high = wilson_interval(sum(outcomes), len(outcomes))
    return {
        name: round(sum(outcomes) / len(outcomes), 4),
        interval: [round(low, 4), round(high, 4)],
    }


def _plan_times(records: Iterable[Record]) -> tuple[float | None, float | None]:
    """p50 and p99 in ms, of all plans or, for nodes, as they reported them."""
    records = list(records)
    times = [time for record in records for time in record.plan_ms]
    if times:
        return _percentiles(times)
    reported = [record.extra["plan_ms"] for record in records if "plan_ms" in record.extra]
    if not reported:
        return None, None
    return round(float(np.median([p50 for p50, _ in reported])), 2), max(p99 for _, p99 in reported)


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(times, [50, 99])
    return round(float(p50), 2), round(float(p99), 2)


def _add_time_ratios(rows: Sequence[Row]) -> None:
    """Add plan time relative to CEM, of the same variant, training seed and loop, and of variant
    `none`."""
    times = {
        (row["variant"], row["training_seed"], _place(row), row["planner"]): row["plan_ms_p50"]
        for row in rows
    }
    none_seeds = {row["training_seed"] for row in rows if row["variant"] == "none"}
    for row in rows:
        loop, seed = _place(row), row["training_seed"]
        own = _cem_time(times, row["variant"], seed, loop)
        row["time_ratio_to_cem"] = _ratio(row, own)
        if none_seeds:
            other = seed if seed in none_seeds else next(iter(none_seeds))
            row["time_ratio_to_cem_none"] = _ratio(row, _cem_time(times, "none", other, loop))


def _place(row: Row) -> tuple[str, str, str]:
    """Loop, disturbance and starts: times are compared within all of them."""
    return row["loop"], row.get("disturbance", ""), row.get("starts", "")


def _cem_time(
    times: dict[Any, float | None], variant: str, seed: Any, loop: tuple[str, ...]
) -> float | None:
    """The time of `cem`, or of the paper's CEM if only that ran."""
    ours = times.get((variant, seed, loop, "cem"))
    return ours or times.get((variant, seed, loop, "paper_cem"))


def _ratio(row: Row, reference: float | None) -> float | None:
    if row["privileged"] or not reference or row["plan_ms_p50"] is None:
        return None
    return round(row["plan_ms_p50"] / reference, 4)


def compare(benchmark: Benchmark, journal: Journal, episodes: int) -> list[Row]:
    """Compare on the same episodes with exact McNemar tests: each planner with CEM, each variant
    with `none`.

    Training seeds that both have count as separate episodes. So `p_value` and `p_holm`, which is
    corrected for the number of comparisons, are about these models. `p_training_seeds` is about
    models of other training seeds: a permutation test on the success rates of the seeds. It is
    None for two planners, if a variant has a single seed, or for more than 20 seeds.

    Args:
        benchmark: The benchmark.
        journal: Finished episodes.
        episodes: Use the first so many episodes only.
    """
    cells = benchmark.cells()
    if any(benchmark.disturbances):  # planners and variants are not what is compared
        return []
    present = {(c.loop, c.variant, c.planner) for c in cells if c.planner not in WITHOUT_MODEL}
    names = list(dict.fromkeys((c.loop, c.variant, c.planner) for c in cells))
    rows = []
    for loop, variant, planner in names:
        if (loop, variant, planner) not in present:
            continue
        pairs = []
        if planner != "cem":
            pairs.append((loop, variant, "cem"))
        if variant != "none":
            pairs.append((loop, "none", planner))
        rows += [
            _comparison(journal, cells, (loop, variant, planner), other, episodes)
            for other in pairs
            if other in present
        ]
    rows = [row for row in rows if row["pairs"]]
    for row, corrected in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = _p_value(corrected)
    return rows


def _comparison(
    journal: Journal,
    cells: Sequence[Cell],
    first: tuple[str, str, str],
    second: tuple[str, str, str],
    episodes: int,
) -> Row:
    outcomes = [_outcomes(journal, cells, names, episodes) for names in (first, second)]
    shared = outcomes[0].keys() & outcomes[1].keys()
    pairs = [(outcomes[0][key], outcomes[1][key]) for key in shared]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    return {
        "loop": first[0],
        "first": {"variant": first[1], "planner": first[2]},
        "second": {"variant": second[1], "planner": second[2]},
        "pairs": len(pairs),
        "only_first": only_first,
        "only_second": only_second,
        "p_value": _p_value(mcnemar_exact(only_first, only_second)),
        "p_training_seeds": None if first[1] == second[1] else _over_training_seeds(*outcomes),
    }


def _p_value(value: float) -> float:
    return float(f"{value:.4g}")


def _over_training_seeds(*outcomes: _Outcomes) -> float | None:
    """Compare the success rates of training seeds on the episodes that all of them have.

    None: a group has a single seed, no episode is common, or there are too many seeds.
    """
    seeds = [sorted({seed for seed, _ in group if seed is not None}) for group in outcomes]
    had = [
        {episode for seed, episode in group if seed == own}
        for group, owns in zip(outcomes, seeds, strict=True)
        for own in owns
    ]
    common = set.intersection(*had) if had else set()
    ways = math.comb(sum(map(len, seeds)), len(seeds[0]))
    if min(map(len, seeds)) < 2 or not common or ways > MOST_DIVISIONS:
        return None
    rates = [
        [float(np.mean([group[own, episode] for episode in common])) for own in owns]
        for group, owns in zip(outcomes, seeds, strict=True)
    ]
    return _p_value(permutation_exact(*rates))


def _outcomes(
    journal: Journal, cells: Sequence[Cell], names: tuple[str, str, str], episodes: int
) -> _Outcomes:
    """Success by training seed and episode."""
    mine = [cell for cell in cells if (cell.loop, cell.variant, cell.planner) == names]
    return {
        # A single checkpoint is compared for any training seed.
        (cell.training_seed if len(mine) > 1 else None, record.episode): record.success
        for cell in mine
        for record in journal.of(cell, episodes)
    }
