"""Parameters that fit nothing: refused with the nearest right name; what is for others is not."""

from __future__ import annotations

import contextlib

import pytest
import rclpy
from rclpy.parameter import Parameter as RosParameter

from wm_mpc.nodes.learner.parameters import LearnerSettings
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.nodes.sim.parameters import SimSettings
from wm_mpc.nodes.tools import take_picture
from wm_mpc.ros import overrides
from wm_mpc.ros.overrides import OverrideError, Section
from wm_mpc.ros.parameters import declare
from wm_mpc.settings.fields import flat

SETTINGS = {"mpc": MpcSettings, "sim": SimSettings, "learner": LearnerSettings}


@pytest.fixture
def start(domain_id, tmp_path):
    """Makes a node with our parameters from ROS arguments and returns its values."""

    def make(*arguments, name="mpc", namespace="/", file=None, **given):
        if file is not None:
            path = tmp_path / "parameters.yaml"
            path.write_text(file)
            arguments = ("--params-file", str(path), *arguments)
        words = ["node", "--ros-args", *arguments, "-r", f"__ns:={namespace}"]
        context = rclpy.Context()
        with contextlib.ExitStack() as stack:
            stack.callback(overrides.use, None)
            overrides.use(words)
            rclpy.init(args=words, context=context, domain_id=domain_id)
            stack.callback(rclpy.shutdown, context=context)
            options = [RosParameter(key, value=value) for key, value in given.items()]
            node = rclpy.create_node(name, context=context, parameter_overrides=options)
            stack.callback(node.destroy_node)
            return flat(declare(node, SETTINGS[name]).values())

    return make


@pytest.mark.parametrize(
    ("name", "given", "right"),
    [
        ("mpc", "obsevation_timeout", "observation_timeout"),
        ("mpc", "planner.horizont", "planner.horizon"),
        ("mpc", "horizon", "planner.horizon"),
        ("mpc", "output.cmdvel", "output.cmd_vel"),
        ("mpc", "Rate", "rate"),
        ("sim", "episode", "episodes"),
        ("sim", "realtime_factor", "real_time_factor"),
        ("learner", "live.update", "live.updates"),
    ],
)
def test_a_mistyped_name_is_refused_and_the_right_one_named(start, name, given, right):
    with pytest.raises(OverrideError, match=rf"{name} has no parameter {given}; did .* {right}\?"):
        start("-p", f"{given}:=1", name=name)


@pytest.mark.parametrize("key", ["mpc", "/mpc", "/**", "/**/mpc", "/*"])
def test_a_mistyped_name_in_a_file_is_refused(start, key):
    with pytest.raises(OverrideError, match=r"planner.horizont; did you mean planner.horizon\?"):
        start(file=f"{key}:\n  ros__parameters:\n    planner: {{horizont: 3}}\n")


def test_all_mistyped_names_are_said_at_once(start):
    with pytest.raises(OverrideError, match=r"obsevation_timeout.*planner.horizont"):
        start("-p", "obsevation_timeout:=1.0", "-p", "planner.horizont:=3")


def test_a_name_like_no_other_is_refused_too(start):
    with pytest.raises(OverrideError, match="mpc has no parameter xyzzy"):
        start("-p", "xyzzy:=1")


def test_an_override_given_by_a_program_is_checked_as_well(start):
    with pytest.raises(OverrideError, match="did you mean rate"):
        start(ratte=5.0)


def test_a_parameter_of_another_node_is_named_as_that(start):
    with pytest.raises(OverrideError, match="mpc has no parameter episodes, which is one of sim"):
        start("-p", "episodes:=3")


def test_what_rclpy_itself_knows_is_accepted(start):
    assert start(
        "-p", "use_sim_time:=true", "-p", "start_type_description_service:=false",
        "-p", "qos_overrides./parameter_events.publisher.depth:=5",
    )  # fmt: skip


