"""The decisions of tools/bootstrap.py; `make setup` itself is what every other test runs in."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Together:
    """All names of the script and of its steps; what is set is set wherever the name is known."""

    def __init__(self, script):
        steps = [module for name, module in sys.modules.items() if name.startswith("steps.")]
        self.__dict__["modules"] = [script, *steps]

    def __getattr__(self, name):
        for module in self.modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)

    def __setattr__(self, name, value):
        for module in self.modules:
            if hasattr(module, name):
                setattr(module, name, value)

    def __delattr__(self, name):
        """Nothing is put back: every test imports the modules again."""


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """The script and its steps as one module, looking at an empty checkout."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    for name in ("bootstrap", *(name for name in sys.modules if name.split(".")[0] == "steps")):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = Together(importlib.import_module("bootstrap"))
    monkeypatch.delenv("PYTHON", raising=False)
    monkeypatch.setattr(module, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(module, "VENV", module.ROOT / ".venv")
    monkeypatch.setattr(module, "PYTHON", module.VENV / "bin" / "python")
    monkeypatch.setattr(module, "STATE", module.VENV / "setup")
    monkeypatch.setattr(module, "ROS2_PIP", module.ROOT / "ros2_pip")
    module.PYTHON.parent.mkdir(parents=True)
    module.PYTHON.touch()
    module.STATE.mkdir()
    return module


@pytest.fixture
def prefix(tmp_path):
    """A folder that looks like a ROS 2 installation."""
    return with_rclpy(tmp_path / "opt" / "ros")


def with_rclpy(folder):
    marker = folder / "share" / "ament_index" / "resource_index" / "packages" / "rclpy"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (folder / "setup.bash").touch()
    return str(folder)


def copy_script(root):
    shutil.copy(ROOT / "tools" / "bootstrap.py", root / "tools")
    shutil.copytree(ROOT / "tools" / "steps", root / "tools" / "steps")


def python(version, path="python"):
    return {"path": path, "version": [int(part) for part in version.split(".")]}


class TestFindRos:
    @pytest.mark.parametrize("distro", ["jazzy", "kilted", "lyrical", "rolling"])
    def test_jazzy_and_later_are_used(self, bootstrap, prefix, distro):
        ros = bootstrap.find_ros({"ROS_DISTRO": distro, "AMENT_PREFIX_PATH": prefix})
        assert (ros.distro, ros.prefix) == (distro, prefix)

    @pytest.mark.parametrize("distro", ["foxy", "humble", "iron"])
    def test_older_ones_are_refused_by_name(self, bootstrap, prefix, distro):
        with pytest.raises(bootstrap.SetupError, match=f"{distro}.*needs Jazzy or later"):
            bootstrap.find_ros({"ROS_DISTRO": distro, "AMENT_PREFIX_PATH": prefix})

    @pytest.mark.parametrize(
        "environment", [{"ROS_DISTRO": "noetic"}, {"ROS_VERSION": "1", "ROS_DISTRO": "one"}]
    )
    def test_ros_1_is_refused(self, bootstrap, environment):
        with pytest.raises(bootstrap.SetupError, match="ROS 1"):
            bootstrap.find_ros(environment)

    def test_a_variable_left_behind_does_not_count(self, bootstrap, tmp_path):
        environment = {"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": str(tmp_path)}
        assert bootstrap.find_ros(environment) is None

    def test_what_set_up_itself_made_does_not_count(self, bootstrap):
        own = with_rclpy(bootstrap.VENV / "prefix")
        assert bootstrap.find_ros({"AMENT_PREFIX_PATH": own}) is None

    def test_another_checkouts_environment_does_not_count(self, bootstrap, tmp_path):
        other = with_rclpy(tmp_path / "other" / ".venv")
        Path(other, "pyvenv.cfg").touch()
        assert bootstrap.find_ros({"AMENT_PREFIX_PATH": other}) is None

    def test_the_last_one_used_is_remembered_in_a_bare_shell(self, bootstrap, prefix):
        state = {"ros": {"distro": "jazzy", "prefix": prefix}}
        ros = bootstrap.remembered_ros(state)
        assert ros.prefix == prefix
        assert not ros.sourced

    def test_a_removed_one_is_forgotten(self, bootstrap, tmp_path):
        state = {"ros": {"distro": "jazzy", "prefix": str(tmp_path / "gone")}}
        assert bootstrap.remembered_ros(state) is None


class TestPickPython:
    def test_the_one_with_a_ready_made_pybullet_wins(self, bootstrap):
        found = [python("3.12.3"), python("3.9.1"), python("3.11.7"), python("3.10.2")]
        assert bootstrap.pick_python(found) == python("3.11.7")

    def test_newer_ones_will_do(self, bootstrap):
        assert bootstrap.pick_python([python("3.9.1"), python("3.14.0")]) == python("3.14.0")

    def test_the_one_asked_for_is_taken(self, bootstrap):
        assert bootstrap.pick_python([python("3.13.0")], asked="python3.13") == python("3.13.0")

    @pytest.mark.parametrize("version", ["3.8.18", "3.9.9", "3.15.0", "2.7.18"])
    def test_others_are_not(self, bootstrap, version):
        assert bootstrap.pick_python([python(version)], asked="python") is None

    def test_the_refusal_names_what_was_found(self, bootstrap, monkeypatch):
        monkeypatch.setattr(bootstrap, "describe_python", lambda *_: python("3.8.18"))
        with pytest.raises(bootstrap.SetupError, match=r"3.10 to 3.14 is needed; found: 3.8.18"):
            bootstrap.choose_python(None, {})


class TestLongSteps:
    def test_the_newest_line_of_a_step_is_said_while_it_goes_on(self, bootstrap, capsys):
        bootstrap.TELL_EVERY = 0.2
        program = "import time; print('old'); print('Collecting torch', flush=True); time.sleep(1)"
        code, text = bootstrap.run_logged([sys.executable, "-c", program], "pip.log", None)
        assert (code, text) == (0, "old\nCollecting torch\n")
        said = capsys.readouterr().out.splitlines()
        assert said
        assert {re.sub(r"\d+ s", "N s", line) for line in said[1:]} <= {
            "[setup]   N s: Collecting torch"
        }
        assert said[-1].endswith("Collecting torch")

    def test_a_short_step_says_nothing(self, bootstrap, capsys):
        assert bootstrap.run_logged([sys.executable, "-c", "print(1)"], "a.log", None)[0] == 0
        assert capsys.readouterr().out == ""

    def test_an_interrupted_step_is_ended(self, bootstrap, monkeypatch):
        started = []
        popen = subprocess.Popen

        class Interrupted(popen):
            def wait(self, timeout=None):
                if self not in started:
                    started.append(self)
                    raise KeyboardInterrupt
                return super().wait(timeout)

        monkeypatch.setattr(subprocess, "Popen", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.run_logged(
                [sys.executable, "-c", "import time; time.sleep(60)"], "a.log", None
            )
        assert started[0].returncode == -9


class TestRefusals:
    @pytest.mark.parametrize(
        ("system", "machine", "libc", "named"),
        [
            ("Darwin", "arm64", ("", ""), "Darwin on arm64"),
            ("Linux", "aarch64", ("glibc", "2.39"), "Linux on aarch64"),
            ("Linux", "x86_64", ("", ""), "without glibc"),
            ("Linux", "x86_64", ("glibc", "2.27"), "glibc 2.27"),
        ],
    )
    def test_a_machine_without_ros_packages(
        self, bootstrap, monkeypatch, system, machine, libc, named
    ):
        monkeypatch.setattr(bootstrap.platform, "system", lambda: system)
        monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
        monkeypatch.setattr(bootstrap.platform, "libc_ver", lambda: libc)
        with pytest.raises(bootstrap.SetupError, match=named):
            bootstrap.check_platform()

    def test_a_full_disk(self, bootstrap, monkeypatch):
        usage = SimpleNamespace(free=1.2e9)
        monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(bootstrap.SetupError, match=r"1\.2 GB are free .* needs about 4 GB"):
            bootstrap.check_disk(4)

    def test_pybullet_that_cannot_be_compiled(self, bootstrap, monkeypatch):
        monkeypatch.setattr(bootstrap, "probe", lambda *_: {"modules": [], "headers": False})
        monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
        with pytest.raises(bootstrap.SetupError, match=r"apt install g\+\+ python3.12-dev"):
            bootstrap.check_compiler(python("3.12.3"), {})

    def test_half_a_ros2_launch(self, bootstrap, monkeypatch):
        bootstrap.ROS2_PIP.mkdir()
        (bootstrap.ROS2_PIP / "pyproject.toml").touch()
        has = {"modules": ["launch", "launch_ros"], "ros2_pip": None}
        monkeypatch.setattr(bootstrap, "probe", lambda *_: has)
        ros = bootstrap.Ros("jazzy", "/opt/ros/jazzy")
        with pytest.raises(bootstrap.SetupError, match=r"ros-jazzy-ros2cli .*ros-jazzy-ros2run"):
            bootstrap.install_ros2_pip(ros, {})


class TestRequirements:
    def test_comments_are_no_part_of_them(self, bootstrap):
        text = "# one\na==1\n\nb==2; python_version < '3'  # two\n"
        assert bootstrap.requirement_lines(text) == ["a==1", "b==2; python_version < '3'"]

    def test_a_ros_machine_gets_only_what_it_lacks_and_keeps_its_numpy(
        self, bootstrap, monkeypatch
    ):
        has = {"modules": ["numpy", "yaml", "PIL"], "numpy": "1.26.4"}
        monkeypatch.setattr(bootstrap, "probe", lambda *_: has)
        lines = ["numpy==2.4", "pyyaml==6", "pillow==12", "ros-jazzy-rclpy==7", "torch==2.13"]
        assert bootstrap.lacking(lines, {}) == (["torch<=2.13"], ["numpy==1.26.4"])

    @pytest.mark.parametrize(
        ("output", "advice"),
        [
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            ("after connection broken by 'NewConnectionError('<urllib3", "network"),
            ("NameResolutionError: No matching distribution found for torch", "network"),
            ("ERROR: No matching distribution found for torch", "another Python"),
            ("Collecting pytest-timeout\nerror: command 'g++' failed", "already is kept"),
        ],
    )
    def test_a_failure_of_pip_says_what_to_do(self, bootstrap, output, advice):
        assert advice in bootstrap.pip_advice(output)


class TestDistribution:
    def test_is_jazzy_unless_another_is_asked_for(self, bootstrap, monkeypatch):
        monkeypatch.delenv("ROS", raising=False)
        assert bootstrap.pypi_distro(None, {}) == "jazzy"
        monkeypatch.setenv("ROS", "kilted")
        assert bootstrap.pypi_distro(None, {}) == "kilted"

    def test_stays_what_it_was_when_none_is_asked_for(self, bootstrap, monkeypatch):
        monkeypatch.delenv("ROS", raising=False)
        assert bootstrap.pypi_distro(None, {"distro": "kilted"}) == "kilted"

    def test_is_refused_when_it_is_not_on_pypi(self, bootstrap, monkeypatch):
        monkeypatch.setenv("ROS", "humble")
        with pytest.raises(bootstrap.SetupError, match=r"ROS=humble .* accepted: jazzy, kilted"):
            bootstrap.pypi_distro(None, {})

    def test_is_refused_beside_another_installation(self, bootstrap, monkeypatch, prefix):
        monkeypatch.setenv("ROS", "kilted")
        ros = bootstrap.Ros("jazzy", prefix)
        with pytest.raises(bootstrap.SetupError, match=r"ROS=kilted .* ROS 2 jazzy of"):
            bootstrap.pypi_distro(ros, {})

    def test_has_the_requirements_of_the_one_list(self, bootstrap):
        text = (ROOT / "tools" / "requirements.txt").read_text(encoding="utf-8")
        lines = bootstrap.requirement_lines(text)
        kilted = [bootstrap.of_distro(line, "kilted") for line in lines]
        assert "ros-kilted-rclpy" in kilted
        assert not [line for line in kilted if "jazzy" in line]
        assert [line for line in kilted if not line.startswith("ros-")] == [
            line for line in lines if not line.startswith("ros-")
        ]
        assert [bootstrap.of_distro(line, "jazzy") for line in lines] == lines


class TestPlaces:
    @pytest.mark.parametrize(
        ("path", "named"),
        [
            ("/home/me/my robots/wm_mpc", "a space"),
            ("/home/me/a:b", "':'"),
            ("/home/me/it's", '"\'"'),
            ("/home/me/$HOME", r"'\$'"),
        ],
    )
    def test_that_nothing_built_would_run_in_are_refused(self, bootstrap, path, named):
        with pytest.raises(bootstrap.SetupError, match=f"has {named} in it"):
            bootstrap.check_path(Path(path))

    @pytest.mark.parametrize("path", ["/home/me/wm_mpc", "/srv/Müller/wm-mpc_2.0,b+c@d"])
    def test_of_other_names_are_taken(self, bootstrap, path):
        bootstrap.check_path(Path(path))

    def test_with_a_space_are_refused_before_anything_is_there(self, tmp_path):
        root = tmp_path / "my robots"
        (root / "tools").mkdir(parents=True)
        copy_script(root)
        shutil.copy(ROOT / "Makefile", root)
        done = subprocess.run(["make", "setup"], cwd=root, capture_output=True, text=True)
        assert done.returncode == 2
        assert "has a space in it" in done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(path.name for path in root.iterdir()) == ["Makefile", "tools"]

    def test_of_another_user_are_refused_by_name(self, bootstrap, monkeypatch):
        monkeypatch.setattr(bootstrap.os, "access", lambda *_: False)
        with pytest.raises(bootstrap.SetupError, match=r"checkout .* cannot be written to by this"):
            bootstrap.install(None, "jazzy", {})

    def test_that_cannot_be_written_to_will_do_once_all_is_there(self, bootstrap, monkeypatch):
        monkeypatch.setattr(bootstrap.os, "access", lambda *_: False)
        (bootstrap.ROOT / "install").mkdir()
        (bootstrap.ROOT / "install" / "setup.bash").touch()
        monkeypatch.setattr(bootstrap, "build_fingerprint", lambda: "the same")
        (bootstrap.STATE / "built").write_text("the same")
        assert not bootstrap.build({})


def test_two_at_once_wait_for_each_other(tmp_path):
    """The second begins when the first has ended."""
    (tmp_path / "tools").mkdir()
    copy_script(tmp_path)
    (tmp_path / "tools" / "requirements.txt").touch()
    code = "import sys, bootstrap\nwith bootstrap.locked():\n  print('in', flush=True); input()"
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.Popen(
            command,
            cwd=tmp_path / "tools",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    lines = [first.stdout.readline(), second.stdout.readline()]
    waiting = "[setup] waiting for another set-up of this checkout to end\n"
    assert sorted(lines) == sorted(["in\n", waiting])
    ahead, behind = (first, second) if lines[0] == "in\n" else (second, first)
    ahead.communicate("\n")
    assert behind.stdout.readline() == "in\n"
    behind.communicate("\n")
    assert (first.returncode, second.returncode) == (0, 0)


class TestState:
    @pytest.fixture
    def installed(self, bootstrap, monkeypatch):
        requirements = bootstrap.ROOT / "requirements.txt"
        requirements.write_text("a==1\n")
        monkeypatch.setattr(bootstrap, "REQUIREMENTS", requirements)
        state = {"root": str(bootstrap.ROOT), "python": python("3.11.7"), "ros": None}
        state["distro"] = "jazzy"
        state["requirements"] = bootstrap.digest([requirements])
        bootstrap.write_state(state)
        return bootstrap

    def test_a_finished_installation_is_not_repeated(self, installed):
        assert installed.is_installed(installed.read_state(), None, "jazzy")

    def test_changed_requirements_are_installed(self, installed):
        installed.REQUIREMENTS.write_text("a==2\n")
        assert not installed.is_installed(installed.read_state(), None, "jazzy")

    def test_a_changed_stand_in_for_ros2_is_installed(self, installed):
        source = installed.ROS2_PIP / "src" / "ros2_pip" / "cli.py"
        source.parent.mkdir(parents=True)
        source.touch()
        assert not installed.is_installed(installed.read_state(), None, "jazzy")

    @pytest.mark.parametrize(
        "name", ["test/test_cli.py", "build/lib/ros2_pip/cli.py", "CHANGELOG.md"]
    )
    def test_what_the_stand_in_does_not_install_changes_nothing(self, installed, name):
        path = installed.ROS2_PIP / name
        path.parent.mkdir(parents=True)
        path.touch()
        assert installed.is_installed(installed.read_state(), None, "jazzy")

    def test_one_interpreter_by_two_names_is_the_same(self, installed, tmp_path):
        state = installed.read_state()
        (tmp_path / "python3.11").touch()
        (tmp_path / "python3").symlink_to(tmp_path / "python3.11")
        for name in ("python3", "python3.11"):
            state["python"]["path"] = str(tmp_path / name)
            installed.write_state(state)
            assert installed.read_state()["python"]["path"] == str(tmp_path / "python3.11")

    def test_another_ros_is_installed_for(self, installed):
        ros = installed.Ros("jazzy", "/opt/ros/jazzy")
        assert not installed.is_installed(installed.read_state(), ros, None)

    def test_another_distribution_from_pypi_is_installed(self, installed):
        assert not installed.is_installed(installed.read_state(), None, "kilted")

    def test_a_state_of_before_there_was_a_choice_is_jazzys(self, installed):
        state = installed.read_state()
        del state["distro"]
        installed.write_state(state)
        assert installed.is_installed(installed.read_state(), None, "jazzy")

    def test_a_moved_checkout_starts_afresh(self, installed, monkeypatch):
        monkeypatch.setattr(installed, "ROOT", installed.ROOT.parent)
        assert installed.read_state() == {}

    def test_a_damaged_state_starts_afresh(self, installed):
        (installed.STATE / "state.json").write_text("{")
        assert installed.read_state() == {}


def test_environment_of_another_python_does_not_reach_pip(bootstrap):
    outer = {"PYTHONPATH": "/a", "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1", "HOME": "/h"}
    inner = bootstrap.make_environment(None, outer)
    assert inner["HOME"] == "/h"
    assert not {"PYTHONPATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"} & set(inner)


def test_environment_of_an_unsourced_ros_is_loaded(bootstrap, prefix):
    Path(prefix, "setup.bash").write_text("export ROS_DISTRO=jazzy\necho noise\n")
    ros = bootstrap.Ros("jazzy", prefix, sourced=False)
    assert bootstrap.make_environment(ros, {"PATH": "/usr/bin:/bin"})["ROS_DISTRO"] == "jazzy"


def test_sourcing_before_set_up_says_what_to_run(tmp_path):
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "env.bash"
    script.write_text((ROOT / "tools" / "env.bash").read_text(encoding="utf-8"))
    command = ["bash", "-c", 'source "$0"; echo "status $?"', str(script)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"not set up yet\. Run: make -C .* setup", result.stderr)
    assert result.stdout == "status 1\n"


@pytest.mark.skipif(not (ROOT / "install" / "setup.bash").exists(), reason="not set up")
def test_sourcing_leaves_the_options_of_the_shell_alone(tmp_path):
    script = 'set -eu; before=$-; source "$0"; [ "$before" = "$-" ] && python -c "import wm_mpc"'
    command = ["bash", "-c", script, str(ROOT / "tools" / "env.bash")]
    subprocess.run(command, cwd=tmp_path, check=True)


@pytest.mark.skipif(not (ROOT / "install" / "setup.bash").exists(), reason="not set up")
@pytest.mark.parametrize(("before", "after"), [(None, "LOCALHOST"), ("SUBNET", "SUBNET")])
def test_communication_stays_on_the_machine_unless_asked(monkeypatch, before, after):
    if before is None:
        monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    else:
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", before)
    script = 'source "$0" && printf %s "$ROS_AUTOMATIC_DISCOVERY_RANGE"'
    command = ["bash", "-c", script, str(ROOT / "tools" / "env.bash")]
    assert subprocess.check_output(command, text=True) == after
