"""The launch argument `rviz`."""

from __future__ import annotations

from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError
from launch import LaunchContext
from launch.actions import LogInfo
from launch.utilities import perform_substitutions
from launch_ros.actions import Node

from wm_mpc.ros import launching

pytestmark = pytest.mark.ros


@pytest.fixture
def no_rviz(monkeypatch):
    def look(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(launching, "get_package_prefix", look)


@pytest.fixture
def has_rviz(monkeypatch):
    monkeypatch.setattr(launching, "get_package_prefix", lambda name: f"/opt/{name}")


@pytest.mark.parametrize("asked", ["false", "0"])
def test_rviz_starts_only_when_asked_for(has_rviz, asked):
    assert launching.rviz({"rviz": asked}, "world") == []


def test_without_rviz_one_line_says_so(no_rviz):
    (line,) = launching.rviz({"rviz": "true"}, "world")
    assert isinstance(line, LogInfo)
    assert "rviz2 is not installed" in launching.NO_RVIZ


def test_rviz_gets_our_configuration_and_the_frame(has_rviz):
    (node,) = launching.rviz({"rviz": "true"}, "panda_link0", namespace="left")
    assert isinstance(node, Node)
    context = LaunchContext()
    words = [
        word if isinstance(word, str) else perform_substitutions(context, [*word])
        for word in node.cmd[1:5]
    ]
    assert words[0] == "-d"
    assert Path(words[1]).name == "wm_mpc.rviz"
    assert Path(words[1]).is_file()
    assert words[2:] == ["-f", "panda_link0"]


def test_a_value_that_is_no_truth_is_refused(has_rviz):
    with pytest.raises(RuntimeError, match="rviz is 'maybe'; accepted: true, false"):
        launching.rviz({"rviz": "maybe"}, "world")
