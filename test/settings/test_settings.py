"""Settings that describe themselves, and the one builder from tables to dataclasses."""

from __future__ import annotations

import dataclasses

import pytest

from wm_mpc.control.settings import ControlSettings
from wm_mpc.settings.build import build, load_table, nested
from wm_mpc.settings.fields import SettingError, check, entries, flat, section, setting


@dataclasses.dataclass(frozen=True)
class Wheel:
    radius: float = setting(0.1, "Radius", "m", 0.01, 1.0)
    count: int = setting(4, "How many", "", 1, 8)

    def __post_init__(self):
        check(self, "wheel.")


@dataclasses.dataclass(frozen=True)
class Robot:
    name: str = setting("tim", "Its name", choices=("tim", "tom"))
    fast: bool = setting(False, "Whether it hurries", read_only=True)
    speeds: tuple[float, ...] = (1.0,)
    note: str | None = None
    wheel: Wheel = section(Wheel)

    def __post_init__(self):
        check(self)


def test_a_table_becomes_a_dataclass_with_its_sections():
    table = {"name": "tom", "speeds": [1, 2.5], "wheel": {"radius": 1, "count": 3}}
    assert build(Robot, table) == Robot("tom", speeds=(1.0, 2.5), wheel=Wheel(1.0, 3))


def test_what_a_table_lacks_comes_from_the_base():
    base = Robot("tom", wheel=Wheel(0.5, 2))
    assert build(Robot, {"wheel": {"count": 3}}, base=base) == Robot("tom", wheel=Wheel(0.5, 3))


@pytest.mark.parametrize("text", ["1e-1", "0.1", " 0.1"])
def test_a_number_that_yaml_takes_for_text_is_a_number(text):
    assert build(Wheel, {"radius": text}).radius == 0.1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nam": "tom"}, "unknown setting nam; did you mean name?"),
        ({"colour": "red"}, "unknown setting colour; known: fast"),
        ({"wheel": {"radios": 1}}, "unknown setting wheel.radios; did you mean wheel.radius?"),
        ({"wheel": 3}, "wheel is 3; a table of settings is needed"),
        ({"wheel": {"radius": 2}}, "wheel.radius is 2.0; accepted: a number from 0.01 to 1.0 m"),
        ({"wheel": {"radius": float("nan")}}, "wheel.radius is nan; a number is needed"),
        ({"wheel": {"radius": True}}, "wheel.radius is True; a number is needed"),
        ({"wheel": {"count": 2.5}}, "wheel.count is 2.5; a whole number is needed"),
        ({"wheel": {"count": 9}}, "wheel.count is 9; accepted: an integer from 1 to 8"),
        ({"name": "bob"}, "name is 'bob'; accepted: tim, tom"),
        ({"name": 3}, "name is 3; a text is needed"),
        ({"fast": "yes"}, "fast is 'yes'; true or false is needed"),
        ({"speeds": 1.0}, "speeds is 1.0; a list is needed"),
        ({"speeds": ["quick"]}, "speeds is 'quick'; a number is needed"),
        ({"note": 4}, "note is 4; a text is needed"),
    ],
)
def test_a_mistake_is_named_with_what_is_accepted(table, message):
    with pytest.raises(SettingError) as raised:
        build(Robot, table)
    assert message in str(raised.value)


@pytest.mark.parametrize("table", [{"wheel": "x" * 10**6}, {"x" * 10**6: 1}, {"name": ["y"] * 999}])
def test_a_mistake_of_any_length_is_named_in_a_few_words(table):
    with pytest.raises(SettingError) as raised:
        build(Robot, table)
    assert len(str(raised.value)) < 300


def test_none_is_accepted_where_the_annotation_says_so():
    assert build(Robot, {"note": None}).note is None


def test_dotted_names_become_tables():
    flat = {"name": "tom", "wheel.count": 2, "wheel.radius": 0.2}
    assert nested(flat) == {"name": "tom", "wheel": {"count": 2, "radius": 0.2}}


def test_entries_come_in_order_with_those_of_sections():
    found = [(name, default, entry.unit) for name, default, entry in entries(Robot)]
    assert found == [
        ("name", "tim", ""),
        ("fast", False, ""),
        ("wheel.radius", 0.1, "m"),
        ("wheel.count", 4, ""),
    ]


def test_every_setting_of_the_control_loop_is_described_and_its_default_accepted():
    for name, default, entry in entries(ControlSettings):
        assert entry.accepts(default), name
        assert len(entry.text) > 10, name


@pytest.mark.parametrize(("text", "table"), [("", {}), ("a: 1", {"a": 1}), ("# none", {})])
def test_a_file_holds_a_table(tmp_path, text, table):
    (tmp_path / "a.yaml").write_text(text)
    assert load_table(tmp_path / "a.yaml") == table


@pytest.mark.parametrize("content", [b"- a", b"a: [", b"\xff\xfe", b"3"])
def test_a_file_without_a_table_is_named(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"a\.yaml"):
        load_table(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"none\.yaml"):
        load_table(tmp_path / "none.yaml")


@dataclasses.dataclass(frozen=True)
class Learning:
    share: float = setting(0.5, "Share", low=0, below=1)
    rate: float = setting(1e-3, "Rate", above=0)
    lags: tuple[int, ...] = setting((1, 2), "Lags", "s", low=1)
    ways: tuple[str, ...] = setting(("a",), "Ways", choices=("a", "b"))

    def __post_init__(self):
        check(self)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"share": 1}, "share is 1.0; accepted: a number of at least 0 and below 1"),
        ({"share": -0.1}, "share is -0.1; accepted: a number of at least 0 and below 1"),
        ({"rate": 0}, "rate is 0.0; accepted: a number above 0"),
        ({"lags": [1, 0]}, "lags is [1, 0]; accepted: a list, each an integer of at least 1 s"),
        ({"ways": ["a", "c"]}, "ways is ['a', 'c']; accepted: a, b"),
    ],
)
def test_a_value_beyond_an_open_end_or_in_a_list_is_named(table, message):
    with pytest.raises(SettingError) as raised:
        build(Learning, table)
    assert str(raised.value) == message


@pytest.mark.parametrize("table", [{"share": 0}, {"share": 0.999}, {"rate": 1e-12}, {"ways": []}])
def test_a_value_at_an_end_that_is_closed_is_accepted(table):
    build(Learning, table)


def test_flat_values_are_the_reverse_of_nested_ones():
    robot = Robot("tom", wheel=Wheel(0.5, 2))
    values = flat(robot)
    assert values["wheel.radius"] == 0.5
    assert "speeds" not in values, "which is no setting"
    assert build(Robot, nested(values)) == robot
