"""Launch arguments that stand for parameters: default, type, choices and sentence are theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from launch import LaunchContext
from launch.utilities import perform_substitutions

from wm_mpc.ros.launch_arguments import ParameterArgument, known_parameters, values_of

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]


def declared_default(argument):
    return perform_substitutions(LaunchContext(), argument.declared().default_value)


def plain(values):
    """Values as nodes get them: `launch` wraps texts, so that "5" stays one."""
    return {name: getattr(value, "value", value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("parameter", "default", "kind"),
    [
        ("sim:episodes", "0", int),
        ("sim:real_time_factor", "1.0", float),
        ("sim:gui", "false", bool),
        ("learner:autostart", "true", bool),
        ("learner:seed", "-1", int),
        ("mpc:planner.type", "adam", str),
        ("sim:record", "", str),
    ],
)
def test_default_and_type_are_those_of_the_parameter(parameter, default, kind):
    argument = ParameterArgument("one", (parameter,))
    assert (declared_default(argument), argument.kind) == (default, kind)


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (ParameterArgument("one", ("mpc:rate",)), "Plans per second (Hz)."),
        (
            ParameterArgument("one", ("mpc:image.transport",), more="Empty: raw."),
            "Listen to raw or to compressed images. One of raw, compressed. Empty: raw.",
        ),
        (
            ParameterArgument("one", ("sim:real_time_factor",)),
            "Speed of simulated time; unless it is 1.0, sim publishes /clock.",
        ),
        (ParameterArgument("one", ("sim:seed", "mpc:seed"), text="Of all"), "Of all."),
    ],
)
def test_sentence_is_that_of_the_parameter(argument, text):
    assert argument.description() == text


def test_default_of_a_launch_file_wins():
    assert declared_default(ParameterArgument("task", ("sim:task",), "push_t")) == "push_t"


def test_one_argument_can_stand_for_parameters_of_several_nodes():
    arguments = (
        ParameterArgument("seed", ("sim:seed", "mpc:seed")),
        ParameterArgument("planner", ("mpc:planner.type",)),
        ParameterArgument("friction", ("sim:disturbance.friction",)),
    )
    given = {"seed": "5", "planner": "cem", "friction": "2"}
    assert plain(values_of(arguments, given, "sim")) == {"seed": 5, "disturbance.friction": 2.0}
    found = values_of(arguments, given, "mpc")
    assert list(found) == ["seed", "planner.type"]
    assert found["seed"] == 5


@pytest.mark.parametrize(
    ("parameter", "given", "reason"),
    [
        ("mpc:rate", "fast", "one is 'fast'; a number is needed"),
        ("sim:episodes", "2.5", "one is '2.5'; a whole number is needed"),
        ("mpc:planner.type", "adamm", "one is 'adamm'; did you mean adam\\?; accepted: adam, cem"),
        ("sim:task", "moon", "one is 'moon'; accepted: granular, maze"),
        ("sim:gui", "perhaps", "one is 'perhaps'; accepted: true, false"),
    ],
)
def test_a_value_that_does_not_fit_is_named(parameter, given, reason):
    node = parameter.partition(":")[0]
    with pytest.raises(RuntimeError, match=reason):
        ParameterArgument("one", (parameter,)).values({"one": given}, node)


@pytest.mark.parametrize("parameter", ["sim:rate", "mcp:rate", "rate", "mpc:"])
def test_an_argument_for_no_parameter_is_a_mistake(parameter):
    with pytest.raises(LookupError, match=f"one stands for {parameter}, which does not exist"):
        ParameterArgument("one", (parameter,))


def test_every_parameter_of_the_nodes_is_known():
    assert {node: len(table) > 10 for node, table in known_parameters().items()} == {
        "mpc": True, "sim": True, "learner": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["sim", "robot", "train"])
def test_a_launch_file_imports_no_world_model_and_no_simulator(name):
    program = (
        "import runpy, sys\n"
        f"made = runpy.run_path({str(ROOT / 'launch' / f'{name}.launch.py')!r})\n"
        "made['generate_launch_description']()\n"
        "print({'torch', 'pybullet'} & set(sys.modules) or 'none')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "none"
