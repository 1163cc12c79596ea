"""Fixtures of the nodes: the real node `sim`, in the process of the test or in one of its own."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def start_sim(observer: Any) -> Iterator[Callable[..., Any]]:
    """Start the node `sim` with these parameters; it is stopped after the test."""
    from .running_sim import RunningSim

    running: list[RunningSim] = []

    def start(**parameters: Any) -> RunningSim:
        running.append(RunningSim(observer, **parameters))
        return running[-1]

    yield start
    for sim in running:
        sim.close()


@pytest.fixture
def sim_process(domain_id: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the node `sim` as a process of its own, in a namespace, with these parameters."""
    processes: list[subprocess.Popen[str]] = []

    def start(namespace: str = "/", **parameters: Any) -> subprocess.Popen[str]:
        arguments = [f"{name}:={value}" for name, value in parameters.items()]
        options = [word for argument in arguments for word in ("-p", argument)]
        options += ["-r", f"__ns:={namespace}"]
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain_id),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "wm_mpc.nodes.sim", "--ros-args", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
