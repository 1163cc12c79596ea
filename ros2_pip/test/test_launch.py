"""Launch files: arguments, conditions, includes, processes, exit codes, and no orphans."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

# The idiom for "a node that dies takes the launch down with a non-zero exit code, a node that
# ends well takes it down with exit code 0", in public launch API only.
IDIOM = """
    from launch.actions import Shutdown

    def end_with(event, context):
        respawn = context.launch_configurations.get('respawn', 'false').lower() == 'true'
        if context.is_shutdown or (respawn and event.returncode != 0):
            return None
        if event.returncode != 0:
            raise RuntimeError(f'{event.process_name} died with exit code {event.returncode}')
        return Shutdown(reason=f'{event.process_name} has finished')
"""


def script(code: str) -> str:
    """Return the command of a shell script, as text for a launch file."""
    return repr(["sh", "-c", code])


# --- arguments ------------------------------------------------------------------------------


def test_arguments_have_defaults_and_the_last_one_given_wins(ros2, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('task', default_value='walk'),"
        "DeclareLaunchArgument('size', default_value=['x', LaunchConfiguration('task')]),"
        "LogInfo(msg=['task=', LaunchConfiguration('task'), ' size=',"
        " LaunchConfiguration('size')])"
    )
    assert "[INFO] [launch.user]: task=walk size=xwalk" in ros2("launch", path).stdout
    done = ros2("launch", path, "task:=roam", "task:=turn:=t")
    assert "task=turn:=t size=xturn:=t" in done.stdout
    assert done.returncode == 0


def test_show_args_explains_every_argument(ros2, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('task', default_value='walk', description='what to do',"
        " choices=['walk', 'roam']),"
        "GroupAction([DeclareLaunchArgument('inner')],"
        " condition=IfCondition(LaunchConfiguration('task')))"
    )
    done = ros2("launch", path, "--show-args")
    assert done.returncode == 0
    assert done.stdout == (
        "Arguments (pass arguments as '<name>:=<value>'):\n"
        "\n"
        "    'task':\n"
        "        what to do. Valid choices are: ['walk', 'roam']\n"
        "        (default: 'walk')\n"
        "\n"
        "    'inner':*\n"
        "        no description given\n"
        "\n"
        "* argument(s) which are only used if specific conditions occur\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Included launch description missing required argument 'task'"),
        (["task:=tidy"], 'Argument "task" provided value "tidy" is not valid'),
        (["task"], "malformed launch argument 'task', expected format '<name>:=<value>'"),
    ],
)
def test_wrong_arguments_are_refused(ros2, launch_file, arguments, message):
    path = launch_file("DeclareLaunchArgument('task', choices=['walk', 'roam'])")
    done = ros2("launch", path, *arguments)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr


def test_launch_file_is_found_in_its_package(ros2, prefix):
    folder = prefix / "share" / "demo_pkg" / "launch"
    (folder / "hello.launch.py").write_text(
        "from launch import LaunchDescription\n"
        "from launch.actions import LogInfo\n"
        "def generate_launch_description():\n"
        "    return LaunchDescription([LogInfo(msg='hello')])\n"
    )
    assert "hello" in ros2("launch", "demo_pkg", "hello.launch.py").stdout
    missing = ros2("launch", "demo_pkg", "other.launch.py")
    assert missing.returncode == 1
    assert "file 'other.launch.py' was not found in the share directory" in missing.stderr
    unknown = ros2("launch", "no_such_pkg", "other.launch.py")
    assert unknown.returncode == 1
    assert "Package 'no_such_pkg' not found" in unknown.stderr


# --- conditions, scopes, includes, substitutions --------------------------------------------


def test_conditions_decide(ros2, launch_file):
    path = launch_file(
        "LogInfo(msg='A', condition=IfCondition('true')),"
        "LogInfo(msg='B', condition=IfCondition('0')),"
        "LogInfo(msg='C', condition=UnlessCondition('False')),"
        "SetLaunchConfiguration('x', '1'),"
        "LogInfo(msg='D', condition=LaunchConfigurationEquals('x', '1')),"
        "LogInfo(msg='E', condition=LaunchConfigurationNotEquals('x', '1')),"
        "LogInfo(msg='F', condition=IfCondition(PythonExpression("
        "[LaunchConfiguration('x'), ' > 0 and sqrt(4) == 2']))),"
    )
    assert re.findall(r"launch.user\]: (\w)", ros2("launch", path).stdout) == list("ACDF")


def test_condition_that_is_neither_true_nor_false_ends_the_launch(ros2, launch_file):
    done = ros2("launch", launch_file("LogInfo(msg='A', condition=IfCondition('maybe'))"))
    assert done.returncode == 1
    assert "invalid condition expression" in done.stdout


def test_group_keeps_its_configurations_and_environment_to_itself(ros2, launch_file):
    show = (
        "LogInfo(msg=['x=', LaunchConfiguration('x', default='-'), ' c=',"
        " EnvironmentVariable('COLOUR', default_value='-')])"
    )
    path = launch_file(
        "SetLaunchConfiguration('x', 'out'),"
        f"GroupAction([SetLaunchConfiguration('x', 'in'),"
        f" SetEnvironmentVariable('COLOUR', 'red'), {show}]), {show},"
        f"GroupAction([{show}], forwarding=False),"
        f"GroupAction([SetLaunchConfiguration('x', 'kept')], scoped=False), {show}"
    )
    found = re.findall(r"x=(\S+) c=(\S+)", ros2("launch", path).stdout)
    assert found == [("in", "red"), ("out", "-"), ("-", "-"), ("kept", "-")]


def test_include_passes_arguments_and_knows_its_own_place(ros2, launch_file, tmp_path):
    launch_file(
        "DeclareLaunchArgument('who'), LogInfo(msg=['hello ', LaunchConfiguration('who'), ' from ',"
        " ThisLaunchFile()])",
        name="inner.launch.py",
    )
    path = launch_file(
        "IncludeLaunchDescription(PythonLaunchDescriptionSource("
        "PathJoinSubstitution([ThisLaunchFileDir(), 'inner.launch.py'])),"
        " launch_arguments={'who': 'world'}.items()), LogInfo(msg=['back in ', ThisLaunchFile()])"
    )
    output = ros2("launch", path).stdout
    assert f"hello world from {tmp_path / 'inner.launch.py'}" in output
    assert f"back in {path}" in output


@pytest.mark.parametrize(
    ("substitution", "text"),
    [
        ("EqualsSubstitution('1.0', 1)", "true"),
        ("NotEqualsSubstitution('a', 'b')", "true"),
        ("NotSubstitution('true')", "false"),
        ("AndSubstitution('true', 'false')", "false"),
        ("OrSubstitution('true', 'false')", "true"),
        ("AnySubstitution('false', 'false', 'true')", "true"),
        ("AllSubstitution('true', 'false', 'true')", "false"),
        ("IfElseSubstitution('true', 'yes', 'no')", "yes"),
        ("StringJoinSubstitution(['a', 'b'], delimiter='-')", "a-b"),
        ("PathJoinSubstitution(['a', ['b', 'c']])", "a/bc"),
        ("FindExecutable(name='sh')", "/sh"),
        ("Command('echo out')", "out"),
        ("EnvironmentVariable('ROS_AUTOMATIC_DISCOVERY_RANGE')", "LOCALHOST"),
        ("PythonExpression(['1', '+ 1'])", "2"),
    ],
)
def test_substitution_yields(substitution, text, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "src"))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    import launch.substitutions
    from launch import LaunchContext

    result = eval(substitution, vars(launch.substitutions)).perform(LaunchContext())
    assert result.strip().endswith(text)


# --- what is not supported ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "entities", "message"),
    [
        ("from launch.actions import ForLoop", "", "'ForLoop' is not provided by ros2_pip's"),
        (
            "from launch_ros.actions import ComposableNodeContainer",
            "",
            "'ComposableNodeContainer' is not provided by ros2_pip's",
        ),
        (
            "",
            "ExecuteProcess(cmd=['true'], colour='red')",
            "ExecuteProcess got unsupported argument(s) colour; ros2_pip accepts: cmd,",
        ),
    ],
)
def test_what_is_unknown_is_refused_by_name(ros2, launch_file, before, entities, message):
    done = ros2("launch", launch_file(entities, before=before))
    assert done.returncode == 1
    assert message in done.stdout


XML = """
<launch>
  <arg name="who" default="world"/>
  <let name="greeting" value="hello $(var who)"/>
  <group>
    <let name="greeting" value="inside"/>
    <executable cmd="sh -c 'echo $(var greeting) $OWN'" output="screen">
      <env name="OWN" value="$(env HOME)"/>
    </executable>
  </group>
  <include file="$(dirname)/inner.launch.py"><arg name="given" value="$(var greeting)!"/></include>
  <log message="$(eval '2 + 3') is not $(find-pkg-prefix demo_pkg)" unless="false"/>
  <log message="never" if="false"/>
