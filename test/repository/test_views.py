"""The RViz configuration and the Foxglove layout name what our nodes publish."""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path

import pytest
import yaml

from wm_mpc.codes import GoalCode
from wm_mpc.messages.statuses import GoalReport
from wm_mpc.sim.frames import ODOM, WORLD, world_frames

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
# Of the display or the panel's kind; the message type that it shows.
RVIZ = {"Image": "Image", "MarkerArray": "MarkerArray", "Odometry": "Odometry"}
# Published under a name that is not a text in the call.
OTHERS = {
    "camera/image_raw": "Image",
    "odom": "Odometry",
    "joint_states": "JointState",
    "diagnostics": "DiagnosticArray",
}
FIRST_OF_PATH = re.compile(r"^/([\w/]+)")


@functools.cache
def published():
    """Type of each topic that a node of ours publishes, by name."""
    return {**_topics("create_publisher"), **OTHERS}


@functools.cache
def subscribed():
    return _topics("create_subscription")


def _topics(call):
    found = {}
    for path in (ROOT / "wm_mpc" / "nodes").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == call:
                kind, name = node.args[:2]
                if isinstance(name, ast.Constant):
                    found[name.value] = getattr(kind, "id", "")
    return found


@pytest.fixture(scope="module")
def rviz():
    return yaml.safe_load((CONFIG / "wm_mpc.rviz").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def foxglove():
    return json.loads((CONFIG / "foxglove.json").read_text(encoding="utf-8"))


def displays(rviz):
    """Kind, entry."""
    for display in rviz["Visualization Manager"]["Displays"]:
        yield display["Class"].rpartition("/")[2], display


def test_rviz_shows_camera_goal_imagined_images_plan_and_robot(rviz):
    shown = {d["Topic"]["Value"] for kind, d in displays(rviz) if kind in RVIZ}
    assert shown == {
        "camera/image_raw", "goal/image", "mpc/imagined/image_raw", "mpc/plan_markers", "odom",
    }  # fmt: skip
    assert all(display["Enabled"] for _, display in displays(rviz)), "visible without set-up"


def test_topics_of_rviz_are_published_with_the_type_of_the_display(rviz):
    for kind, display in displays(rviz):
        if kind in RVIZ:
            assert published()[display["Topic"]["Value"]] == RVIZ[kind]
        if kind == "RobotModel":
            assert published()[display["Description Topic"]["Value"]] == "String"


def test_a_display_connects_to_what_is_kept_for_late_comers_and_to_cameras(rviz):
    for _, display in displays(rviz):
        topic = display.get("Topic") or display.get("Description Topic")
        if topic is None:
            continue
        latched = topic["Value"] in ("goal/image", "robot_description")
        assert (topic["Durability Policy"] == "Transient Local") == latched
        if topic["Value"] in ("camera/image_raw", "mpc/imagined/image_raw"):
            assert topic["Reliability Policy"] == "Best Effort", "so it connects to any camera"


def test_tool_of_rviz_sets_the_goal_of_the_simulation(rviz):
    tools = rviz["Visualization Manager"]["Tools"]
    (goal,) = [tool for tool in tools if tool["Class"].endswith("/SetGoal")]
    assert subscribed()[goal["Topic"]["Value"]] == "PoseStamped"


def test_fixed_frame_of_rviz_is_one_in_which_the_simulation_takes_goals(rviz):
    frame = rviz["Visualization Manager"]["Global Options"]["Fixed Frame"]
    assert frame == WORLD
    assert frame in world_frames(ODOM)


def test_names_of_rviz_follow_namespaces_and_remappings(rviz):
    for _, display in displays(rviz):
        topic = display.get("Topic") or display.get("Description Topic")
        assert topic is None or not topic["Value"].startswith("/")


def topics_of(foxglove):
    """Topic, wanted type (empty: any)."""
    for name, panel in foxglove["configById"].items():
        kind = name.partition("!")[0]
        if kind == "Image":
            yield panel["imageMode"]["imageTopic"], "Image"
        for path in panel.get("paths", []):
            yield FIRST_OF_PATH.match(path["value"])[0], ""
        for topic in panel.get("topics", {}):
            yield topic, ""
        for key in ("topicToRender", "topicPath"):
            if key in panel:
                yield panel[key], "DiagnosticArray"


def test_topics_of_foxglove_are_published_with_the_type_of_the_panel(foxglove):
    topics = list(topics_of(foxglove))
    assert len(topics) > 8
    for topic, kind in topics:
        known = published()[topic.removeprefix("/")]
        assert not kind or known == kind, topic


def test_foxglove_shows_camera_goal_imagined_images_plan_and_status(foxglove):
    shown = {topic for topic, _ in topics_of(foxglove)}
    assert shown >= {
        "/camera/image_raw", "/goal/image", "/mpc/imagined/image_raw", "/mpc/plan_markers",
        "/mpc/cost", "/mpc/goals", "/diagnostics",
    }  # fmt: skip


def test_foxglove_sets_the_goal_of_the_simulation(foxglove):
    publish = foxglove["configById"]["3D!scene"]["publish"]
    assert publish["type"] == "pose"
    assert subscribed()[publish["poseTopic"].removeprefix("/")] == "PoseStamped"


def test_every_panel_of_foxglove_has_one_place(foxglove):
    def names(part):
        if isinstance(part, str):
            return [part]
        assert part["direction"] in ("row", "column")
        return names(part["first"]) + names(part["second"])

    placed = names(foxglove["layout"])
    assert sorted(placed) == sorted(foxglove["configById"])


def test_values_that_foxglove_plots_are_in_the_statuses(foxglove):
    text = (ROOT / "wm_mpc/nodes/mpc/statistics.py").read_text(encoding="utf-8")
    known = set(re.findall(r'^ +"([^"]+)": ', text, re.MULTILINE))
    known |= set(GoalReport(1, GoalCode.EXECUTING).to_values())
    paths = [
        p["value"] for panel in foxglove["configById"].values() for p in panel.get("paths", [])
    ]
    keys = [key for path in paths for key in re.findall(r'key=="([^"]+)"', path)]
    assert keys
    assert set(keys) <= known
    words = {code.word for code in GoalCode}
    for word in re.findall(r'message=="([^"]+)"', " ".join(paths)):
        assert word in words


def test_both_are_installed():
    """setup.py installs all files of config/."""
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert 'glob("config/*")' in text
    for name in ("wm_mpc.rviz", "foxglove.json"):
        assert (CONFIG / name).is_file()
