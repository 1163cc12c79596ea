"""The real node beside a camera of recorded pictures."""

from __future__ import annotations

import shutil

import pytest

from wm_mpc.experiments.speed import node
from wm_mpc.experiments.speed.workbench import Workbench
from wm_mpc.experiments.success.through_ros import Domain, LaunchError, ros_environment

pytestmark = pytest.mark.ros


@pytest.mark.slow
def test_node_tells_every_stage_from_camera_to_plan(options, domain_id, tmp_path):
    bench, recording = Workbench(options), tmp_path / "recording.npz"
    node._record(bench, "wall", recording)
    commands = [node._mpc(bench, "wall"), node._camera(bench, "wall", recording, 96, 96)]
    domain = Domain(domain_id)
    row = node._heard(domain, commands, ros_environment(domain), tmp_path, 2.0)
    stages = row["stage_ms"]
    parts = ("receive", "wait", "convert", "encode", "plan", "publish")
    assert list(stages)[: len(parts)] == list(parts)
    assert row["plans"] > 3
    assert row["stolen_percent"] is None or 0.0 <= row["stolen_percent"] <= 100.0
    assert all(stages[name]["p50"] > 0.0 for name in parts)
    others = [stages[name]["p50"] for name in parts if name not in ("encode", "plan")]
    assert stages["overhead"]["p50"] >= max(others)


def test_a_node_that_dies_is_an_error_with_its_last_words(domain_id, tmp_path):
    domain = Domain(domain_id)
    command = ["sh", "-c", "echo the sky fell; exit 1"]
    with pytest.raises(LaunchError, match="the sky fell"):
        node._heard(domain, [command], ros_environment(domain), tmp_path, 1.0)


def test_without_ros2_the_section_says_so(options, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LaunchError, match="source your ROS 2"):
        node.measure(Workbench(options))
