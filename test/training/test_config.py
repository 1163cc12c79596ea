"""Settings of a run: every mistake is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from wm_mpc.synthesis.random_rollouts import RandomRolloutConfig
from wm_mpc.synthesis.registry import METHODS
from wm_mpc.training import config
from wm_mpc.training.config import ConfigError, TrainConfig
from wm_mpc.training.phases.phase import Phase
from wm_mpc.training.phases.registry import PHASES

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "train.yaml"


def from_text(tmp_path, text, **overrides):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    return TrainConfig.from_yaml(path, **overrides)


def test_shipped_settings_are_the_defaults():
    assert TrainConfig.from_yaml(SHIPPED) == TrainConfig()


def test_round_trip_is_exact():
    config = TrainConfig(seed=4, synthesis=("random",), random=RandomRolloutConfig(count=7))
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_left_out_settings_keep_their_defaults(tmp_path):
    config = from_text(tmp_path, "horizon: 7\nrandom: {count: 9}\n")
    assert config == dataclasses.replace(
        TrainConfig(), horizon=7, random=RandomRolloutConfig(count=9)
    )


def test_empty_file_is_all_defaults(tmp_path):
    assert from_text(tmp_path, "# nothing\n") == TrainConfig()


def test_overrides_win(tmp_path):
    config = from_text(tmp_path, "seed: 1\nhorizon: 7\n", seed=2, synthesis=())
    assert (config.seed, config.horizon, config.synthesis) == (2, 7, ())


def test_whole_number_will_do_for_a_fraction(tmp_path):
    assert from_text(tmp_path, "checkpoint_interval: 3").checkpoint_interval == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: 1", "unknown setting learning_rate; known: adversarial, architecture"),
        ("random: {counts: 1}", r"unknown setting random\.counts; did you mean random\.count\?$"),
        ("architecture: {depth: 1}", r"unknown setting architecture\.depth"),
        ("random: 3", "random is 3; a table of settings is needed"),
        ("horizon: 2.5", r"horizon is 2\.5; a whole number is needed"),
        ("horizon: true", "horizon is True"),
        ("dynamics_rate: fast", "dynamics_rate is 'fast'; a number is needed"),
        ("synthesis: random", "synthesis is 'random'; a list is needed"),
        ("synthesis: 5", "synthesis is 5; a list is needed"),
        (
            "synthesis: [random, magic]",
            r"synthesis is \['random', 'magic'\]; accepted: random, online, adv",
        ),
        ("embedding_lags: 4", "embedding_lags is 4; a list is needed"),
        ("embedding_lags: []", r"embedding_lags is \[\]; accepted: some whole numbers"),
        ("embedding_lags: [4, 0]", r"embedding_lags is \[4, 0\]; accepted: .* at least 1"),
        ("embedding_lags: [1.5]", r"embedding_lags is 1\.5; a whole number"),
        ("embedding_lags: [soon]", "embedding_lags is 'soon'; a whole number"),
        ("- horizon", "must hold a table of settings"),
        ("horizon: [", "cannot read .*train.yaml"),
        ("random: {count: 0}", r"random\.count is 0; accepted: an integer of at least 1"),
        ("adversarial: {step: -1}", r"adversarial\.step is -1"),
        (
            "architecture: {dynamics: magic}",
            r"architecture\.dynamics is 'magic'; accepted: gru, transformer",
        ),
    ],
)
def test_mistake_is_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        from_text(tmp_path, text)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        TrainConfig.from_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("horizon", 0),
        ("representation_updates", 0),
        ("representation_batch", -1),
        ("embedding_updates", 0),
        ("embedding_rate", 0.0),
        ("dynamics_updates", 0),
        ("dynamics_batch", 0),
        ("representation_rate", 0.0),
        ("dynamics_rate", float("nan")),
        ("checkpoint_interval", -1.0),
        ("validation", 0.0),
        ("validation", 0.9),
        ("seed", -1),
        ("threads", -1),
        ("prediction_weight", -0.1),
        ("pixel_emphasis", -1.0),
        ("weight_decay", float("nan")),
        ("history", -1),
        ("episodes", -1),
        ("ema", 1.0),
        ("synthesis_share", 1.0),
        ("synthesis_share", -0.1),
        ("whitening", 1.1),
        ("whitening", -0.1),
    ],
)
def test_value_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=f"{name} is '?{value}"):
        TrainConfig(**{name: value})


def test_a_method_named_like_a_setting_is_refused(monkeypatch):
    monkeypatch.setitem(METHODS, "horizon", METHODS["random"])

    class Settings:
        horizon: int = 5

    with pytest.raises(TypeError, match="synthesis method horizon: a training setting has that"):
        config._with_sections(Settings)


def test_a_phase_named_like_a_setting_is_refused(monkeypatch):
    class Horizon(Phase):
        name, stream, settings = "horizon", 9, METHODS["random"].config

    monkeypatch.setitem(PHASES, "horizon", Horizon)

    class Settings:
        horizon: int = 5

    with pytest.raises(TypeError, match="phase horizon: a training setting has that name"):
        config._with_sections(Settings)


def test_each_method_has_a_section_and_is_used_only_if_named_or_by_default():
    assert all(isinstance(TrainConfig().method(n), m.config) for n, m in METHODS.items())
    assert TrainConfig().synthesis == ("random", "online", "adversarial")
