"""How fast a bare engine is, for comparison with our own frames per second."""

from __future__ import annotations

import numpy as np

from wm_mpc.sim.workers import kept_simulation

_FRAMES = 10  # after each command; the robot still moves, but has not come far yet


def bare_frame_rate(task: str, seconds: float) -> float:
    """Measure the frames per second of the bare engine, on one core, in the scene of a task.

    A frame is one control step and one image. Nothing is measured, and nothing is kept. The robot
    moves: a scene at rest is up to twice as fast to simulate and draw.

    Args:
        task: Name of the task.
        seconds: How long to measure, s.
    """
    simulation = kept_simulation(task)
    rng = np.random.default_rng(0)
    frames, taken = 0, 0.0
    while taken < seconds:
        taken += simulation.bare_frames(rng, _FRAMES)
        frames += _FRAMES
    return frames / taken