</launch>
"""
YAML = """
launch:
- arg: {name: who, default: world}
- let: {name: greeting, value: hello $(var who)}
- group:
  - let: {name: greeting, value: inside}
  - executable:
      cmd: sh -c 'echo $(var greeting) $OWN'
      output: screen
      env:
      - {name: OWN, value: $(env HOME)}
- include:
    file: $(dirname)/inner.launch.py
    arg:
    - {name: given, value: "$(var greeting)!"}
- log: {message: "$(eval '2 + 3') is not $(find-pkg-prefix demo_pkg)", unless: "false"}
- log: {message: never, if: "false"}
"""
INNER = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo
from launch.substitutions import LaunchConfiguration
def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument("given"), LogInfo(msg=["inner: ", LaunchConfiguration("given")])])
"""


@pytest.mark.parametrize(("format", "text"), [("xml", XML), ("yaml", YAML)])
def test_launch_files_of_other_formats_do_the_same(ros2, environment, tmp_path, format, text):
    path = tmp_path / f"outer.launch.{format}"
    path.write_text(text)
    (tmp_path / "inner.launch.py").write_text(INNER)
    done = ros2("launch", str(path), "who:=moon")
    assert done.returncode == 0, done.stdout
    assert f"] inside {environment['HOME']}\n" in done.stdout
    assert "inner: hello moon!\n" in done.stdout
    assert f"5 is not {environment['AMENT_PREFIX_PATH']}\n" in done.stdout
    assert "never" not in done.stdout


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("<launch><composable/></launch>", "does not provide 'composable'"),
        ("<launch><log message='x' levle='1'/></launch>", "does not provide 'levle'"),
        ("<launch><log/></launch>", "'log' lacks the attribute 'message'"),
        ("<launch><log message='$(vra x)'/></launch>", "does not provide '$(vra ...)'"),
        ("<launch><log message='$(var x'/></launch>", "is not closed"),
        ("<launch>", "is not XML"),
    ],
)
def test_what_an_xml_launch_file_may_not_have_is_named(ros2, tmp_path, text, named):
    path = tmp_path / "robot.launch.xml"
    path.write_text(text)
    done = ros2("launch", str(path))
    assert done.returncode == 1
    assert named in done.stdout


