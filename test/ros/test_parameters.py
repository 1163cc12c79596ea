"""Parameters: what a node accepts, refuses and shows, through the real parameter services."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import pytest
import rclpy
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters, SetParametersAtomically
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.parameter import Parameter as RosParameter

from wm_mpc.ros.parameters import (
    Parameter,
    ParameterError,
    declare,
    markdown_table,
    parameters_of,
)
from wm_mpc.settings.fields import Setting, SettingError, check, flat, section, setting


@dataclasses.dataclass(frozen=True)
class PlannerOnly:
    type: str = setting("adam", "the planner", choices=("adam", "cem"))


@dataclasses.dataclass(frozen=True)
class SubjectSettings:
    rate: float = setting(10.0, "plans per second", unit="Hz", low=0.5, high=100.0)
    horizon: int = setting(5, "model steps of a plan", low=1, high=50)
    elites: int = setting(3, "best samples", low=1)
    samples: int = setting(30, "samples", low=1)
    planner: PlannerOnly = section(PlannerOnly)
    warm_start: bool = setting(True, "start from the last plan")
    gain: float = setting(1.0, "any finite number")
    checkpoint: str = setting("wall", "the model", only_inactive=True)
    seed: int = setting(0, "of everything", read_only=True)

    def __post_init__(self):
        check(self)
        if self.elites > self.samples:
            raise SettingError(f"elites is {self.elites}; accepted: up to {self.samples}")


TABLE = parameters_of(SubjectSettings)
_SETTERS = {
    bool: ("bool_value", ParameterType.PARAMETER_BOOL),
    int: ("integer_value", ParameterType.PARAMETER_INTEGER),
    float: ("double_value", ParameterType.PARAMETER_DOUBLE),
    str: ("string_value", ParameterType.PARAMETER_STRING),
}


class Subject:
    """A node with these parameters."""

    def __init__(self, node, active):
        self.node = node
        self.active = active
        self.parameters = declare(node, SubjectSettings, is_active=lambda: bool(active))

    def set(self, name, value):
        return self.node.set_parameters([RosParameter(name, value=value)])[0]

    @property
    def values(self):
        return flat(self.parameters.values())


@contextlib.contextmanager
def a_node(domain_id, **overrides):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = rclpy.create_node(
        "subject",
        context=context,
        parameter_overrides=[RosParameter(k, value=v) for k, v in overrides.items()],
    )
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


@pytest.fixture
def subject(domain_id):
    with a_node(domain_id) as node:
        yield Subject(node, active=[])


def test_every_entry_has_its_default(subject):
    assert subject.values == {entry.name: entry.default for entry in TABLE}


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("rate", 1000.0, ["rate", "1000", "0.5", "100.0"]),
        ("horizon", 0, ["horizon", "0", "1", "50"]),
        ("planner.type", "newton", ["planner.type", "newton", "adam", "cem"]),
        ("gain", math.nan, ["gain", "nan", "a number"]),
        ("gain", math.inf, ["gain", "inf", "a number"]),
        ("rate", math.nan, ["rate", "nan"]),
        ("samples", -5, ["samples", "-5", "1"]),
        ("seed", 3, ["read-only", "seed"]),
        ("elites", 31, ["elites", "31", "30"]),
    ],
)
def test_invalid_parameter_is_rejected_with_reason(subject, name, value, named):
    before = subject.values
    result = subject.set(name, value)
    assert not result.successful
    for word in named:
        assert word in result.reason
    assert subject.values == before
    assert subject.node.get_parameter(name).value == before[name]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["horizn"], "subject has no parameter horizn; did you mean horizon?"),
        (["type"], "subject has no parameter type; did you mean planner.type?"),
        (["rate", "zzz"], "subject has no parameter zzz"),
    ],
)
def test_unknown_parameter_is_named_with_the_nearest_one(subject, names, said):
    before = subject.values
    with pytest.raises(ParameterNotDeclaredException) as refused:
        subject.node.set_parameters_atomically([RosParameter(name, value=7.0) for name in names])
    assert str(refused.value) == said
    assert subject.values == before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rate", "fast", "rate is 'fast'; accepted: a number from 0.5 to 100.0 Hz"),
        ("warm_start", 1, "warm_start is 1; accepted: true or false"),
        ("horizon", 5.0, "horizon is 5.0; accepted: an integer from 1 to 50"),
    ],
)
def test_value_of_another_type_is_refused_with_what_is_accepted(subject, name, value, said):
    """As the parameter services answer, which have the message of this error only."""
    before = subject.values
    with pytest.raises(ParameterNotDeclaredException) as refused:
        subject.set(name, value)
    assert str(refused.value).startswith(said)
    assert subject.values == before
    assert subject.node.get_parameter(name).value == before[name]


def test_integer_is_taken_for_a_number(subject):
    assert subject.set("rate", 20).successful
    assert subject.values["rate"] == 20.0
    assert subject.node.get_parameter("rate").type_ == RosParameter.Type.DOUBLE


def test_integer_out_of_range_is_rejected_for_a_number(subject):
    result = subject.set("rate", 1000)
    assert not result.successful
    assert "1000" in result.reason


def test_atomic_change_is_all_or_nothing(subject):
    before = subject.values
    changes = [RosParameter("rate", value=20.0), RosParameter("horizon", value=99)]
    assert not subject.node.set_parameters_atomically(changes).successful
    assert subject.values == before


def test_values_that_belong_together_can_change_together(subject):
    changes = [RosParameter("elites", value=100), RosParameter("samples", value=200)]
    assert subject.node.set_parameters_atomically(changes).successful
    assert (subject.values["elites"], subject.values["samples"]) == (100, 200)


def test_snapshot_does_not_change_under_its_reader(subject):
    snapshot = subject.parameters.values()
    assert subject.parameters.values() is snapshot
    assert subject.set("rate", 20.0).successful
    assert snapshot.rate == 10.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.rate = 1.0


def test_listener_gets_the_new_values(subject):
    heard = []
    subject.parameters.on_change(heard.append)
    subject.set("rate", 20.0)
    subject.set("rate", 1000.0)
    assert [settings.rate for settings in heard] == [20.0]


def test_locked_parameter_stays_while_active(subject):
    subject.active.append(True)
    result = subject.set("checkpoint", "maze")
    assert not result.successful
    assert "checkpoint" in result.reason
    assert "deactivate" in result.reason
    assert subject.set("checkpoint", "wall").successful, "the present value changes nothing"
    subject.active.clear()
    assert subject.set("checkpoint", "maze").successful


def test_start_up_value_is_converted_and_checked(domain_id):
    with a_node(domain_id, rate=20) as node:
        settings = declare(node, SubjectSettings).values()
        assert settings.rate == 20.0
        assert node.get_parameter("rate").type_ == RosParameter.Type.DOUBLE


@pytest.mark.parametrize(("name", "value"), [("rate", "fast"), ("horizon", 0), ("seed", 1.5)])
def test_bad_start_up_value_is_named(domain_id, name, value):
    with a_node(domain_id, **{name: value}) as node, pytest.raises(ParameterError) as error:
        declare(node, SubjectSettings)
    assert name in str(error.value)
    assert repr(value) in str(error.value)
    assert "accepted" in str(error.value)


def test_default_outside_its_own_range_is_a_mistake():
    with pytest.raises(ParameterError, match="horizon is 0"):
        Parameter("horizon", 0, Setting("steps", low=1))


def test_start_up_values_that_contradict_each_other_are_refused(domain_id):
    with a_node(domain_id, elites=31) as node, pytest.raises(ParameterError, match="elites is 31"):
        declare(node, SubjectSettings)


def _message(name, value):
    field, kind = _SETTERS[type(value)]
    return ParameterMessage(name=name, value=ParameterValue(type=kind, **{field: value}))


def test_services_describe_and_set(observer):
    with a_node(observer.domain_id) as node:
        Subject(node, active=[])
        observer._executor.add_node(node)

        request = DescribeParameters.Request(names=["rate", "planner.type", "checkpoint", "seed"])
        rate, planner, checkpoint, seed = observer.call(
            DescribeParameters, "/subject/describe_parameters", request
        ).descriptors
        assert "plans per second" in rate.description
        assert "Hz" in rate.description
        assert rate.floating_point_range[0].from_value == 0.5
        assert rate.floating_point_range[0].to_value == 100.0
        assert "adam, cem" in planner.additional_constraints
        assert "not active" in checkpoint.additional_constraints
        assert seed.read_only

        request = SetParameters.Request(parameters=[_message("rate", 5), _message("horizon", 0)])
        results = observer.call(SetParameters, "/subject/set_parameters", request).results
        assert [result.successful for result in results] == [True, False]

        request = SetParametersAtomically.Request(parameters=[_message("planner.type", "sgd")])
        result = observer.call(
            SetParametersAtomically, "/subject/set_parameters_atomically", request
        ).result
        assert not result.successful
        assert "adam, cem" in result.reason

        messages = [_message("planner.typ", "cem"), _message("rate", 7)]
        request = SetParameters.Request(parameters=messages)
        unknown, known = observer.call(SetParameters, "/subject/set_parameters", request).results
        assert (unknown.successful, known.successful) == (False, True)
        assert unknown.reason == (
            "subject has no parameter planner.typ; did you mean planner.type?"
        )
        observer._executor.remove_node(node)


def test_markdown_table_has_a_row_for_every_parameter():
    rows = markdown_table(TABLE).splitlines()
    assert len(rows) == 2 + len(TABLE)
    assert rows[2].startswith("| `rate` | `10.0` | a number from 0.5 to 100.0 Hz | at any time |")
    assert all(row.count("|") == 6 for row in rows)
