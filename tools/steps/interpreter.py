"""Which Python is used, and the virtual environment that is made from it."""

import json
import os
import shutil
import subprocess
import sys

from steps.common import BARE, STATE, VENV, SetupError, dotted, tail

SUPPORTED_PYTHONS = [(3, minor) for minor in range(10, 15)]
PYBULLET_WHEELS = [(3, 10), (3, 11)]


def choose_python(ros, environment):
    """Return {path, version} of the interpreter to make `.venv` from, or raise SetupError."""
    own = getattr(sys, "_base_executable", None) or sys.executable
    others = [] if ros else [f"python{dotted(version)}" for version in SUPPORTED_PYTHONS]
    asked = asked_python()
    candidates = [asked] if asked else [own, "python3", "/usr/bin/python3", *others]
    found = [describe_python(candidate, environment, ros) for candidate in candidates]
    found = [each for each in found if each]
    chosen = pick_python(found, asked)
    if chosen:
        return chosen
    if ros:
        raise SetupError(
            f"{ros} is sourced, but none of {', '.join(candidates)} can import its rclpy.\nName "
            f"the interpreter it was built for (make setup PYTHON=/usr/bin/python3), {BARE}"
        )
    seen = ", ".join(sorted({dotted(each["version"]) for each in found})) or "none"
    raise SetupError(
        f"Python 3.10 to 3.14 is needed; found: {seen}.\nInstall one (best 3.11 or 3.10, for which "
        "PyBullet is ready-made), then: make setup PYTHON=python3.11"
    )


def asked_python():
    asked = os.environ.get("PYTHON")
    if asked and not shutil.which(asked):
        raise SetupError(f"PYTHON={asked} is not a program.")
    return asked or None


def describe_python(command, environment=None, ros=None):
    """Return {path, version} of an interpreter, or None if it does not run or lacks `ros`."""
    code = "import json, os, sys" + (", rclpy" if ros else "")
    code += "\npath = getattr(sys, '_base_executable', None) or sys.executable"
    code += "\npath = os.path.realpath(path)  # python3 and python3.11 are the same one"
    code += "\nprint(json.dumps({'path': path, 'version': list(sys.version_info[:3])}))"
    try:
        quiet = {"stderr": subprocess.DEVNULL, "env": environment}
        return json.loads(subprocess.check_output([command, "-c", code], **quiet).decode())
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def pick_python(found, asked=None):
    """Return the first that PyBullet has a wheel for (else it is compiled), or the first."""
    usable = [each for each in found if tuple(each["version"][:2]) in SUPPORTED_PYTHONS]
    ready = [each for each in usable if tuple(each["version"][:2]) in PYBULLET_WHEELS]
    return next(iter(usable if asked else ready + usable), None)


def make_venv(python, ros, environment):
    shutil.rmtree(str(VENV), ignore_errors=True)
    command = [python["path"], "-m", "venv", str(VENV), *(["--system-site-packages"] * bool(ros))]
    pipe, merged = subprocess.PIPE, subprocess.STDOUT
    result = subprocess.run(command, env=environment, check=False, stdout=pipe, stderr=merged)
    if result.returncode:
        shutil.rmtree(str(VENV), ignore_errors=True)
        output, version = result.stdout.decode(errors="replace"), dotted(python["version"][:2])
        if "ensurepip" in output or "No module named venv" in output:
            output = f"On Debian and Ubuntu: sudo apt install python{version}-venv"
        raise SetupError(f"Python {version} cannot make virtual environments:\n{tail(output)}")
    STATE.mkdir()
    # Keeps colcon, when it is run by hand, from looking for packages in here.
    (VENV / "COLCON_IGNORE").touch()
