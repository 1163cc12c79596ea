"""How fast bare PyBullet is, for comparison with our own frames per second."""

from __future__ import annotations

import time

import numpy as np
import pybullet

from wm_mpc.sim.workers import kept_simulation

_FRAMES = 10  # after each command; the robot still moves, but has not come far yet


def bare_frame_rate(task: str, seconds: float) -> float:
    """Measure the frames per second of bare PyBullet, on one core, in the scene of a task.

    A frame is one control step of `stepSimulation` and one `getCameraImage` with the task's camera.
    There are no commands and no measurements, and nothing is kept. The robot moves: a scene at rest
    is up to twice as fast to simulate and draw.

    Args:
        task: Name of the task.
        seconds: How long to measure, s.
    """
    simulation = kept_simulation(task)
    client: int = simulation.client._client
    steps, camera = range(simulation.physics_steps), simulation.camera.settings
    rng = np.random.default_rng(0)
    frames, taken = 0, 0.0
    while taken < seconds:
        simulation.set_layout(simulation.task.sample_layout(rng))
        simulation.task.set_state(simulation.task.sample_state(rng))
        simulation.advance(simulation.task.explorer(rng)())
        started = time.perf_counter()
        for _ in range(_FRAMES):
            for _ in steps:
                pybullet.stepSimulation(physicsClientId=client)
            pybullet.getCameraImage(**camera, physicsClientId=client)
        taken += time.perf_counter() - started
        frames += _FRAMES
    return frames / taken
