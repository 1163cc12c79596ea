"""Each output of the registry is a parameter, and so are its further settings."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

from wm_mpc.nodes.mpc.outputs import registry
from wm_mpc.nodes.mpc.outputs.output import Output
from wm_mpc.nodes.mpc.outputs.registry import OUTPUTS, OutputSettings
from wm_mpc.ros.launch_arguments import outputs
from wm_mpc.settings.fields import SettingError, entries, setting


def test_each_output_is_a_parameter_that_is_off_at_first():
    found = {name: default for name, default, _ in entries(OutputSettings)}
    assert all(found[name] is False for name in OUTPUTS)
    assert OutputSettings().on == frozenset()
    assert OutputSettings(commands=True).on == {"commands"}


def test_launch_files_know_the_outputs():
    assert sorted(outputs()) == sorted(OUTPUTS)


def test_publishers_are_made_for_the_further_settings_only():
    assert OutputSettings(cmd_vel=True).fixed == OutputSettings().fixed
    assert OutputSettings(cmd_vel_type="twist").fixed != OutputSettings().fixed


def test_a_further_setting_that_is_not_accepted_is_named():
    with pytest.raises(SettingError, match=r"output\.cmd_vel_type is 'odd'; accepted: twist_stamp"):
        OutputSettings(cmd_vel_type="odd")


def test_a_further_setting_that_looks_like_an_output_is_refused(monkeypatch):
    class Kind:
        text, settings = "the plan", {"loud": setting(True, "Send it twice")}

    class Settings:
        __annotations__ = {}

    monkeypatch.setattr(registry, "OUTPUTS", {"shout": Kind})
    with pytest.raises(TypeError, match="output shout: a further setting is true or false"):
        registry._with_outputs(Settings)


@pytest.mark.parametrize(
    ("fixed", "base", "accepted"),
    [(False, "plain", False), (True, "plain", True), (False, "live", True)],
)
def test_a_further_setting_that_would_do_nothing_is_refused(monkeypatch, fixed, base, accepted):
    class Plain(Output):
        text, settings = "the plan", {"scale": setting(1.0, "Factor", only_inactive=fixed)}

    class Live(Plain):
        settings = Plain.settings

        def use(self, settings):
            pass

    class Settings:
        __annotations__ = {}

    monkeypatch.setattr(registry, "OUTPUTS", {"shout": {"plain": Plain, "live": Live}[base]})
    if accepted:
        assert registry._with_outputs(Settings).__annotations__["shout_scale"] is float
    else:
        with pytest.raises(TypeError, match=r"output shout: .* neither made with only_inactive"):
            registry._with_outputs(Settings)
