"""The page in a real browser, of a real simulation that a real controller drives.

A browser without a graphics card takes a whole core, so they run alone (`timing`).
They share one launch and one page, in this order; the last one kills the controller.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter, parameter_value_to_python
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.codes import GoalCode, HoldCode
from wm_mpc.messages.statuses import GoalReport
from wm_mpc.ros import qos
from wm_mpc.ros.status import from_diagnostics

from .conftest import Tab

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timing, pytest.mark.timeout(240)]


def value_of(looker, name):
    request = GetParameters.Request(names=[name])
    answer = looker.call(GetParameters, "mpc/get_parameters", request)
    return parameter_value_to_python(answer.values[0])


def goals(messages):
    return [from_diagnostics(each, GoalReport) for each in messages[-1].status] if messages else []


@pytest.fixture(scope="module")
def heard(looker, launched):
    """What the nodes say: goals, plans and odometry. Episodes do not end by themselves."""
    found = {
        "goals": looker.listen(DiagnosticArray, "mpc/goals", qos.LATCHED),
        "plans": looker.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS),
        "odom": looker.listen(Odometry, "odom", qos.ROBOT_STATE),
    }
    looker.wait_until(lambda: all(found.values()), "the first plan", 60.0)
    endless = Parameter("episode_steps", value=1000000).to_parameter_msg()
    request = SetParameters.Request(parameters=[endless])
    assert looker.call(SetParameters, "sim/set_parameters", request).results[0].successful
    return found


@pytest.fixture
def planning(tab, heard, looker):
    """The page, when it says that the controller plans. No test inherits what one that failed has
    left: a hold, another tab of the page, another size."""
    tab.until(lambda: tab.code() in ("planning", HoldCode.PERSON), "planning or a hold", 40.0)
    if tab.code() == HoldCode.PERSON:
        assert looker.call(SetBool, "mpc/hold", SetBool.Request(data=False)).success
    tab.page.set_viewport_size({"width": 1280, "height": 800})
    tab.show("Goals")
    tab.until(lambda: tab.code() == "planning", "planning", 40.0)
    return tab


def test_nothing_listens_beyond_this_computer(address):
    port = int(address.rpartition(":")[2])
    rows = [
        line.split()[1:4:2]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    listening = {local for local, state in rows if state == "0A"}
    own = {local for local in listening if int(local.rpartition(":")[2], 16) == port}
    assert own == {f"0100007F:{port:04X}"}


def test_camera_and_imagined_pictures_change(planning):
    page = planning.page
    stage = {"x": 400, "y": 120, "width": 480, "height": 560}

    def picture():
        return page.screenshot(clip=stage)

    def sources():
        return [image.get_attribute("src") for image in page.locator("img[src^=blob]").all()]

    planning.press("New goal")
    before = picture()
    pictures = planning.until(
        lambda: len(sources()) == 4 and sources(), "the goal, the imagined frames and the camera"
    )
    planning.until(lambda: picture() != before, "another camera picture")
    planning.until(lambda: sources()[1] != pictures[1], "another imagined picture")


def test_a_new_goal_changes_its_picture(planning):
    image = planning.page.locator("img[src^=blob]").first
    before = image.get_attribute("src")
    planning.press("New goal")
    planning.until(lambda: image.get_attribute("src") != before, "another goal picture")


def test_a_click_sets_a_goal_to_which_the_robot_drives(planning, heard):
    numbers = [goal.number for goal in goals(heard["goals"])]
    # Left of the middle of the picture is left of the middle of the arena.
    canvas = planning.page.locator("canvas").first.bounding_box()
    middle = canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2 + 24
    planning.page.mouse.click(middle[0] - canvas["width"] * 0.3, middle[1])
    said = planning.page.locator(".wm-said").first
    asked = "Asked for a goal at x -0."
    planning.until(lambda: said.count() and asked in said.inner_text(), asked)
    place = float(said.inner_text().split("x ")[1].split(" m")[0])

    def executed():
        found = [goal for goal in goals(heard["goals"]) if goal.number > max(numbers)]
        return [g for g in found if g.code in (GoalCode.EXECUTING, GoalCode.REACHED)]

    planning.until(executed, "a goal that is planned for")

    def is_near():
        position = heard["odom"][-1].pose.pose.position
        return abs(position.x - place) < 0.2 and abs(position.y) < 0.2

    planning.until(is_near, f"the robot at x {place}, y 0", 60.0)


def test_a_slider_changes_a_parameter(planning, looker):
    planning.show("Tune")
    before = planning.box("planner.horizon").input_value()
    wanted = "8" if before == "9" else "9"  # what a box shows already is no change
    assert value_of(looker, "planner.horizon") != int(wanted)
    planning.enter("planner.horizon", wanted)
    planning.until(lambda: value_of(looker, "planner.horizon") == int(wanted), "the new horizon")


def test_a_value_that_others_set_is_shown(planning, looker):
    changed = Parameter("planner.horizon", value=6).to_parameter_msg()
    request = SetParameters.Request(parameters=[changed])
    looker.call(SetParameters, "mpc/set_parameters", request)
    planning.show("Tune")
    planning.until(lambda: planning.box("planner.horizon").input_value() == "6", "the value 6")


def test_a_refused_value_shows_its_reason_and_the_old_value(planning, looker):
    planning.show("Tune")
    before = value_of(looker, "goal.timeout")
    planning.enter("goal.timeout", "-5")
    refusal = planning.page.locator(".wm-said.wm-bad")
    parts = ("goal.timeout", "-5", "accepted: a number from 0.0")
    planning.until(
        lambda: refusal.count() and all(part in refusal.first.inner_text() for part in parts),
        f"a reason with {parts}",
    )
    planning.until(
        lambda: float(planning.box("goal.timeout").input_value()) == before, "the old value"
    )
    assert value_of(looker, "goal.timeout") == before


def test_hold_stops_the_robot_and_every_browser_shows_it(planning, heard, browser, address):
    planning.press("Hold")
    planning.until(lambda: planning.code() == HoldCode.PERSON, "a hold")
    planning.until(lambda: not heard["plans"][-1].points, "the message to hold")

    def is_still():
        velocity = heard["odom"][-1].twist.twist.linear
        return abs(velocity.x) + abs(velocity.y) < 0.01

    planning.until(is_still, "a robot that stands still")
    with contextlib.closing(Tab(browser, address, 390, 844)) as other:
        other.until(lambda: other.code() == HoldCode.PERSON, "the same hold")
        assert "Holding" in other.state()
        other.press("Go on")
        planning.until(lambda: planning.code() == "planning", "planning")
        assert not other.errors
    planning.page.get_by_role("button", name="Hold", exact=True).wait_for()


def test_a_recording_is_made_from_the_page(planning, folder):
    before = set(folder.glob("recordings/*"))
    planning.show("Model")
    planning.press("Record")
    planning.page.get_by_role("button", name="Stop recording").wait_for()
    planning.until(lambda: list(folder.glob("recordings/*/*.mcap")), "a file", 60.0)
    planning.page.wait_for_timeout(2000)  # in which it joins the topics
    planning.press("Stop recording")
    said = planning.page.locator(".wm-said").first
    planning.until(
        lambda: said.count() and "Recorded to" in said.inner_text(), "a recording", timeout=60.0
    )
    (recording,) = set(folder.glob("recordings/*")) - before
    assert list(recording.glob("*.mcap"))


def test_the_scene_in_space_shows_the_robot_where_it_is(planning, heard):
    page, switch = planning.page, planning.page.get_by_label("3-D scene")
    page.set_viewport_size({"width": 640, "height": 480})  # a processor draws it

    def names():
        return set(page.evaluate("Object.keys(window.__viserSceneTree.getState())"))

    def place():
        return page.evaluate("window.__viserMutable.nodePoseData['/robot'].position")[:2]

    def moved(since):
        return math.dist(place(), since) > 0.1

    def is_near():
        position = heard["odom"][-1].pose.pose.position
        return math.dist(place(), (position.x, position.y)) < 0.15

    switch.check()
    parts = {"/ground", "/robot/body", "/plan/0"}
    planning.until(lambda: parts <= names(), f"{parts} in the scene")
    page.locator(".wm-stage").wait_for(state="hidden")
    first = place()
    planning.press("New goal")
    planning.until(lambda: moved(first), "a robot that moves in the scene", 30.0)
    planning.until(is_near, "a robot where the odometry says")
    switch.uncheck()
    page.locator(".wm-stage").wait_for(state="visible")
    planning.until(lambda: not parts & names(), "an empty scene")


def test_nothing_went_wrong_in_the_browser(planning):
    assert planning.errors == []


def test_a_killed_controller_shows_as_such(planning, launched):
    os.kill(launched.pid("mpc"), signal.SIGKILL)
    planning.until(lambda: planning.code() == "gone", "a controller that is gone", 15.0)
    assert "Gone" in planning.state()
    assert planning.page.get_by_role("button", name="Hold", exact=True).is_disabled()
    assert planning.errors == []
