"""The viewer takes part in a launch without being needed in it."""

from __future__ import annotations

import os
import signal

import pytest

from .conftest import Launched

pytestmark = [pytest.mark.ros, pytest.mark.launch, pytest.mark.timeout(180)]
EPISODES = ("task:=wall", "lockstep:=true", "episodes:=3", "seed:=4242")


def test_a_run_ends_well_though_its_viewer_was_killed(domain_id, tmp_path):
    launched = Launched(domain_id, tmp_path, "sim.launch.py", *EPISODES, "viewer:=true")
    try:
        viewer = launched.pid("viewer")
        launched.line(r"viewer: open http")
        os.kill(viewer, signal.SIGKILL)
        launched.line(r"episodes 3  success \d", 120.0)
        assert launched.wait(30.0) == 0
        assert not os.path.exists(f"/proc/{viewer}")
    finally:
        launched.close()


def test_without_viser_the_rest_runs(domain_id, tmp_path, monkeypatch):
    (tmp_path / "viser").mkdir()
    (tmp_path / "viser" / "__init__.py").write_text(
        "raise ModuleNotFoundError('No module named viser', name='viser')"
    )
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    )
    launched = Launched(domain_id, tmp_path, "sim.launch.py", *EPISODES, "viewer:=true")
    try:
        launched.line(r"viewer: viser is not installed, .*: pip install viser")
        launched.line(r"episodes 3  success \d", 120.0)
        assert launched.wait(30.0) == 0
    finally:
        launched.close()


def test_the_launch_of_a_robot_has_a_viewer_that_ends_with_it(domain_id, tmp_path):
    launched = Launched(domain_id, tmp_path, "robot.launch.py", "model:=wall", "viewer:=true")
    try:
        viewer = launched.pid("viewer")
        launched.line(r"viewer: open http://127\.0\.0\.1:\d+ in a browser")
        launched.line(r"\[mpc\]: holding: no image received yet")
    finally:
        launched.close()
    assert not os.path.exists(f"/proc/{viewer}")