# --- processes ------------------------------------------------------------------------------


def test_output_is_prefixed_line_by_line(ros2, launch_file):
    path = launch_file(
        "ExecuteProcess(cmd="
        + script("printf 'a\\nb'; sleep 0.1; echo c; printf end; echo err >&2")
        + ", output='screen', name='talker')"
    )
    output = ros2("launch", path).stdout
    for line in ("[talker-1] a\n", "[talker-1] bc\n", "[talker-1] end\n", "[talker-1] err\n"):
        assert line in output
    assert re.search(r"\[INFO\] \[talker-1\]: process started with pid \[\d+\]\n", output)
    assert re.search(r"\[INFO\] \[talker-1\]: process has finished cleanly \[pid \d+\]\n", output)


def test_output_of_processes_that_end_at_once_is_complete(ros2, launch_file):
    path = launch_file(
        "*[ExecuteProcess(cmd=['sh', '-c', 'echo out; echo err >&2'], output='screen',"
        " emulate_tty=bool(i % 2)) for i in range(20)]"
    )
    done = ros2("launch", path)
    assert done.returncode == 0
    assert done.stdout.count("] out\n") == done.stdout.count("] err\n") == 20
    assert done.stderr == ""


def test_output_log_shows_only_errors_and_keeps_all(ros2, launch_file, tmp_path):
    path = launch_file("ExecuteProcess(cmd=" + script("echo out; echo err >&2") + ")")
    output = ros2("launch", path, ROS_LOG_DIR=str(tmp_path)).stdout
    assert "[sh-1] err" in output
    assert "[sh-1] out" not in output
    assert f"All log files can be found below {tmp_path}" in output
    assert "[sh-1] out" in (tmp_path / "latest" / "launch.log").read_text()


