"""The scene in space, as each browser gets it from the real page."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from wm_mpc.nodes.viewer.page.personal import Personal
from wm_mpc.nodes.viewer.serving import free_port, served
from wm_mpc.view.model import Path, ViewModel
from wm_mpc.view.stage import Stage

from .wire import WireBrowser

HOST, SWITCH = "127.0.0.1", "3-D scene"
STAGE = Stage.of(64, 64)
PATH = np.array([[0.0, 0.0, 0.05], [0.1, 0.0, 0.05], [0.2, 0.1, 0.05]])
PLACE = np.array([0.2, 0.1, 0.05])
SHOWN = {"/ground", "/robot", "/robot/body", "/plan/0", "/goal/0", "/goal_label/0"}


class Visitor:
    """A browser, and the page's side of it."""

    def __init__(self, server, port, size):
        before = set(server.get_clients())
        self.browser = WireBrowser(HOST, port, size)
        self.browser.until(lambda: len(server.get_clients()) > len(before))
        (number,) = set(server.get_clients()) - before
        self.personal = Personal(server.get_clients()[number], dark=True)
        self.browser.until(lambda: SWITCH in str(self.browser.received))

    def until(self, condition, model):
        self.browser.until(condition, lambda: self.personal.render(model.view(), STAGE))

    def switch(self, on):
        self.browser.change(SWITCH, on)


@pytest.fixture
def room():
    """Lets a visitor with a screen of some size (pixels) in."""
    port = free_port(HOST, 18080)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(served(HOST, port, "x"))

        def enter(size=(1280, 800)):
            visitor = Visitor(server, port, size)
            stack.callback(visitor.browser.close)
            return visitor

        yield enter


@pytest.fixture
def visitors(room):
    return [room(), room()]


@pytest.fixture
def model():
    """A base that plans a path to a place."""
    made = ViewModel(60.0)
    made.on_base(1.0, 2.0, 0.5)
    made.on_paths([Path("robot", PATH)], [PLACE])
    return made


def test_only_the_browser_that_wants_it_gets_the_scene(visitors, model):
    wants, other = visitors
    wants.switch(True)
    wants.until(lambda: set(wants.browser.nodes()) >= SHOWN, model)
    other.until(lambda: 'data-scene="0"' in str(other.browser.received), model)
    assert wants.personal.wants_scene
    assert not other.personal.wants_scene
    assert not other.browser.nodes()


def test_the_robot_in_the_scene_moves_with_its_odometry(visitors, model):
    visitor = visitors[0]
    visitor.switch(True)
    for x, y in ((1.0, 2.0), (1.25, 1.5)):
        model.on_base(x, y, 0.5)
        visitor.until(
            lambda: visitor.browser.nodes().get("/robot", {}).get("position") == [x, y, 0.0],  # noqa: B023
            model,
        )


def test_the_robot_is_in_the_middle_at_first_and_then_people_turn_the_view(visitors, model):
    visitor = visitors[0]

    def looked_at():
        found = visitor.browser.received
        return [each["look_at"] for each in found if each["type"] == "SetCameraLookAtMessage"]

    visitor.switch(True)
    visitor.until(looked_at, model)
    model.on_base(3.0, 3.0, 0.0)
    visitor.until(lambda: visitor.browser.nodes()["/robot"].get("position") == [3, 3, 0], model)
    assert looked_at() == [[1.0, 2.0, 0.0]]


@pytest.mark.parametrize(("size", "is_lower"), [((1280, 800), False), ((390, 844), True)])
def test_on_a_telephone_the_robot_is_above_what_covers_the_screen(room, model, size, is_lower):
    visitor = room(size)
    visitor.switch(True)

    def looked_at():
        found = visitor.browser.received
        return [each["look_at"] for each in found if each["type"] == "SetCameraLookAtMessage"]

    visitor.until(looked_at, model)
    assert (looked_at()[0][2] < -0.3) == is_lower


def test_a_plan_that_is_gone_leaves_the_scene(visitors, model):
    visitor = visitors[0]
    visitor.switch(True)
    visitor.until(lambda: set(visitor.browser.nodes()) >= SHOWN, model)
    model.on_paths([])
    visitor.until(
        lambda: set(visitor.browser.nodes()) == SHOWN - {"/plan/0", "/goal/0", "/goal_label/0"},
        model,
    )


def test_a_scene_that_is_switched_off_is_empty(visitors, model):
    visitor = visitors[0]
    visitor.switch(True)
    visitor.until(lambda: set(visitor.browser.nodes()) >= SHOWN, model)
    visitor.switch(False)
    visitor.until(lambda: not visitor.browser.nodes(), model)
