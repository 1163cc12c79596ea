"""The settings of `import_bag`: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from wm_mpc.data.bag_config import BagConfig, BagConfigError

ROOT = Path(__file__).parents[2]


def test_the_example_is_accepted():
    config = BagConfig.load(ROOT / "config" / "bag_example.yaml", {})
    assert config.action.low == (-0.3, -1.0)
    assert config.state.names == ("vx", "wz")
    assert config.fewest_steps == 15


def test_the_example_has_every_setting():
    config = BagConfig.load(ROOT / "config" / "bag_example.yaml", {})
    text = (ROOT / "config" / "bag_example.yaml").read_text()
    for section in (config, config.image, config.state, config.action):
        for name in vars(section):
            assert f"{name}:" in text


def test_overrides_win_entry_by_entry(tmp_path):
    (tmp_path / "a.yaml").write_text("task: a\naction: {topic: /a, rule: integrate}\n")
    config = BagConfig.load(tmp_path / "a.yaml", {"action": {"topic": "/b"}, "frame_skip": 2})
    assert (config.task, config.frame_skip) == ("a", 2)
    assert (config.action.topic, config.action.rule) == ("/b", "integrate")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tusk": "a"}, r"unknown setting tusk; did you mean task\?$"),
        ({"image": {"widht": 3}}, r"unknown setting image.widht; did you mean image.width\?$"),
        (
            {"image": {"xyz": 3}},
            r"unknown setting image.xyz; known: image.cameras, image.feature, image.height",
        ),
        ({"image": "/camera"}, r"image is '/camera'; a table of settings is needed"),
        ({"stamps": "mine"}, r"stamps is 'mine'; accepted: header, receive"),
        ({"action": {"rule": "mean"}}, r"action.rule is 'mean'; accepted: hold, integrate"),
        ({"action": {"low": 3}}, r"action.low is 3; a list is needed"),
        ({"action": {"low": ["a"]}}, r"action.low is 'a'; a number is needed"),
        ({"action": {"timeout": 0}}, r"action.timeout is 0.0; accepted: above 0 seconds"),
        ({"action": {"max_silence": -1}}, r"action.max_silence is -1.0; accepted: 0 or more"),
        ({"action": {"rule": "integrate", "kind": "position"}}, r"accepted for positions: hold"),
        ({"control_period": float("nan")}, r"control_period is nan; a number is needed"),
        ({"control_period": -1}, r"control_period is -1.0; accepted: above 0 sec"),
        ({"frame_skip": 0}, r"frame_skip is 0; accepted: above 0"),
        ({"frame_skip": 1.5}, r"frame_skip is 1.5; a whole number is needed"),
        ({"task": 7}, r"task is 7; a text is needed"),
        ({"image": {"tolerance": 1}}, r"image.tolerance is 1.0; accepted: from 0 to below"),
        ({"state": {"names": [], "topic": "/a"}}, r"state.topic is /a, but state.names is empty"),
        ({"split_pause": -1}, r"split_pause is -1.0; accepted: 0 or more seconds"),
        ({"min_steps": 400}, r"min_steps is 400; accepted: at most max_steps, 300"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(BagConfigError, match=message):
        BagConfig.from_dict(settings)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("stamp_offset: auto", "auto"),
        ("stamp_offset: 1", 1.0),
        ("stamp_offset: -1e-3", -0.001),
        ("stamp_offset: null", None),
        ("", None),
    ],
)
def test_an_offset_is_seconds_or_auto_or_left_out(tmp_path, settings, wanted):
    (tmp_path / "a.yaml").write_text(settings)
    assert BagConfig.load(tmp_path / "a.yaml", {}).stamp_offset == wanted


@pytest.mark.parametrize(
    ("value", "message"),
    [("soon", "stamp_offset is 'soon'; accepted: auto or seconds"), (True, "stamp_offset is True")],
)
def test_any_other_offset_is_refused(value, message):
    with pytest.raises(BagConfigError, match=message):
        BagConfig.from_dict({"stamp_offset": value})


@pytest.mark.parametrize("text", ["- a list", "a: [", "\0"])
def test_a_file_that_is_no_table_is_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(BagConfigError, match=r"(a.yaml must hold a table|cannot read .*a.yaml)"):
        BagConfig.load(tmp_path / "a.yaml", {})


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BagConfigError, match=r"cannot read .*b.yaml"):
        BagConfig.load(tmp_path / "b.yaml", {})
