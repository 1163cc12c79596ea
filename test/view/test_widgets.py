"""The widget of each parameter; the real parameters of `mpc` are among them."""

from __future__ import annotations

import math

import pytest

from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.ros.parameters import parameters_of
from wm_mpc.view.widgets import MAIN, Described, Kind, choices_of, read, widget_of

pytestmark = pytest.mark.ros  # the descriptors are ROS messages


def described(entry):
    message = entry.descriptor()
    ranges = [*message.floating_point_range, *message.integer_range]
    low, high = (ranges[0].from_value, ranges[0].to_value) if ranges else (None, None)
    return Described(
        entry.name, entry.default, message.description, message.additional_constraints, low, high,
        message.read_only,
    )  # fmt: skip


REAL = {entry.name: entry for entry in parameters_of(MpcSettings)}


@pytest.mark.parametrize("name", REAL)
def test_each_parameter_of_mpc_has_a_widget_that_shows_its_value(name):
    entry = REAL[name]
    widget = widget_of(described(entry))
    if entry.setting.choices is not None:
        assert widget.kind is Kind.MENU
        assert widget.choices == entry.setting.choices
    elif isinstance(entry.default, bool):
        assert widget.kind is Kind.CHECKBOX
    elif isinstance(entry.default, str):
        assert widget.kind is Kind.TEXT
    else:
        assert widget.kind in (Kind.SLIDER, Kind.NUMBER)
    if widget.kind is Kind.SLIDER:
        assert widget.low <= entry.default <= widget.high  # type: ignore[operator]
        assert 0 < widget.step <= (widget.high - widget.low) / 4


def test_the_main_parameters_exist():
    assert set(MAIN) <= set(REAL)


def test_a_main_parameter_far_from_what_is_usual_has_a_box_that_shows_it():
    entry = Described("planner.iterations", 3000, low=1, high=100000)
    assert widget_of(entry).kind is Kind.NUMBER


@pytest.mark.parametrize(
    ("value", "low", "high", "kind"),
    [
        (5, 1, 50, Kind.SLIDER),
        (5, 1, 2**31, Kind.NUMBER),
        (5, None, 50, Kind.NUMBER),
        (0.5, 0.0, 1.0, Kind.SLIDER),
        (0.07, 0.001, 10.0, Kind.NUMBER),  # too wide for a slider
        (1.0, -math.inf, 2.0, Kind.NUMBER),
        (True, None, None, Kind.CHECKBOX),
        ("adam", None, None, Kind.TEXT),
    ],
)
def test_a_slider_is_only_where_it_can_be_set_exactly(value, low, high, kind):
    assert widget_of(Described("x", value, low=low, high=high)).kind is kind


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("accepted: warm, zero, randn; may change at any time", ("warm", "zero", "randn")),
        ('accepted: "", near; may change at any time', ("", "near")),
        ("accepted: text; may change at any time", ()),
        ("accepted: true or false; may change at any time", ()),
        ("accepted: a number from 0.0 to 1.0, or none; may change at any time", ()),
        ("", ()),
        ("anything, else", ()),
    ],
)
def test_choices_are_read_from_what_the_node_says(text, choices):
    assert choices_of(text) == choices


def test_a_menu_is_only_where_the_present_value_is_one_of_its_choices():
    entry = Described("x", "other", constraints="accepted: a, b; may change at any time")
    assert widget_of(entry).kind is Kind.TEXT


@pytest.mark.parametrize(
    ("text", "like", "value"),
    [("3", 1, 3), ("0,5", 1.0, 0.5), (" 2 ", 1.0, 2.0), ("adam", "x", "adam")],
)
def test_typed_text_becomes_a_value_of_the_same_type(text, like, value):
    assert read(text, like) == value
    assert type(read(text, like)) is type(like)


@pytest.mark.parametrize(("text", "like"), [("2.5", 1), ("fast", 1.0), ("", 1.0)])
def test_typed_text_of_another_type_is_refused_with_what_is_accepted(text, like):
    with pytest.raises(ValueError, match="accepted: a"):
        read(text, like)