def test_process_has_its_environment_directory_and_terminal(ros2, launch_file, prefix, tmp_path):
    program = str(prefix / "lib" / "demo_pkg" / "show_args")
    path = launch_file(
        f"ExecuteProcess(cmd=['{program}', 'a b'], cwd='{tmp_path}', emulate_tty=True,"
        " additional_env={'COLOUR': 'red'}, output='screen')"
    )
    output = ros2("launch", path).stdout
    assert "ARGS a b\n" in output
    assert f"COLOUR red PWD {tmp_path} TTY True\n" in output


def test_process_that_cannot_start_is_reported(ros2, launch_file):
    done = ros2("launch", launch_file("ExecuteProcess(cmd=['no_such_program'])"))
    assert "exception occurred while executing process" in done.stdout


def test_process_is_respawned_at_most_so_often(ros2, launch_file):
    path = launch_file(
        "ExecuteProcess(cmd=['false'], respawn=True, respawn_delay=0.05, respawn_max_retries=2)"
    )
    output = ros2("launch", path).stdout
    assert output.count("process has died") == 3
    assert "[ERROR] [false-1]: process has died [pid " in output
    assert ", exit code 1, cmd 'false']." in output


def test_events_and_timers_start_actions(ros2, launch_file):
    path = launch_file(
        "process, RegisterEventHandler(OnProcessStart(target_action=process,"
        " on_start=[LogInfo(msg='STARTED')])),"
        "RegisterEventHandler(OnProcessExit(target_action=process, on_exit="
        "lambda event, context: [LogInfo(msg=f'EXIT {event.returncode}')])),"
        "RegisterEventHandler(OnShutdown(on_shutdown=[LogInfo(msg='SHUTDOWN')])),"
        "RegisterEventHandler(OnExecutionComplete(target_action=timer,"
        " on_completion=[LogInfo(msg='COMPLETE')])), timer",
        before="process = ExecuteProcess(cmd=['sh', '-c', 'exit 4'])\n"
        "timer = TimerAction(period=0.1, actions=[LogInfo(msg='TIMER')])",
    )
    output = ros2("launch", path).stdout
    found = re.findall(r"launch.user\]: (.*)", output)
    assert sorted(found) == ["COMPLETE", "EXIT 4", "SHUTDOWN", "STARTED", "TIMER"]
    assert found[-1] == "SHUTDOWN"


# --- exit codes -----------------------------------------------------------------------------


def test_exit_code_is_0_after_all_processes_end(ros2, launch_file):
    assert ros2("launch", launch_file("ExecuteProcess(cmd=['false'])")).returncode == 0


def test_exit_code_is_0_after_a_required_process_dies(ros2, launch_file, wait_until_gone):
    path = launch_file(
        "ExecuteProcess(cmd=['sleep', '60']), ExecuteProcess(cmd=['false'], on_exit=Shutdown())"
    )
    done = ros2("launch", path)
    assert done.returncode == 0
    assert "process[false-2] was required: shutting down launched system" in done.stdout
    assert "[INFO] [sleep-1]: sending signal 'SIGINT' to process[sleep-1]" in done.stdout


@pytest.mark.parametrize(
    "entities",
    [
        "OpaqueFunction(function=lambda context: 1 / 0)",
        "ExecuteProcess(cmd=['true'], on_exit=lambda event, context: 1 / 0)",
    ],
)
def test_exit_code_is_1_after_something_raised(ros2, launch_file, entities):
    path = launch_file("ExecuteProcess(cmd=['sleep', '60'])," + entities)
    done = ros2("launch", path)
    assert done.returncode == 1
    expected = "[ERROR] [launch]: Caught exception in launch (see debug for traceback): division"
    assert expected in done.stdout
    assert "process has died" in done.stdout  # the other process was stopped


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 3", 1), ("kill -9 $$", 1)])
def test_idiom_turns_the_end_of_a_process_into_the_exit_code(ros2, launch_file, command, code):
    path = launch_file(
        f"ExecuteProcess(cmd=['sleep', '60']), ExecuteProcess(cmd={script(command)},"
        " name='sim', on_exit=end_with)",
        before=IDIOM,
    )
    done = ros2("launch", path)
    assert done.returncode == code, done.stdout
    expected = "sim-2 died with exit code" if code else "process[sim-2] was required"
    assert expected in done.stdout