def test_a_file_for_all_may_hold_what_another_node_of_ours_knows(start):
    text = "/**:\n  ros__parameters:\n    rate: 5\n    episodes: 3\n    live: {updates: 7}\n"
    assert start(file=text)["rate"] == 5.0
    assert start(file=text, name="sim")["episodes"] == 3
    assert start(file=text, name="learner")["live.updates"] == 7


def test_a_file_for_all_may_not_hold_what_nobody_knows(start):
    with pytest.raises(OverrideError, match="obsevation_timeout"):
        start(file="/**:\n  ros__parameters:\n    episodes: 3\n    obsevation_timeout: 1.0\n")


@pytest.mark.parametrize(
    ("key", "namespace"),
    [
        ("mpc", "/left"),
        ("/mpc", "/fleet/left"),
        ("/right/mpc", "/left"),
        ("right:\n  mpc", "/left"),
        ("/left/mpc", "/"),
        ("/*/mpc", "/fleet/left"),
        ("mcp", "/"),
        ("controller", "/"),
    ],
)
def test_a_file_for_another_namespace_or_name_is_refused(start, key, namespace):
    depth = "    " * (1 + key.count("\n"))
    text = f"{key}:\n{depth}ros__parameters:\n{depth}  rate: 5.0\n"
    right = f"{namespace.rstrip('/')}/mpc"
    with pytest.raises(OverrideError, match=rf"this node is {right}; write {right} or /\*\*/mpc"):
        start(file=text, namespace=namespace)


@pytest.mark.parametrize(
    ("key", "namespace"),
    [
        ("mpc", "/"),
        ("/left/mpc", "/left"),
        ("left:\n  mpc", "/left"),
        ("/**/mpc", "/fleet/left"),
        ("/**/left/mpc", "/fleet/left"),
        ("/*/mpc", "/left"),
        ("/**", "/fleet/left"),
    ],
)
def test_a_file_for_this_node_is_used(start, key, namespace):
    depth = "    " * (1 + key.count("\n"))
    text = f"{key}:\n{depth}ros__parameters:\n{depth}  rate: 5.0\n"
    assert start(file=text, namespace=namespace)["rate"] == 5.0


def test_a_root_key_beside_parameters_for_all_is_refused_in_a_namespace(start):
    text = (
        "/**:\n  ros__parameters: {rate: 5.0}\nmpc:\n  ros__parameters: {planner: {horizon: 3}}\n"
    )
    with pytest.raises(OverrideError, match="is for /mpc, but this node is /left/mpc"):
        start(file=text, namespace="/left")


def test_one_file_may_serve_two_robots(start):
    text = "".join(f"/{side}/mpc:\n  ros__parameters: {{rate: {rate}}}\n"
                   for side, rate in (("left", 4.0), ("right", 6.0)))  # fmt: skip
    assert start(file=text, namespace="/left")["rate"] == 4.0
    assert start(file=text, namespace="/right")["rate"] == 6.0


def test_a_file_for_another_node_of_ours_alone_is_no_mistake(start):
    """Launch files hand one file to several nodes."""
    assert start(file="sim:\n  ros__parameters: {episodes: 3}\n")["rate"] == 10.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "No such file"),
        ("mpc: {ros__parameters: [", "is not YAML"),
        ("just words", "ros__parameters"),
        ("mpc:\n  planner: {horizon: 3}\n", "ros__parameters"),
        ("mpc:\n  ros__parameters: 3\n", "ros__parameters of /mpc is 3"),
        ("", "ros__parameters"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, text, named):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OverrideError, match=f"mine.yaml.*{named}"):
        overrides.use(["node", "--ros-args", "--params-file", str(path)])
    overrides.use(None)


def test_an_integer_for_a_number_and_yes_for_true_are_understood(start):
    text = (
        "mpc:\n  ros__parameters:\n    rate: 5\n    auto_reload: yes\n    output: {commands: on}\n"
    )
    values = start(file=text)
    assert (values["rate"], values["auto_reload"], values["output.commands"]) == (5.0, True, True)


