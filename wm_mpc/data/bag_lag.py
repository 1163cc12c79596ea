"""Check that actions and motion match: find the delay at which the motion fits the actions best.

A command comes slightly before the motion that it causes. If the motion clearly fits the actions
best at another delay, stamps or clocks are wrong.
"""

from __future__ import annotations

import itertools

import numpy as np

from wm_mpc.data.bag_import import Drafts
from wm_mpc.data.lag import correlations
from wm_mpc.spec import RobotSpec

_LONGEST = 10.0  # s
_CAUSAL = 0.5  # s; a robot follows within this time, or within three steps
_CLEAR = 0.7  # a correlation that is not due to chance
_FEWEST = 100  # steps


def wrong_delay(drafts: Drafts, spec: RobotSpec) -> str:
    """Return a warning if the motion does not fit the actions of its own steps.

    Args:
        drafts: The episodes.
        spec: The robot.

    Returns:
        The warning; "" if the motion fits, or if the data do not show it.
    """
    best = (0.0, 0, 0.0)
    period = spec.control_period
    soon = max(3, round(_CAUSAL / period))
    for episode in drafts.episodes:
        states, actions = episode.states.astype(float), episode.actions.astype(float)
        if len(actions) < _FEWEST or not spec.state.size:
            continue
        most = min(round(_LONGEST / period), len(actions) // 3)
        angles = list(spec.state.angle_columns)
        moves = np.diff(states, axis=0)
        moves[:, angles] = (moves[:, angles] + np.pi) % (2 * np.pi) - np.pi
        wishes = [actions]
        if spec.action.kind == "position":
            wishes = [np.diff(actions, axis=0, prepend=actions[:1])]
        signals = np.concatenate([moves, states[:-1]], axis=1)
        for action, signal in itertools.product(wishes[0].T, signals.T):
            fits = np.abs(correlations(action, signal, most))
            inside = fits[most : most + soon + 1].max()
            peak = int(fits.argmax())
            if fits[peak] > max(best[0], _CLEAR):
                best = (float(fits[peak]), peak - most, float(inside))
    fit, delay, inside = best
    # Motion before its command is impossible; late motion is only unusual.
    if delay == -1 and inside <= 0.85 * fit:
        return (
            f"WARNING the motion fits the actions of the next step better (correlation {fit:.2f}, "
            f"{inside:.2f} at the actual step): commands come late in their step, or are recorded "
            "late. --action-rule integrate averages over a step; see also --clock-offset"
        )
    if not fit or -1 <= delay <= soon or inside > (0.6 if delay > 0 else 0.85) * fit:
        return ""
    return (
        f"WARNING the motion fits the actions {abs(delay) * period:.2g} s "
        f"{'earlier' if delay > 0 else 'later'} better (correlation {fit:.2f}, {inside:.2f} at the "
        "actual step): are the clocks right, and does this topic move the robot? See --stamps, "
        "--clock-offset and --trajectory-points"
    )
