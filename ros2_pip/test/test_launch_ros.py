"""Node actions: what reaches the node on its command line, and real nodes."""

from __future__ import annotations

import re
import signal

import pytest
import yaml

HEAD = "from launch_ros.actions import *\nfrom launch_ros.parameter_descriptions import *\n"
SHOW = "Node(package='demo_pkg', executable='show_args', output='screen', "


@pytest.fixture
def show(ros2, launch_file):
    """Launch show_args with these arguments of Node; return (arguments, parameter files)."""

    def run(node_arguments: str, *, entities: str = "", arguments: tuple[str, ...] = ()):
        path = launch_file(entities + SHOW + node_arguments + ")", before=HEAD)
        done = ros2("launch", path, *arguments)
        assert done.returncode == 0, done.stdout
        lines = [line[14:] for line in done.stdout.splitlines() if line.startswith("[show_args-1]")]
        files = yaml.safe_load("\n".join(lines[1:-1])) if len(lines) > 2 else None
        return lines[0].removeprefix("ARGS "), files

    return run


def test_name_namespace_remappings_and_arguments_reach_the_node(show):
    arguments, _ = show(
        "name='n', namespace='below', arguments=['--fast'], ros_arguments=['--log-level', 'warn'],"
        " remappings=[('a', 'b')]",
        entities="PushRosNamespace('robot'), SetRemap('c', '/d'),",
    )
    assert arguments == (
        "--fast --ros-args --log-level warn --ros-args -r __node:=n -r __ns:=/robot/below "
        "-r c:=/d -r a:=b"
    )


def test_absolute_namespace_stands_by_itself(show):
    arguments, _ = show("namespace='/alone'", entities="PushRosNamespace('robot'),")
    assert arguments == "--ros-args -r __ns:=/alone"


def test_parameters_are_written_with_their_types(show):
    _, files = show(
        "name='n', namespace='/', parameters=[{'planner': {'type': 'adam', 'rate': 2.0},"
        " 'seed': LaunchConfiguration('seed'), 'text': '1', 'flags': [True, False],"
        " 'mixed': [1, 2.5], 'names': ['a', 'b'],"
        " 'joined': [LaunchConfiguration('seed'), '0'],"
        " 'kept': ParameterValue(LaunchConfiguration('seed'), value_type=str)}]",
        arguments=("seed:=7",),
    )
    assert files == {
        "/n": {
            "ros__parameters": {
                "planner.type": "adam",
                "planner.rate": 2.0,
                "seed": 7,
                "text": "1",
                "flags": [True, False],
                "mixed": [1.0, 2.5],
                "names": ["a", "b"],
                "joined": 70,
                "kept": "7",
            }
        }
    }


def test_parameter_files_may_hold_substitutions(show, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text("/**:\n  ros__parameters:\n    rate: $(var rate 5.0)  # $(nothing)\n")
    _, files = show(
        f"parameters=[ParameterFile('{path}', allow_substs=True)]", arguments=("rate:=2.5",)
    )
    assert files == {"/**": {"ros__parameters": {"rate": 2.5}}}
    _, files = show(f"parameters=['{path}']")
    assert files == {"/**": {"ros__parameters": {"rate": "$(var rate 5.0)"}}}


def test_global_parameters_come_first(show):
    arguments, _ = show(
        "parameters=[{'own': 1}]",
        entities="SetParameter('use', LaunchConfiguration('x', default='true')),"
        "SetUseSimTime(True),",
    )
    assert re.fullmatch(
        r"--ros-args -p use:=true -p use_sim_time:=true --params-file \S+", arguments
    )


def test_missing_executable_ends_the_launch(ros2, launch_file):
    done = ros2(
        "launch",
        launch_file("Node(package='demo_pkg', executable='nothing')", before=HEAD),
    )
    assert done.returncode == 1
    assert "executable 'nothing' not found on the libexec directory" in done.stdout


def test_unknown_argument_of_a_node_is_refused(ros2, launch_file):
    done = ros2(
        "launch",
        launch_file("Node(package='demo_pkg', executable='exits', nmae='x')", before=HEAD),
    )
    assert done.returncode == 1
    assert "Node got unsupported argument(s) nmae" in done.stdout


def test_packages_are_found_by_substitution(ros2, launch_file, prefix):
    path = launch_file(
        "LogInfo(msg=[FindPackageShare('demo_pkg'), ' ', FindPackagePrefix('demo_pkg'), ' ',"
        " FindPackageShare('sensor_msgs')])",
        before="from launch_ros.substitutions import *",
    )
    output = ros2("launch", path).stdout
    assert f"{prefix}/share/demo_pkg {prefix} " in output
    assert "share/sensor_msgs" in output


def test_real_node_is_launched_with_parameters_and_stops_on_ctrl_c(start, ros2, launch_file):
    path = launch_file(
        "LifecycleNode(package='demo_pkg', executable='live', name='renamed', namespace='ns',"
        " output='screen', parameters=[{'gain': 0.25}], remappings=[('chatter', 'talk')])",
        before=HEAD,
    )
    launch = start("launch", path)
    launch.wait_for("live and well")
    assert ros2("param", "get", "/ns/renamed", "gain").stdout == "Double value is: 0.25\n"
    assert ros2("topic", "echo", "--once", "/ns/talk").stdout == "data: hello\n---\n"
    launch.send(signal.SIGINT)
    assert launch.end(10) == 0
    assert "process has finished cleanly" in launch.output
