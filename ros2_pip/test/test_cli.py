"""Every verb of ``ros2`` against a live node."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest


def test_help_lists_the_commands(ros2):
    done = ros2("-h")
    assert done.returncode == 0
    for name in ("launch", "lifecycle", "node", "param", "pkg", "run", "service", "topic"):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["dance"], ["topic", "dance"], ["topic", "list", "--dance"]])
def test_unknown_commands_verbs_and_options_are_refused(ros2, arguments):
    done = ros2(*arguments)
    assert done.returncode == 2
    assert "dance" in done.stderr


def test_availability_of_the_genuine_packages_is_told(environment):
    done = subprocess.run(
        [sys.executable, "-m", "ros2_pip.available"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "launch: not installed (other than by ros2_pip)" in done.stdout


def test_genuine_packages_come_first(ros2, environment, tmp_path):
    for package in ("launch", "launch_ros", "ros2cli"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "ros2cli" / "cli.py").write_text("def main():\n    print('genuine')\n")
    path = f"{tmp_path}:{environment['PYTHONPATH']}"
    assert ros2("topic", "list", PYTHONPATH=path).stdout == "genuine\n"
    done = subprocess.run(
        [sys.executable, "-m", "ros2_pip.available"],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, f"launch: {tmp_path}/launch" in done.stdout) == (0, True)


# --- pkg and run ----------------------------------------------------------------------------


def test_packages_of_the_workspace_and_of_pip_are_found(ros2, prefix):
    names = ros2("pkg", "list").stdout.split()
    assert {"demo_pkg", "sensor_msgs"} <= set(names)
    assert ros2("pkg", "prefix", "demo_pkg").stdout == f"{prefix}\n"
    assert ros2("pkg", "prefix", "--share", "demo_pkg").stdout == f"{prefix}/share/demo_pkg\n"
    missing = ros2("pkg", "prefix", "nothing_here")
    assert (missing.returncode, missing.stderr) == (1, "Package not found\n")
    assert ros2("pkg", "executables", "demo_pkg").stdout == (
        "demo_pkg exits\ndemo_pkg live\ndemo_pkg show_args\n"
    )
    assert (
        f"{prefix}/lib/demo_pkg/live"
        in ros2("pkg", "executables", "demo_pkg", "--full-path").stdout
    )


def test_run_passes_arguments_and_the_exit_code(ros2):
    done = ros2("run", "demo_pkg", "show_args", "--ros-args", "-p", "a:=b")
    assert done.returncode == 0
    assert "ARGS --ros-args -p a:=b" in done.stdout
    done = ros2("run", "demo_pkg", "exits", "3")
    assert (done.returncode, done.stdout) == (3, "[ros2run]: Process exited with failure 3\n")
    done = ros2("run", "--prefix", "echo -n prefixed", "demo_pkg", "exits")
    assert done.stdout.startswith("prefixed /")


def test_run_refuses_what_does_not_exist(ros2):
    done = ros2("run", "demo_pkg", "nothing")
    assert (done.returncode, done.stderr) == (1, "No executable found\n")
    done = ros2("run", "nothing_here", "nothing")
    assert (done.returncode, done.stderr) == (1, "Package 'nothing_here' not found\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_its_node_with_itself(start, number):
    running = start("run", "demo_pkg", "live", "--ros-args", "-r", "__node:=run_node")
    running.wait_for("live and well")
    running.send(number)
    assert running.end(10) == 0


# --- lists ----------------------------------------------------------------------------------


def test_lists_show_what_the_live_node_has(ros2_each, live):
    results = ros2_each(
        "node list",
        "node list -c",
        "topic list -t",
        "topic list -c",
        "service list -t",
        "lifecycle nodes",
        "lifecycle get",
        "param list",
    )
    assert [done.returncode for done in results] == [0] * 8
    nodes, node_count, topics, topic_count, services, managed, states, parameters = (
        done.stdout for done in results
    )
    assert nodes == "/live\n"
    assert node_count == "1\n"
    assert "/chatter [std_msgs/msg/String]\n" in topics
    assert "/image [sensor_msgs/msg/Image]\n" in topics
    assert int(topic_count) == len(topics.splitlines())
    assert "/live/trigger [std_srvs/srv/Trigger]\n" in services
    assert managed == "/live\n"
    assert re.fullmatch(r"/live: \w+ \[\d\]\n", states)
    assert parameters.startswith("/live:\n  count\n  flags\n  gain\n  planner.name\n")


def test_node_and_topic_are_described(ros2_each, live):
    node, topic, kind = ros2_each("node info /live", "topic info /image -v", "topic type /chatter")
    assert node.returncode == topic.returncode == kind.returncode == 0
    assert node.stdout.startswith("/live\n  Subscribers:\n    /heard: std_msgs/msg/String\n")
    for section in ("Publishers", "Service Servers", "Service Clients", "Action Clients"):
        assert f"  {section}:\n" in node.stdout
    assert "    /live/trigger: std_srvs/srv/Trigger\n" in node.stdout
    assert topic.stdout.startswith("Type: sensor_msgs/msg/Image\n\nPublisher count: 1\n\n")
    assert "Reliability: BEST_EFFORT" in topic.stdout
    assert topic.stdout.endswith("Subscription count: 0\n\n")
    assert kind.stdout == "std_msgs/msg/String\n"


def test_what_is_not_there_is_reported_with_exit_code_1(ros2_each, live):
    expected = {
        "node info /nope": "Unable to find node '/nope'\n",
        "node info live": "Unable to find node 'live'\n",
        "param get /nope gain": "Node not found\n",
        "param list /nope": "Node not found\n",
        "lifecycle get /nope": "Node not found\n",
        "topic info /nope": "Unknown topic '/nope'\n",
        "topic echo /nope": "Could not determine the type for the passed topic\n",
        "topic type /nope": "",
        "service type /nope": "",
    }
    results = ros2_each(*(f"{command} --spin-time 1" for command in expected))
    assert [done.returncode for done in results] == [1] * len(expected)
    assert [done.stderr for done in results] == list(expected.values())


# --- topics ---------------------------------------------------------------------------------


def test_echo_prints_yaml_csv_and_fields(ros2_each, live):
    results = ros2_each(
        "topic echo --once /chatter",
        "topic echo --once /pose --field pose.position",
        "topic echo --once /pose --csv",
        "topic echo --once /image --no-arr",
        "topic echo --once /image --field encoding",
        "topic echo --once /image --truncate-length 2",
        "topic echo --once /pose --flow-style --filter 'm.pose.position.x > 1'",
    )
    chatter, field, csv, image, encoding, truncated, flow = (done.stdout for done in results)
    assert chatter == "data: hello\n---\n"
    assert field == "x: 1.5\ny: 0.0\nz: 0.0\n---\n"
    assert re.fullmatch(r"\d+,\d+,map,1.5,0.0,0.0,0.0,0.0,0.0,1.0\n", csv)
    assert "data: '<sequence type: uint8, length: 10000>'\n---\n" in image
    assert encoding == "mono8\n---\n"
    assert "data:\n- 0\n- 0\n- '...'\n---\n" in truncated
    assert "pose: {position: {x: 1.5, y: 0.0, z: 0.0}" in flow


def test_echo_gets_what_was_published_before_and_gives_up_on_silence(ros2_each, live):
    latched, silent = ros2_each(
        "topic echo --once /latched",
        "topic echo --timeout 0.3 /silent std_msgs/msg/String",
    )
    assert latched.stdout == "data: kept\n---\n"
    assert (silent.returncode, silent.stdout) == (0, "")


def test_echo_exits_with_2_on_ctrl_c(start, live):
    echo = start("topic", "echo", "/chatter")
    echo.wait_for("data: hello")
    echo.send(signal.SIGINT)
    assert echo.end() == 2


def test_hz_measures_best_effort_and_reliable_topics(start, live):
    meters = [start("topic", "hz", topic, "--window", "15") for topic in ("/image", "/chatter")]
    for meter in meters:
        output = meter.wait_for("window: 15")
        rate, window = re.findall(
            r"average rate: ([\d.]+)\n"
            r"\tmin: [\d.]+s max: [\d.]+s std dev: [\d.]+s window: (\d+)\n",
            output,
        )[-1]
        assert float(rate) == pytest.approx(20.0, rel=0.25)
        assert window == "15"


def test_pub_is_heard(ros2, start):
    echo = start("topic", "echo", "/said", "geometry_msgs/msg/PoseStamped", "--csv")
    done = ros2(
        *["topic", "pub", "-t", "2", "-r", "20", "/said", "geometry_msgs/msg/PoseStamped"],
        "{header: {stamp: now, frame_id: map}, pose: {position: {x: 1}}}",
    )
    assert done.returncode == 0
    assert "publisher: beginning loop\npublishing #1: geometry_msgs.msg.PoseStamped(" in done.stdout
    assert "publishing #2: " in done.stdout
    echo.wait_for(",map,1.0,0.0,0.0,", count=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["std_msgs/msg/Nothing"], "The msg type 'std_msgs/msg/Nothing' is invalid"),
        (["std_msgs/msg/String", "hello"], "The passed value needs to be a dictionary"),
        (["std_msgs/msg/String", "{date: x}"], "'String' has no field 'date'; it has: data"),
    ],
)
def test_pub_refuses_wrong_messages(ros2, arguments, message):
    done = ros2("topic", "pub", "--once", "/said", *arguments)
    assert done.returncode == 1
    assert message in done.stderr


# --- parameters -----------------------------------------------------------------------------


def test_parameters_are_got(ros2_each, live):
    count, flags, relative, missing = ros2_each(
        "param get /live count",
        "param get /live flags --hide-type",
        "param get live planner.name",
        "param get /live nothing",
    )
    assert count.stdout == "Integer value is: 3\n"
    assert flags.stdout == "[True, False]\n"
    assert relative.stdout == "String value is: adam\n"
    assert (missing.returncode, missing.stderr) == (1, "Parameter not set\n")


def test_parameters_are_set_or_refused_with_the_reason(ros2_each, live):
    done, refused, limited, fixed = ros2_each(
        "param set /live gain 0.75",
        "param set /live count 7",
        "param set /live count 11",
        "param set /live planner.name cem",
    )
    assert done.stdout == "Set parameter successful\n"
    assert (refused.returncode, refused.stderr) == (0, "Setting parameter failed: seven\n")
    assert "Setting parameter failed: Parameter count out of range" in limited.stderr
    assert "Setting parameter failed: " in fixed.stderr


def test_parameters_are_described(ros2, live):
    assert ros2("param", "describe", "/live", "gain", "count", "planner.name").stdout == (
        "Parameter name: gain\n  Type: double\n  Description: how much of it\n  Constraints:\n"
        "    Min value: 0.0\n    Max value: 1.0\n"
        "Parameter name: count\n  Type: integer\n  Constraints:\n    Min value: 0\n"
        "    Max value: 10\n    Step: 1\n    Additional constraints: seven is refused\n"
        "Parameter name: planner.name\n  Type: string\n  Constraints:\n    Read only: true\n"
    )


def test_parameters_are_loaded_and_dumped(ros2, live, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text("/live:\n  ros__parameters:\n    flags: [false]\n    gain: 2.0\n")
    done = ros2("param", "load", "/live", str(path))
    assert done.stdout == "Set parameter flags successful\n"
    assert "Set parameter gain failed: " in done.stderr
    dump = ros2("param", "dump", "/live").stdout
    assert dump.startswith("/live:\n  ros__parameters:\n    count: 3\n    flags:\n    - false\n")
    assert "    planner:\n      name: adam\n" in dump
    path.write_text("/**:\n  ros__parameters:\n    flags: [true, false]\n")
    assert "successful" in ros2("param", "load", "/live", str(path)).stdout


def test_a_file_of_another_node_is_tried_on_this_one(ros2, live, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text("/other:\n  ros__parameters:\n    flags: [true]\n    nothing: 1\n")
    done = ros2("param", "load", "/live", str(path))
    assert done.returncode == 0
    assert done.stdout == "Set parameter flags successful\n"
    assert "Set parameter nothing failed: " in done.stderr


# --- services, lifecycle, interfaces --------------------------------------------------------


def test_service_is_called(ros2_each, live):
    done, kind, wrong = ros2_each(
        "service call /live/set std_srvs/srv/SetBool '{data: true}'",
        "service type /live/set",
        "service call /live/set std_srvs/srv/SetBool '{date: true}'",
    )
    assert done.returncode == 0
    assert done.stdout.removeprefix("waiting for service to become available...\n") == (
        "requester: making request: std_srvs.srv.SetBool_Request(data=True)\n\n"
        "response:\nstd_srvs.srv.SetBool_Response(success=True, message='set')\n\n"
    )
    assert kind.stdout == "std_srvs/srv/SetBool\n"
    assert wrong.returncode == 1
    assert "Failed to populate field: " in wrong.stderr


def test_lifecycle_is_walked_through(ros2, ros2_each, live):
    state, transitions, impossible = ros2_each(
        "lifecycle get /live", "lifecycle list /live", "lifecycle set /live activate"
    )
    assert state.stdout == "unconfigured [1]\n"
    assert transitions.stdout.startswith(
        "- configure [1]\n\tStart: unconfigured\n\tGoal: configuring\n"
    )
    assert impossible.returncode == 1
    assert impossible.stderr.startswith(
        "Unknown transition requested, available ones are:\n- configure [1]\n"
    )
    assert ros2("lifecycle", "set", "/live", "configure").stdout == "Transitioning successful\n"
    assert ros2("lifecycle", "get", "/live").stdout == "inactive [2]\n"
    assert ros2("lifecycle", "set", "/live", "cleanup").returncode == 0


def test_interfaces_are_listed_and_shown(ros2):
    assert "    std_srvs/srv/Trigger\n" in ros2("interface", "list", "-s").stdout
    assert "string data\n" in ros2("interface", "show", "std_msgs/msg/String").stdout
    shown = ros2("interface", "show", "geometry_msgs/msg/PoseStamped", "--no-comments").stdout
    assert shown == (
        "std_msgs/Header header\n"
        "\tbuiltin_interfaces/Time stamp\n\t\tint32 sec\n\t\tuint32 nanosec\n\tstring frame_id\n"
        "Pose pose\n"
        "\tPoint position\n\t\tfloat64 x\n\t\tfloat64 y\n\t\tfloat64 z\n"
        "\tQuaternion orientation\n"
        "\t\tfloat64 x 0\n\t\tfloat64 y 0\n\t\tfloat64 z 0\n\t\tfloat64 w 1\n"
    )
    assert "JointTrajectoryPoint[] points\n\tfloat64[] positions\n" in (
        ros2("interface", "show", "trajectory_msgs/msg/JointTrajectory").stdout
    )
    assert ros2("interface", "show", "std_msgs/msg/Nothing").returncode == 1
