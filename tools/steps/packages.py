"""What pip installs into `.venv`, and what is checked before and after."""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess

from steps.common import (
    PYTHON,
    ROS2_PIP,
    STATE,
    SetupError,
    check_writable,
    dotted,
    run_logged,
    say,
    tail,
)
from steps.interpreter import PYBULLET_WHEELS
from steps.ros import PYPI_DISTROS

DISK_GB = 4
# Installed without what they require: several GB that nothing here imports.
ALONE = ("stable-worldmodel",)
LAUNCH_MODULES = ["launch", "launch_ros", "ros2cli", "ros2launch", "ros2run"]
# Distributions whose module is not called like them
MODULES = {"colcon-common-extensions": "colcon_core", "opencv-python-headless": "cv2"}
MODULES.update({"pillow": "PIL", "pyyaml": "yaml"})
UNREACHABLE = "NewConnectionError|ProxyError|SSLError|timed out|connection broken|"
UNREACHABLE += "NameResolutionError|Network is unreachable|name resolution"
PIP_ADVICE = {  # the first that fits what pip said
    "No space left": f"The disk is full: free about {DISK_GB} GB, then run this again.",
    UNREACHABLE: "The package index could not be reached. Check the network (behind a proxy: "
    "HTTPS_PROXY; with an index of your own: PIP_INDEX_URL), then run this again.",
    "No matching distribution": "There is no such package for this machine and Python. Try another "
    "Python (make setup PYTHON=python3.11) or index (PIP_ARGS='--extra-index-url ...').",
    "": "Run this again once that is mended: what is installed already is kept.",
}

PROBE = """
import importlib.metadata, importlib.util, json, os, sys, sysconfig

def found(name):
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None  # else a mere folder of that name

def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

headers = os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))
modules = [name for name in sys.argv[1:] if found(name)]
versions = {"numpy": version("numpy"), "ros2_pip": version("ros2-pip")}
print(json.dumps({"modules": modules, "headers": headers, **versions}))
"""


def probe(environment, modules):
    """Return which `modules` the interpreter of `.venv` finds, and what else it has."""
    # Not from the checkout, whose folders would pass for modules.
    command = [str(PYTHON), "-c", PROBE, *modules]
    return json.loads(subprocess.check_output(command, env=environment, cwd=str(STATE)).decode())


def requirement_lines(text):
    """Return the requirements in `text`, without comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def of_distro(line, distro):
    """Return a requirement as it reads for a distribution; of all but one, the newest is taken."""
    pinned = f"ros-{PYPI_DISTROS[0]}-"
    if distro in (None, PYPI_DISTROS[0]) or not line.startswith(pinned):
        return line
    return line.split("==")[0].strip().replace(pinned, f"ros-{distro}-", 1)


def name_of(line):
    return re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-")


def lacking(lines, environment):
    """Return (requirements, constraints) for what a machine with ROS 2 does not have yet. Its numpy
    stays: the messages were compiled with it. So what is added may be older than what is pinned."""
    lines = [line for line in lines if not name_of(line).startswith("ros-")]
    modules = {line: MODULES.get(name_of(line), name_of(line).replace("-", "_")) for line in lines}
    has = probe(environment, sorted(set(modules.values())))
    lacked = [line for line in lines if modules[line] not in has["modules"]]
    constraints = [f"numpy=={has['numpy']}"] if has["numpy"] else []
    return [line.replace("==", "<=", 1) for line in lacked], constraints


def check_compiler(python, environment):
    """Raise SetupError when PyBullet would have to be compiled and cannot be."""
    has = probe(environment, ["pybullet"])
    wheel = tuple(python["version"][:2]) in PYBULLET_WHEELS and platform.machine() == "x86_64"
    if wheel or "pybullet" in has["modules"]:
        return
    version = dotted(python["version"][:2])
    lacks = [] if shutil.which(os.environ.get("CXX", "g++")) else ["g++"]
    lacks += [] if has["headers"] else [f"python{version}-dev"]
    if lacks:
        raise SetupError(
            f"PyBullet is not ready-made for Python {version} here and has to be compiled, for "
            f"which {' and '.join(lacks)} is missing.\nInstall it (Debian, Ubuntu: sudo apt "
            f"install {' '.join(lacks)}), or use another Python: make setup PYTHON=python3.11"
        )
    say(f"PyBullet is not ready-made for Python {version}: compiling it once, for some minutes")


def install_requirements(lines, constraints, environment):
    if not lines:
        return
    alone = [line for line in lines if name_of(line) in ALONE]
    rest = [line for line in lines if line not in alone]
    (STATE / "requirements.txt").write_text("".join(f"{line}\n" for line in rest))
    (STATE / "constraints.txt").write_text("".join(f"{line}\n" for line in constraints))
    say(f"installing {len(lines)} packages and what they need into .venv (log: {STATE}/pip.log)")
    options = ["--constraint", str(STATE / "constraints.txt")]
    options += shlex.split(os.environ.get("PIP_ARGS", ""))
    # PyBullet, where it is compiled, needs these in place: without numpy its camera is slow.
    first = [line for line in lines if name_of(line) in ("numpy", "setuptools")]
    if first:
        pip([*options, *first], environment)
    pip([*options, "--no-build-isolation", "-r", str(STATE / "requirements.txt")], environment)
    if alone:
        pip([*options, "--no-deps", *alone], environment)


def pip(arguments, environment):
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--progress-bar", "off", *arguments]
    failed, text = run_logged(command, "pip.log", environment)
    if failed:
        text = re.sub(r"(?m)^(Requirement already satisfied|Looking in).*\n", "", text)
        raise SetupError(f"pip failed ({STATE}/pip.log):\n{tail(text)}\n{pip_advice(text)}")


def pip_advice(text):
    """Return what to do after pip failed with the output `text`."""
    return next(advice for pattern, advice in PIP_ADVICE.items() if re.search(pattern, text))


def check_imports(environment):
    """Import what matters, so that a broken installation is noticed here and not in a node."""
    code = "import cv2, h5py, numpy, pybullet, rclpy, safetensors, sensor_msgs.msg, torch\n"
    code += "print('numpy in pybullet:', pybullet.isNumpyEnabled())"
    failed, text = run_logged([PYTHON, "-c", code], "imports.log", environment)
    if failed:
        remedy = "To start afresh: rm -rf .venv && make setup"
        raise SetupError(f"what was installed does not load:\n{tail(text)}\n{remedy}")
    if "numpy in pybullet: 0" in text:
        say("note: this PyBullet was compiled without numpy, which makes its camera slow")


def install_ros2_pip(ros, environment):
    """Install the `ros2` command of ros2_pip where there is no genuine one."""
    has = probe(environment, LAUNCH_MODULES)
    if has["modules"] and not has["ros2_pip"]:
        missing = [name for name in LAUNCH_MODULES if name not in has["modules"]]
        if missing:
            hint = ros.apt(missing) if ros else ""
            raise SetupError(f"part of `ros2 launch` is here, but not {', '.join(missing)}.{hint}")
        return
    check_writable(ROS2_PIP)
    say("installing the ros2 command of ros2_pip")
    # A folder left by an earlier build would put removed modules back.
    shutil.rmtree(str(ROS2_PIP / "build"), ignore_errors=True)
    options = ["--no-deps", "--no-build-isolation", "--force-reinstall"]
    pip([*options, str(ROS2_PIP)], environment)


def ros2_pip_sources():
    found = [*ROS2_PIP.glob("src/**/*.py"), ROS2_PIP / "pyproject.toml", ROS2_PIP / "README.md"]
    return sorted(path for path in found if path.exists())
