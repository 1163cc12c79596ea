"""`evaluate` refuses options that would change nothing, and says what they leave out."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest

from wm_mpc.cli.evaluate import parser
from wm_mpc.cli.evaluate_checks import mistake, warnings


def options_of(text):
    return parser().parse_args(shlex.split(text))


@pytest.mark.parametrize("text", ["", ",", " "])
def test_no_disturbance_is_no_table_of_undisturbed_pictures(text, capsys):
    with pytest.raises(SystemExit):
        options_of(f"--disturb '{text}'")
    assert "is unknown; accepted: none, or NAME:STRENGTH" in capsys.readouterr().err


def test_planners_that_see_no_picture_cannot_be_disturbed():
    found = mistake(options_of("--disturb covered:1 --planners random,true_simulator"))
    assert found is not None
    assert "random, true_simulator see none; accepted: also one of adam" in found
    assert mistake(options_of("--disturb covered:1 --planners random,adam")) is None


def said(text):
    benchmark = SimpleNamespace(checkpoints=[], settings=SimpleNamespace(planners={}))
    return "\n".join(warnings(options_of(text), benchmark, SimpleNamespace(origins=[])))


def test_what_is_not_disturbed_is_said():
    assert "random sees no picture" in said("--disturb none,dark:1 --planners random,adam")
    assert "sees no picture" not in said("--disturb none,dark:1 --planners adam")


def test_a_missing_curve_is_said():
    line = "no guard.png and guard.json, as they compare with pictures as they are; add none"
    assert line in said("--disturb dark:1 --planners adam --out x")
    assert line not in said("--disturb none,dark:1 --planners adam --out x")
    assert line not in said("--disturb dark:1 --planners adam")
    assert line not in said("--disturb dark:1 --guard --planners adam --out x")
