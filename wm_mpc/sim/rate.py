"""How fast bare PyBullet is: what our own frames per second are compared with."""

from __future__ import annotations

import time

import numpy as np
import pybullet

from wm_mpc.sim.workers import kept_simulation

_FRAMES = 10  # from one command on: the robot has not come far yet, and still moves


def bare_frame_rate(task: str, seconds: float) -> float:
    """Frames per second (one core) of PyBullet alone in the scene of a task, measured for a while.

    A frame is as many `stepSimulation` as a control period has, and one `getCameraImage` as the
    camera takes it; no commands, no measurements, nothing kept. The robot moves meanwhile: what
    stands still is quicker to simulate and to draw, up to twice.
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