def test_idiom_leaves_respawned_processes_alone(start, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('respawn', default_value='false'),"
        f"ExecuteProcess(cmd={script('exit 3')}, respawn=LaunchConfiguration('respawn'),"
        " respawn_delay=0.1, on_exit=end_with), ExecuteProcess(cmd=['sleep', '60'], "
        "on_exit=end_with)",
        before=IDIOM,
    )
    launch = start("launch", path, "respawn:=true")
    launch.wait_for("process has died", count=3)
    launch.send(signal.SIGINT)
    assert launch.end() == 0  # and after Ctrl-C it stays silent


# --- the end --------------------------------------------------------------------------------


def started_pids(output: str) -> list[int]:
    """Return the process ids that the launch reported."""
    return [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", output)]


def test_ctrl_c_stops_everything_quickly_and_exits_0(start, launch_file, wait_until_gone):
    path = launch_file("ExecuteProcess(cmd=['sleep', '60']), ExecuteProcess(cmd=['sleep', '61'])")
    launch = start("launch", path)
    output = launch.wait_for("process started", count=2)
    began = time.monotonic()
    launch.send(signal.SIGINT)
    assert launch.end() == 0
    assert time.monotonic() - began < 3.0
    assert "[WARNING] [launch]: user interrupted with ctrl-c (SIGINT)" in launch.output
    assert "sending signal" not in launch.output
    for pid in started_pids(output):
        wait_until_gone(pid)


def test_noninteractive_says_which_signals_it_sends(start, launch_file):
    launch = start("launch", "-n", launch_file("ExecuteProcess(cmd=['sleep', '60'])"))
    launch.wait_for("process started")
    launch.send(signal.SIGINT)
    launch.end()
    assert "sending signal 'SIGINT' to process[sleep-1]" in launch.output


def test_each_process_gets_exactly_one_sigint(start, launch_file):
    path = launch_file(
        "ExecuteProcess(cmd="
        + script("trap 'echo GOT' INT; echo ready; sleep 1; sleep 1; sleep 1")
        + ", output='screen')"
    )
    launch = start("launch", path)
    launch.wait_for("ready")
    launch.send(signal.SIGINT)
    launch.end()
    assert launch.output.count("[sh-1] GOT") == 1


def test_stubborn_process_gets_sigterm_then_sigkill(start, launch_file, wait_until_gone):
    path = launch_file(
        "ExecuteProcess(cmd="
        + script(
            "trap '' INT; trap 'echo TERMINATED' TERM; echo ready; while true; do sleep 0.05; done"
        )
        + ", output='screen', sigterm_timeout='0.3', sigkill_timeout='0.4')"
    )
    launch = start("launch", path)
    output = launch.wait_for("ready")
    launch.send(signal.SIGINT)
    assert launch.end() == 0
    for text in (
        "[ERROR] [sh-1]: process[sh-1] failed to terminate '0.3' seconds after receiving 'SIGINT',"
        " escalating to 'SIGTERM'",
        "[sh-1] TERMINATED",
        "failed to terminate '0.4' seconds after receiving 'SIGTERM', escalating to 'SIGKILL'",
        "sending signal 'SIGKILL' to process[sh-1]",
        "exit code -9",
    ):
        assert text in launch.output
    wait_until_gone(*started_pids(output))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGKILL, -9)])
def test_no_orphans_when_the_launch_itself_is_ended(
    start, launch_file, wait_until_gone, number, code
):
    launch = start("launch", launch_file("ExecuteProcess(cmd=['sleep', '60'])"))
    output = launch.wait_for("process started")
    launch.send(number)
    assert launch.end() == code
    for pid in started_pids(output):
        wait_until_gone(pid)


def test_no_orphans_behind_a_shell(start, launch_file, wait_until_gone):
    path = launch_file(
        "ExecuteProcess(cmd=['sleep 60 & echo child $!; wait'], shell=True, output='screen')"
    )
    launch = start("launch", path)
    output = launch.wait_for("] child ")
    launch.send(signal.SIGTERM)
    launch.end()
    wait_until_gone(int(re.search(r"\] child (\d+)", output)[1]))
