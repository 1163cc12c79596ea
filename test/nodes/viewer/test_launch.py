"""The viewer takes part in a launch without being needed in it. That a run of the simulation ends
its viewer: test/launch/test_sim_launch.py."""

from __future__ import annotations

import os
import signal

import pytest

from .conftest import Launched

pytestmark = [pytest.mark.ros, pytest.mark.launch, pytest.mark.timeout(180)]
ROBOT = ("robot.launch.py", "model:=wall", "viewer:=true")


def goes_on_without_its_viewer(launched):
    launched.line(r"\[viewer-\d\]: process has (died|finished)")
    launched.line(r"\[mpc\]: holding: no image received yet")
    assert launched.runs()
    assert os.path.exists(f"/proc/{launched.pid('mpc')}")
    launched.interrupt()
    assert launched.wait(30.0) == 0


def test_a_robot_goes_on_when_its_viewer_is_killed(domain_id, tmp_path):
    launched = Launched(domain_id, tmp_path, *ROBOT)
    try:
        os.kill(launched.pid("viewer"), signal.SIGKILL)
        goes_on_without_its_viewer(launched)
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
    launched = Launched(domain_id, tmp_path, *ROBOT)
    try:
        launched.line(r"viewer: viser is not installed, .*: pip install viser")
        goes_on_without_its_viewer(launched)
    finally:
        launched.close()


@pytest.mark.slow
def test_the_launch_of_a_robot_has_a_viewer_that_ends_with_it(domain_id, tmp_path):
    launched = Launched(domain_id, tmp_path, *ROBOT)
    try:
        viewer = launched.pid("viewer")
        launched.line(r"viewer: open http://127\.0\.0\.1:\d+ in a browser")
        launched.line(r"\[mpc\]: holding: no image received yet")
    finally:
        launched.close()
    assert not os.path.exists(f"/proc/{viewer}")
