"""Texts of the page, as HTML: the state, the goals, an episode, a training."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping

from wm_mpc.codes import GoalCode, LearnerCode
from wm_mpc.messages.progress_statuses import LearnerStatus
from wm_mpc.messages.statuses import GoalReport
from wm_mpc.view.headline import duration
from wm_mpc.view.model import View

_SHOWN_GOALS = 6


def state_card(view: View, rate: float | None = None) -> str:
    """What the controller does, why, and since when.

    Args:
        view: What there is to see.
        rate: Of the pictures, Hz, where it is lower than wanted.
    """
    headline = view.headline
    since = f"for {duration(headline.seconds)}" if headline.code else ""
    reason = f'<div class="wm-reason">{html.escape(headline.reason)}</div>'
    return (
        f'<div class="wm-card wm-{headline.tone.value}" data-code="{html.escape(headline.code)}">'
        f'<div class="wm-line"><span class="wm-word">{html.escape(headline.word)}</span>'
        f'<span class="wm-since">{since}</span></div>'
        f"{reason if headline.reason else ''}{_facts(_state_facts(view, rate))}</div>"
    )


def _state_facts(view: View, rate: float | None) -> Iterable[tuple[str, str]]:
    status = view.status
    if status is not None:
        checkpoint = status.values.get("checkpoint", "")
        name = checkpoint.rpartition("/")[2].removesuffix(".safetensors") or "none"
        arithmetic = status.values.get("arithmetic", "")
        yield "Planner", ", ".join(filter(None, (status.values.get("planner", ""), arithmetic)))
        yield "Checkpoint", name
        plan = status.number("image to plan p50 (ms)")
        if math.isfinite(plan):
            late = status.number("image to plan p99 (ms)")
            yield "Image to plan", f"{plan:.1f} ms (p99 {late:.1f} ms)"
        yield "Plans", f"{status.plans}, {status.overruns} control steps missed"
    if view.episode is not None:
        errors = ", ".join(f"{name} {value:.3f}" for name, value in view.episode.errors.items())
        if errors:  # none where the simulation judges no goals
            yield "True error", errors
        yield "Episodes", f"{view.episode.successes} of {view.episode.finished} reached"
    if rate is not None:
        yield "Pictures", f"{rate:.3g} per second, as this computer is busy"


def goals_card(goals: tuple[GoalReport, ...], verdicts: Mapping[int, bool] | None = None) -> str:
    """The latest goals, the newest first.

    Args:
        goals: All that are known, oldest first.
        verdicts: By number, whether a simulation saw the goal reached.
    """
    if not goals:
        return '<div class="wm-none">No goal yet.</div>'
    rows = "".join(
        _goal_row(goal, (verdicts or {}).get(goal.number))
        for goal in reversed(goals[-_SHOWN_GOALS:])
    )
    waiting = sum(goal.code is GoalCode.WAITING for goal in goals)
    more = f'<div class="wm-none">{waiting} waiting</div>' if waiting > 1 else ""
    return f'<table class="wm-goals">{rows}</table>{more}'


def _outcome(goal: GoalReport, verdict: bool | None) -> tuple[str, str]:
    """A word for what became of a goal, and why. A simulation draws the next goal when it sees one
    reached; the controller, which did not see that, cancels the old one."""
    if goal.code is not GoalCode.CANCELLED:
        return goal.code.word, goal.reason
    if verdict is None:
        return "ended", goal.reason
    if verdict:
        return GoalCode.REACHED.word, "by the true state"
    return "missed", "the episode was over"


def _goal_row(goal: GoalReport, verdict: bool | None) -> str:
    distance = ""
    if math.isfinite(goal.distance):
        distance = f"{goal.distance:.2f}"
        if math.isfinite(goal.tolerance):
            distance += f" / {goal.tolerance:.2f}"
    word, why = _outcome(goal, verdict)
    reason = f'<div class="wm-faint">{html.escape(why)}</div>' if why else ""
    seconds = "" if goal.code is GoalCode.WAITING else duration(goal.seconds)
    return (
        f'<tr class="wm-goal-{word}"><td>{goal.number}</td>'
        f"<td>{word}{reason}</td><td>{distance}</td><td>{seconds}</td></tr>"
    )


def training_card(learner: LearnerStatus | None) -> str:
    """How far a training is."""
    if learner is None:
        return '<div class="wm-none">No learner runs.</div>'
    tone = {LearnerCode.FAILED: "bad", LearnerCode.TRAINING: "good"}.get(learner.code, "idle")
    facts = [("Checkpoint", learner.checkpoint.name)] if learner.checkpoint else []
    if learner.seconds_left is not None:
        facts.append(("Time left", f"{duration(learner.seconds_left)} in this phase"))
    if learner.seconds is not None:
        facts.append(("Running", duration(learner.seconds)))
    facts += [(name, f"{value:.5g}") for name, value in learner.losses.items()]
    share = 100.0 * learner.update / learner.total if learner.total else 0.0
    return (
        f'<div class="wm-card wm-{tone}"><div class="wm-line">'
        f'<span class="wm-word">{html.escape(learner.code.word.capitalize())}</span>'
        f'<span class="wm-since">{html.escape(learner.stage)}</span></div>'
        f'<div class="wm-reason">{html.escape(learner.sentence)}</div>'
        f'<div class="wm-bar"><div style="width:{share:.1f}%"></div></div>{_facts(facts)}</div>'
    )


def said_card(message: str, *, is_refusal: bool) -> str:
    """What became of something that a person asked for."""
    if not message:
        return ""
    tone = "bad" if is_refusal else "good"
    return f'<div class="wm-said wm-{tone}">{html.escape(message)}</div>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in facts
        if text
    )
    return f'<table class="wm-facts">{rows}</table>' if rows else ""