def test_text_for_true_is_refused_with_what_is_accepted(start):
    with pytest.raises(ValueError, match="auto_reload is 'true'; accepted: true or false"):
        start(file='mpc:\n  ros__parameters:\n    auto_reload: "true"\n')


def test_what_a_bring_up_sets_for_all_of_its_nodes_is_left_alone(start, monkeypatch, tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text(
        "/**:\n  ros__parameters: {robot_radius: 0.3}\nnav: {ros__parameters: {a: 1}}\n"
    )
    monkeypatch.setenv(overrides.COMMON_PARAMETERS, f"robot_description\n{path}")
    assert start("-p", "robot_description:=x", "--params-file", str(path))
    with pytest.raises(OverrideError, match="ratte"):
        start("-p", "robot_description:=x", "-p", "ratte:=1.0")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-p", "rate:=1"], "take_picture has no parameter rate"),
        (["-p", "rate"], "'-p rate'"),
        (["--params-file", "nothere.yaml"], "'nothere.yaml': No such file"),
    ],
)
def test_tools_refuse_them_in_one_line(arguments, named, capfd, domain_id, monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    try:
        code = take_picture.main([str(tmp_path / "a.png"), "--timeout=1", "--ros-args", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 1
    (line,) = [each for each in capfd.readouterr().err.splitlines() if each.startswith("error: ")]
    assert named in line
    overrides.use(None)


@pytest.mark.parametrize(
    ("pattern", "node", "fits"),
    [
        ("/**", "/a/b/mpc", True),
        ("/**/mpc", "/mpc", True),
        ("/*/mpc", "/mpc", False),
        ("/a/*", "/a/mpc", True),
        ("/a/**", "/a/b/mpc", True),
        ("/mpc", "/mpc2", False),
        ("/a/mpc", "/b/mpc", False),
    ],
)
def test_patterns_fit_as_in_rcl(pattern, node, fits):
    assert Section(pattern, ()).fits(node) is fits


@pytest.mark.parametrize("rule", ["mcp:rate:=5", "other:rate:=5", "sim:episodes:=3"])
def test_a_rule_for_a_node_of_another_name_is_refused(start, rule):
    with pytest.raises(OverrideError, match=rf"-p {rule} is for a node .*, but this node is mpc"):
        start("-p", rule)


def test_a_rule_for_this_node_is_used(start):
    assert start("-p", "mpc:rate:=5", "--param", "mpc:planner.horizon:=3")["rate"] == 5.0
    assert start("-p", "checkpoint:=a:b")["checkpoint"] == "a:b"


@pytest.mark.parametrize("key", ["mcp", "/left/mp", "/mpc_node"])
def test_our_parameters_under_a_key_like_ours_are_refused_beside_those_for_all(start, key):
    text = f"/**:\n  ros__parameters: {{rate: 5.0}}\n{key}:\n  ros__parameters: {{seed: 3}}\n"
    with pytest.raises(OverrideError, match=rf"of this node for /?{key}, but this node is /mpc"):
        start(file=text)


def test_the_parameters_of_a_strange_node_are_its_own_whatever_it_is_called(start):
    text = "/**:\n  ros__parameters: {rate: 5.0}\nmcp:\n  ros__parameters: {gain: 3}\n"
    assert start(file=text)["rate"] == 5.0


@pytest.mark.parametrize(
    "text", ["a: 2020-13-45\n", "[" * 5000, "mpc: !!int x\n", "mpc: !!python/none x\n", "a\0b"]
)
def test_yaml_that_cannot_be_built_is_refused_as_such(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(OverrideError, match=r"mine.yaml' is not YAML: "):
        overrides.read(str(path))


def test_a_wrong_type_for_what_rclpy_itself_declares_is_one_line(capfd, domain_id, monkeypatch):
    from wm_mpc.nodes.mpc import node as mpc

    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    assert mpc.main(["mpc", "--ros-args", "-p", "use_sim_time:=1"]) == 1
    (line,) = [each for each in capfd.readouterr().err.splitlines() if each.startswith("error: ")]
    assert "use_sim_time" in line
    overrides.use(None)
