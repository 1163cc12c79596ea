#!/usr/bin/env python3
"""Set this checkout up: `make setup` runs it, and so does every target that needs the result.

It makes `.venv`, installs tools/requirements.txt into it and builds the package with colcon. Where
a ROS 2 installation (Jazzy or later) is sourced, that one is used; elsewhere ROS 2 comes from PyPI,
and ros2_pip supplies the `ros2` command. What is already done is skipped, so a second run takes a
fraction of a second and an interrupted one continues. pip installs, so its settings (index, proxy,
certificates) and PIP_ARGS apply.

Standard library only, and nothing newer than Python 3.6, so that an old interpreter still gets as
far as looking for a better one, or saying that there is none.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # set-up may be refused, and leaves nothing behind then

from steps.common import (
    PYTHON,
    REQUIREMENTS,
    ROOT,
    STATE,
    VENV,
    SetupError,
    check_writable,
    digest,
    dotted,
    run_logged,
    say,
    tail,
)
from steps.interpreter import asked_python, choose_python, describe_python, make_venv
from steps.packages import (
    DISK_GB,
    check_compiler,
    check_imports,
    install_requirements,
    install_ros2_pip,
    lacking,
    name_of,
    of_distro,
    probe,
    requirement_lines,
    ros2_pip_sources,
)
from steps.ros import (
    OLDEST_DISTRO,
    PYPI_DISTROS,
    find_ros,
    has_rclpy,
    make_environment,
    pypi_distro,
    remembered_ros,
)

# colcon's scripts and the first lines of executables take these in a path for their own syntax.
UNUSABLE_IN_PATHS = r"""[\s:;&|<>()*?'"`$\\]"""
OLDEST_GLIBC = (2, 28)
_MODULES = "rclpy diagnostic_msgs geometry_msgs lifecycle_msgs nav_msgs sensor_msgs std_msgs"
ROS_MODULES = [*_MODULES.split(), "std_srvs", "trajectory_msgs", "visualization_msgs"]


def main():
    started = time.monotonic()
    check_path(ROOT)
    with locked():
        state = read_state()
        ros = find_ros(os.environ) or remembered_ros(state)
        distro = pypi_distro(ros, state)
        environment = make_environment(ros, os.environ)
        if not is_installed(state, ros, distro):
            install(ros, distro, environment)
        if build(environment):
            seconds = time.monotonic() - started
            say(f"ready in {seconds:.0f} s. In your own shell: source tools/env.bash")


def check_path(root):
    """Raise SetupError where nothing that is built could run."""
    found = sorted(set(re.findall(UNUSABLE_IN_PATHS, str(root))))
    if found:
        names = ", ".join("a space" if each == " " else repr(each) for each in found)
        raise SetupError(
            f"the path of this checkout, '{root}', has {names} in it, which ROS 2's build tools "
            "cannot handle; move the checkout to a path without, then run this again."
        )


def read_state():
    """Return what `.venv` was made for and which requirements are in it, or {}."""
    try:
        state = json.loads((STATE / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    # A moved checkout leaves its paths behind in .venv.
    try:
        is_there = PYTHON.exists()
    except OSError:  # of an interpreter in another user's folder
        is_there = False
    if state.get("root") != str(ROOT) or not is_there:
        return {}
    state["python"]["path"] = os.path.realpath(state["python"]["path"])
    state.setdefault("distro", None if state.get("ros") else PYPI_DISTROS[0])
    return state


def write_state(state):
    temporary = STATE / "state.json.new"
    temporary.write_text(json.dumps(state, indent=1))
    os.replace(str(temporary), str(STATE / "state.json"))


def is_installed(state, ros, distro):
    if state.get("requirements") != digest([REQUIREMENTS, *ros2_pip_sources()]):
        return False
    if state["ros"] != as_json(ros) or state["distro"] != distro:
        return False
    asked = asked_python()
    return not asked or (describe_python(asked) or {}).get("version") == state["python"]["version"]


def as_json(ros):
    return {"distro": ros.distro, "prefix": ros.prefix} if ros else None


def install(ros, distro, environment):
    check_writable(ROOT, VENV, STATE)
    if ros is None:
        check_platform()
        folders = (path.parent for path in Path("/opt/ros").glob("*/setup.bash"))
        usable = sorted(path for path in folders if path.name >= OLDEST_DISTRO and has_rclpy(path))
        for path in usable[-1:]:
            say(f"note: {path} is there but not sourced, so ROS 2 comes from PyPI")
            say(f"      (to use it: source {path}/setup.bash, then run this again)")
    python = choose_python(ros, environment)
    source = ros or f"ROS 2 {distro.capitalize()} from PyPI"
    say(f"Python {dotted(python['version'])} ({python['path']}), {source}")
    state = {"root": str(ROOT), "python": python, "ros": as_json(ros), "distro": distro}
    before = read_state()
    kept = all(before.get(key) == state[key] for key in state)
    check_disk(1 if kept else DISK_GB)
    if not kept:
        make_venv(python, ros, environment)
    write_state(state)
    lines = [of_distro(line, distro) for line in requirement_lines(REQUIREMENTS.read_text())]
    constraints = []
    if ros:
        missing = sorted(set(ROS_MODULES) - set(probe(environment, ROS_MODULES)["modules"]))
        if missing:
            raise SetupError(f"{ros} lacks {', '.join(missing)}.{ros.apt(missing)}")
        lines, constraints = lacking(lines, environment)
    if "pybullet" in map(name_of, lines):
        check_compiler(python, environment)
    install_requirements(lines, constraints, environment)
    check_imports(environment)
    install_ros2_pip(ros, environment)
    write_state(dict(state, requirements=digest([REQUIREMENTS, *ros2_pip_sources()])))


def check_platform():
    """Raise SetupError where ROS 2 has no packages on PyPI."""
    what = f"{platform.system()} on {platform.machine()}"
    if what == "Linux on x86_64":
        libc, version = platform.libc_ver()
        if libc == "glibc" and tuple(map(int, re.findall(r"\d+", version))) >= OLDEST_GLIBC:
            return
        what = f"{libc} {version}" if libc else "Linux without glibc"
    raise SetupError(
        f"this machine is {what}; ROS 2 is on PyPI only for Linux on x86_64 with glibc "
        f"{dotted(OLDEST_GLIBC)} or later.\nInstall ROS 2 Jazzy or later, source it, and run this "
        "again: it is then used as it is."
    )


def check_disk(needed):
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < needed:
        raise SetupError(
            f"{free:.1f} GB are free in {ROOT}; set-up needs about {needed} GB\n(and several more "
            "where pip installs PyTorch with CUDA; PIP_ARGS='--extra-index-url ...' with PyTorch's "
            "index of CPU builds avoids that)."
        )


def build_fingerprint():
    """Return a hash of all that the built package depends on.

    It is built with links into the sources, so that only the names of most files matter.
    """
    described = [ROOT / name for name in ("package.xml", "setup.cfg", "setup.py")]
    linked = [ROOT / "resource" / "wm_mpc"]
    for pattern in ("launch/*.py", "config/*", "checkpoints/*.safetensors"):
        linked += sorted(ROOT.glob(pattern))
    total = digest([*described, STATE / "state.json"]) + "\0".join(map(str, linked))
    return hashlib.sha256(total.encode()).hexdigest()


def build(environment):
    """Build with colcon if anything that matters has changed; return whether it had."""
    fingerprint, stamp = build_fingerprint(), STATE / "built"
    installed = (ROOT / "install" / "setup.bash").exists()
    if installed and stamp.exists() and stamp.read_text() == fingerprint:
        return False
    check_writable(ROOT, STATE, ROOT / "build", ROOT / "install", ROOT / "log")
    say("building the package with colcon")
    # Anew, so that nothing removed from the sources stays installed.
    for folder in (ROOT / "build", ROOT / "install"):
        shutil.rmtree(str(folder), ignore_errors=True)
    stamp.write_text("")
    # As a module of this interpreter, so that the executables are run by it too.
    command = [PYTHON, "-m", "colcon", "build", "--symlink-install", "--paths", ROOT]
    command += ["--event-handlers", "console_direct+", "console_stderr-"]
    failed, text = run_logged(command, "colcon.log", environment)
    if failed:
        raise SetupError(f"colcon build failed ({STATE}/colcon.log):\n{tail(text)}")
    if not (ROOT / "install/wm_mpc/share/wm_mpc/hook/ament_prefix_path.sh").exists():
        raise SetupError("colcon does not accept package.xml and took wm_mpc for plain Python.")
    stamp.write_text(fingerprint)
    return True


@contextlib.contextmanager
def locked():
    """Let one set-up at a time run in this checkout."""
    with REQUIREMENTS.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another set-up of this checkout to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except (SetupError, OSError) as error:
        print(f"[setup] cannot go on: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("[setup] interrupted; run it again to continue", file=sys.stderr)
        sys.exit(130)
