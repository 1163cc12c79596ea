"""Values that people type, by a browser's own messages to the real page."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time

import pytest

from wm_mpc.nodes.viewer.page.tune import Tune
from wm_mpc.nodes.viewer.serving import free_port, served
from wm_mpc.view.widgets import Described

from .wire import WireBrowser

HOST = "127.0.0.1"
NUMBER, SLIDER = "goal.timeout", "planner.horizon"
WORKERS = 32  # of viser, for what people click


class Remote:
    """The controller's parameters. Answers when it may; refuses what is below zero."""

    def __init__(self):
        self.described = {
            NUMBER: Described(NUMBER, 0.0, constraints="accepted: a number from 0.0; at once"),
            SLIDER: Described(SLIDER, 6, low=1, high=20),
        }
        self.asked = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def set(self, name, value):
        self.asked.append((name, value))
        assert self.may_answer.wait(10.0)
        if value < 0:
            return f"{name} is {value}"
        self.put(name, value)
        return ""

    def put(self, name, value):
        self.described |= {name: dataclasses.replace(self.described[name], value=value)}


class Desk:
    """A page with parameters, and a browser in front of it."""

    def __init__(self, server, port):
        self.server, self.remote = server, Remote()
        container = server.gui.add_tab_group().add_tab("Tune")
        self.tune = Tune(server, container, self.remote)
        self.tune.render()
        self.browser = WireBrowser(HOST, port)
        self.until(lambda: server.get_clients() and self.browser.received)

    def type(self, name, value):
        self.browser.change(name, value)
        self.until(lambda: self.tune._handles[name].value == value)

    def until(self, condition):
        """The page is brought up to date all the time, as it is in the node."""
        self.browser.until(condition, self.tune.render)

    def said(self):
        return self.tune._said.content


@pytest.fixture
def desk():
    port = free_port(HOST, 18080)
    with served(HOST, port, "x") as server:
        made = Desk(server, port)
        with contextlib.closing(made.browser):
            yield made


@pytest.fixture
def busy(desk):
    """Somebody has clicked so much that all of viser's workers wait for answers."""
    answer, waiting = threading.Event(), threading.Semaphore(0)
    button = desk.server.gui.add_button("Reload")
    for _ in range(WORKERS):
        button.on_click(lambda _: (waiting.release(), answer.wait(20.0)))
    desk.until(lambda: any("Reload" in str(each) for each in desk.browser.received))
    desk.browser.change("Reload", True)
    try:
        for _ in range(WORKERS):
            assert waiting.acquire(timeout=5.0)
        yield
    finally:
        answer.set()


@pytest.mark.parametrize(("name", "value"), [(NUMBER, 30.0), (NUMBER, -5.0), (SLIDER, 9)])
def test_a_value_is_sent_however_busy_the_page_is(desk, busy, name, value):
    desk.type(name, value)
    desk.until(lambda: desk.remote.asked)
    assert desk.remote.asked == [(name, value)]


def test_a_refused_value_shows_its_reason_and_gives_way_to_the_old_one(desk):
    desk.type(NUMBER, -5.0)
    desk.until(lambda: "accepted: a number from 0.0" in desk.said())
    desk.until(lambda: desk.browser.shown(NUMBER) == 0.0)
    assert desk.remote.asked == [(NUMBER, -5.0)]


def test_half_a_number_is_not_sent_while_a_person_types_on(desk):
    desk.type(NUMBER, 1.0)
    later = time.monotonic() + 0.5
    desk.until(lambda: time.monotonic() > later)
    desk.type(NUMBER, 15.0)
    desk.until(lambda: desk.remote.asked)
    assert desk.remote.asked == [(NUMBER, 15.0)]


@pytest.mark.parametrize("first", [-5.0, 5.0])
def test_an_answer_does_not_replace_what_was_typed_meanwhile(desk, first):
    desk.remote.may_answer.clear()
    desk.type(NUMBER, first)
    desk.until(lambda: desk.remote.asked)
    desk.type(NUMBER, 50.0)
    before = len(desk.browser.received)
    desk.remote.may_answer.set()
    desk.until(lambda: f"{NUMBER} is 50.0" in desk.said())
    assert desk.remote.asked == [(NUMBER, first), (NUMBER, 50.0)]
    updates = [each.get("updates", {}) for each in desk.browser.received[before:]]
    assert not [each for each in updates if "value" in each]


def test_a_value_that_others_set_is_shown(desk):
    desk.remote.put(SLIDER, 12)
    desk.until(lambda: desk.browser.shown(SLIDER) == 12)
    assert desk.remote.asked == []
