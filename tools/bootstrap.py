#!/usr/bin/env python3
"""Set this checkout up: `make setup` runs it, and so does every target that needs the result.

It makes `.venv`, installs tools/requirements.txt into it and builds the package with colcon. Where
a ROS 2 installation (Jazzy or later) is sourced, that one is used; elsewhere ROS 2 comes from
PyPI, and tools/ros2_pip supplies the `ros2` command. Whatever is already done is skipped, so a
second run takes a fraction of a second and an interrupted one continues.

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
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = VENV / "setup"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
ROS2_PIP = ROOT / "tools" / "ros2_pip"

SUPPORTED_PYTHONS = [(3, minor) for minor in range(10, 15)]
PYBULLET_WHEELS = [(3, 10), (3, 11)]
OLDEST_DISTRO = "jazzy"
PYPI_DISTROS = ["jazzy", "kilted"]  # the first is the one whose versions requirements.txt pins
ROS_1_DISTROS = ["kinetic", "lunar", "melodic", "noetic"]
# colcon's scripts and the first lines of executables take these in a path for their own syntax.
UNUSABLE_IN_PATHS = r"""[\s:;&|<>()*?'"`$\\]"""
OLDEST_GLIBC = (2, 28)
DISK_GB = 4

MESSAGES = ["diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "nav_msgs", "sensor_msgs"]
MESSAGES += ["std_msgs", "std_srvs", "trajectory_msgs", "visualization_msgs"]
ROS_MODULES = ["rclpy", *MESSAGES]
LAUNCH_MODULES = ["launch", "launch_ros", "ros2cli", "ros2launch", "ros2run"]
# Distributions whose module is not called like them
MODULES = {
    "colcon-common-extensions": "colcon_core",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
}


UNREACHABLE = "NewConnectionError|ProxyError|SSLError|timed out|connection broken|"
UNREACHABLE += "NameResolutionError|Network is unreachable|name resolution"


class SetupError(Exception):
    """What is missing, and what to do next."""


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
        install_ros2_pip(ros, environment)
        built = build(environment)
    if built:
        seconds = time.monotonic() - started
        say(f"ready in {seconds:.0f} s. In your own shell: source tools/env.bash")


def say(text):
    print(f"[setup] {text}", flush=True)


def check_path(root):
    """Raise SetupError where nothing that is built could run."""
    found = sorted(set(re.findall(UNUSABLE_IN_PATHS, str(root))))
    if found:
        names = ", ".join("a space" if each == " " else repr(each) for each in found)
        raise SetupError(
            f"the path of this checkout, '{root}', has {names} in it, which ROS 2's build tools "
            "cannot handle; move the checkout to a path without, then run this again."
        )


def check_writable(*paths):
    """Raise SetupError for the first of `paths` that is there and cannot be written to."""
    for path in paths:
        if path.exists() and not os.access(str(path), os.W_OK):
            try:
                owner = path.owner()
            except (KeyError, OSError):
                owner = "another user"
            raise SetupError(
                f"{path} (of {owner}) cannot be written to by this user; run this as its owner, or "
                "in a clone of your own."
            )


# --- ROS 2 --------------------------------------------------------------------------------------


class Ros:
    """A ROS 2 installation on this machine."""

    def __init__(self, distro, prefix, sourced=True):
        self.distro = distro
        self.prefix = prefix
        self.sourced = sourced

    def __str__(self):
        return f"ROS 2 {self.distro} of {self.prefix}"

    def apt_names(self, packages):
        return " ".join(f"ros-{self.distro}-{name}".replace("_", "-") for name in packages)


def find_ros(environment):
    """Return the ROS 2 installation that is sourced in `environment`, or None.

    Raises SetupError for one older than Jazzy.
    """
    distro = environment.get("ROS_DISTRO", "")
    otherwise = "or open a shell without it: ROS 2 is then installed into .venv."
    if environment.get("ROS_VERSION") == "1" or distro in ROS_1_DISTROS:
        raise SetupError(
            f"ROS 1 {distro} is sourced in this shell; wm_mpc needs ROS 2 Jazzy or later.\n"
            f"Source that instead, {otherwise}"
        )
    for prefix in filter(None, environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        own = ROOT in [Path(prefix).resolve(), *Path(prefix).resolve().parents]
        marker = Path(prefix, "share/ament_index/resource_index/packages/rclpy")
        # A virtual environment is another checkout's, whose shell this is.
        if own or not marker.exists() or Path(prefix, "pyvenv.cfg").exists():
            continue
        # Distributions are named in alphabetical order.
        if distro and distro < OLDEST_DISTRO:
            raise SetupError(
                f"ROS 2 {distro} of {prefix} is sourced in this shell; wm_mpc needs Jazzy or "
                f"later.\nSource a later one, {otherwise}"
            )
        return Ros(distro or "(unnamed)", prefix)
    return None


def remembered_ros(state):
    """Return the installation of the last set-up, when it is still there but not sourced now."""
    used = state.get("ros")
    if not used or not Path(used["prefix"], "setup.bash").exists():
        return None
    return Ros(used["distro"], used["prefix"], sourced=False)


def pypi_distro(ros, state):
    """Return which distribution to take from PyPI: `make setup ROS=kilted`, or that of last time.

    None where an installation is used. Raises SetupError for what cannot be had.
    """
    asked = os.environ.get("ROS", "")
    if ros:
        if asked and asked != ros.distro:
            raise SetupError(
                f"ROS={asked} is asked for, but {ros} is used here; source {asked} instead, or "
                "open a shell without ROS 2 and remove .venv."
            )
        return None
    if asked and asked not in PYPI_DISTROS:
        raise SetupError(
            f"ROS={asked} is not on PyPI; accepted: {', '.join(PYPI_DISTROS)} (a later one: "
            "install and source it)."
        )
    return asked or state.get("distro") or PYPI_DISTROS[0]


def unsourced_ros():
    """Return the folder of a usable ROS 2 that is installed but not sourced, or None."""
    folders = [path.parent for path in sorted(Path("/opt/ros").glob("*/setup.bash"), reverse=True)]
    usable = [path for path in folders if path.name >= OLDEST_DISTRO]
    return next((path for path in usable if path.name not in ROS_1_DISTROS), None)


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
    for name in dropped:
        environment.pop(name, None)
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return environment


# --- the interpreter ----------------------------------------------------------------------------


def choose_python(ros, environment):
    """Return {path, version} of the interpreter to make `.venv` from.

    Raises SetupError when there is none that will do.
    """
    asked = asked_python()
    own = getattr(sys, "_base_executable", None) or sys.executable
    if asked:
        candidates = [asked]
    elif ros:
        candidates = [own, "python3", "/usr/bin/python3"]
    else:
        others = [f"python{major}.{minor}" for major, minor in SUPPORTED_PYTHONS]
        candidates = [own, "python3", "/usr/bin/python3", *others]
    described = [describe_python(candidate, environment, ros) for candidate in candidates]
    found = [each for each in described if each]
    chosen = pick_python(found, asked)
    if chosen:
        return chosen
    if ros:
        raise SetupError(
            f"{ros} is sourced, but none of {', '.join(candidates)} can import its rclpy.\n"
            "Name the interpreter it was built for (make setup PYTHON=/usr/bin/python3), or open a "
            "shell without it: ROS 2 is then installed into .venv."
        )
    seen = sorted({dotted(each["version"]) for each in found})
    raise SetupError(
        f"Python 3.10 to 3.14 is needed; found: {', '.join(seen) or 'none'}.\n"
        "Install one (best 3.11 or 3.10, for which PyBullet is ready-made), then: "
        "make setup PYTHON=python3.11"
    )


def asked_python():
    """Return the interpreter asked for by `make setup PYTHON=...`, or None."""
    asked = os.environ.get("PYTHON")
    if asked and not shutil.which(asked):
        raise SetupError(f"PYTHON={asked} is not a program.")
    return asked or None


def describe_python(command, environment=None, ros=None):
    """Return {path, version} of an interpreter, or None if it does not run or lacks `ros`."""
    code = "import json, sys\n" + ("import rclpy\n" if ros else "")
    code += "path = getattr(sys, '_base_executable', None) or sys.executable\n"
    code += "print(json.dumps({'path': path, 'version': list(sys.version_info[:3])}))"
    try:
        output = subprocess.check_output(
            [command, "-c", code], stderr=subprocess.DEVNULL, env=environment
        )
        return json.loads(output.decode())
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def pick_python(found, asked=None):
    """Return the best of the interpreters in `found`, in order of preference, or None.

    The first that PyBullet has a wheel for wins: for the others it has to be compiled.
    """
    usable = [each for each in found if tuple(each["version"][:2]) in SUPPORTED_PYTHONS]
    ready = [each for each in usable if tuple(each["version"][:2]) in PYBULLET_WHEELS]
    return next(iter(usable if asked else ready + usable), None)


def dotted(version):
    return ".".join(str(number) for number in version)


# --- installing ---------------------------------------------------------------------------------


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
    state.setdefault("distro", None if state.get("ros") else PYPI_DISTROS[0])
    return state


def write_state(state):
    temporary = STATE / "state.json.new"
    temporary.write_text(json.dumps(state, indent=1))
    os.replace(str(temporary), str(STATE / "state.json"))


def is_installed(state, ros, distro):
    if state.get("requirements") != digest([REQUIREMENTS]):
        return False
    if state["ros"] != as_json(ros) or state["distro"] != distro:
        return False
    asked = asked_python()
    return not asked or (describe_python(asked) or {}).get("version") == state["python"]["version"]


def as_json(ros):
    return {"distro": ros.distro, "prefix": ros.prefix} if ros else None


def digest(paths):
    """Return a hash of the names and contents of `paths`."""
    total = hashlib.sha256()
    for path in paths:
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def install(ros, distro, environment):
    check_writable(ROOT, VENV, STATE)
    if ros is None:
        check_platform()
        elsewhere = unsourced_ros()
        if elsewhere:
            say(f"note: {elsewhere} is there but not sourced, so ROS 2 comes from PyPI")
            say(f"      (to use it: source {elsewhere}/setup.bash, then run this again)")
    python = choose_python(ros, environment)
    source = ros or f"ROS 2 {distro.capitalize()} from PyPI"
    say(f"Python {dotted(python['version'])} ({python['path']}), {source}")

    state = {"root": str(ROOT), "python": python, "ros": as_json(ros), "distro": distro}
    before = read_state()
    kept = all(before.get(key) == state[key] for key in state)
    check_disk(DISK_GB if not kept else 1)
    if not kept:
        make_venv(python, ros, environment)
    write_state(state)

    lines = requirement_lines(REQUIREMENTS.read_text(encoding="utf-8"))
    constraints = []
    lines = [of_distro(line, distro) for line in lines]
    if ros:
        check_messages(ros, environment)
        lines, constraints = lacking(lines, environment)
    if "pybullet" in map(name_of, lines):
        check_compiler(python, environment)
    install_requirements(lines, constraints, environment)
    check_imports(environment)
    state["requirements"] = digest([REQUIREMENTS])
    write_state(state)


def check_platform():
    """Raise SetupError where ROS 2 has no packages on PyPI."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        what = f"{platform.system()} on {platform.machine()}"
    else:
        libc, version = platform.libc_ver()
        if libc == "glibc" and numbers(version) >= OLDEST_GLIBC:
            return
        what = f"{libc} {version}" if libc else "Linux without glibc"
    raise SetupError(
        f"this machine is {what}; ROS 2 is on PyPI only for Linux on x86_64 with glibc "
        f"{dotted(OLDEST_GLIBC)} or later.\nInstall ROS 2 Jazzy or later, source it, and run this "
        "again: it is then used as it is."
    )


def numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version))


def check_disk(needed):
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < needed:
        raise SetupError(
            f"{free:.1f} GB are free in {ROOT}; set-up needs about {needed} GB\n"
            "(and several more where pip installs PyTorch with CUDA; PIP_ARGS='--extra-index-url "
            "...' with PyTorch's index of CPU builds avoids that)."
        )


def make_venv(python, ros, environment):
    shutil.rmtree(str(VENV), ignore_errors=True)
    command = [python["path"], "-m", "venv", str(VENV)]
    if ros:
        command.append("--system-site-packages")
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    result = subprocess.run(command, env=environment, check=False, **streams)
    output = result.stdout.decode(errors="replace")
    if result.returncode:
        shutil.rmtree(str(VENV), ignore_errors=True)
        version = dotted(python["version"][:2])
        if "ensurepip" in output or "No module named venv" in output:
            raise SetupError(
                f"Python {version} cannot make virtual environments.\n"
                f"On Debian and Ubuntu: sudo apt install python{version}-venv"
            )
        raise SetupError(f"could not make .venv:\n{tail(output)}")
    STATE.mkdir()
    # Keeps colcon, when it is run by hand, from looking for packages in here.
    (VENV / "COLCON_IGNORE").touch()


def probe(environment, modules):
    """Return which `modules` the interpreter of `.venv` finds, and what else it has."""
    code = """
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

headers = os.path.join(sysconfig.get_paths()["include"], "Python.h")
print(json.dumps({
    "modules": [name for name in sys.argv[1:] if found(name)],
    "numpy": version("numpy"),
    "ros2_pip": version("ros2-pip"),
    "headers": os.path.exists(headers),
}))
"""
    # Not from the checkout, whose folders would pass for modules.
    command = [str(PYTHON), "-c", code, *modules]
    return json.loads(subprocess.check_output(command, env=environment, cwd=str(STATE)).decode())


def requirement_lines(text):
    """Return the requirements in `text`, without comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def of_distro(line, distro):
    """Return a requirement as it reads for a distribution on PyPI.

    Only one has its versions pinned; of another the newest ones are taken.
    """
    pinned = f"ros-{PYPI_DISTROS[0]}-"
    if distro in (None, PYPI_DISTROS[0]) or not line.startswith(pinned):
        return line
    return line.split("==")[0].strip().replace(pinned, f"ros-{distro}-", 1)


def name_of(line):
    return re.match(r"[A-Za-z0-9._-]+", line).group(0).lower().replace("_", "-")


def module_of(line):
    name = name_of(line)
    return MODULES.get(name, name.replace("-", "_"))


def check_messages(ros, environment):
    missing = sorted(set(ROS_MODULES) - set(probe(environment, ROS_MODULES)["modules"]))
    if missing:
        raise SetupError(
            f"{ros} lacks {', '.join(missing)}.\nInstall: sudo apt install {ros.apt_names(missing)}"
        )


def lacking(lines, environment):
    """Return (requirements, constraints) for what a machine with ROS 2 does not have yet.

    Its numpy stays: the messages' extension modules were compiled with it. What has to be added
    may therefore be older than the version pinned.
    """
    lines = [line for line in lines if not name_of(line).startswith("ros-")]
    has = probe(environment, sorted({module_of(line) for line in lines}))
    lines = [line for line in lines if module_of(line) not in has["modules"]]
    constraints = [f"numpy=={has['numpy']}"] if has["numpy"] else []
    return [line.replace("==", "<=", 1) for line in lines], constraints


def check_compiler(python, environment):
    """Raise SetupError when PyBullet would have to be compiled and cannot be."""
    has = probe(environment, ["pybullet"])
    wheel = tuple(python["version"][:2]) in PYBULLET_WHEELS and platform.machine() == "x86_64"
    if wheel or "pybullet" in has["modules"]:
        return
    version = dotted(python["version"][:2])
    missing = [] if shutil.which(os.environ.get("CXX", "g++")) else ["g++"]
    if not has["headers"]:
        missing.append(f"python{version}-dev")
    if missing:
        raise SetupError(
            f"PyBullet is not ready-made for Python {version} here and has to be compiled, for "
            f"which {' and '.join(missing)} is missing.\nInstall it (Debian, Ubuntu: sudo apt "
            f"install {' '.join(missing)}), or use another Python: make setup PYTHON=python3.11"
        )
    say(f"PyBullet is not ready-made for Python {version}: compiling it once, for some minutes")


def install_requirements(lines, constraints, environment):
    (STATE / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    (STATE / "constraints.txt").write_text("".join(f"{line}\n" for line in constraints))
    if not lines:
        return
    say(f"installing {len(lines)} packages and what they need into .venv")
    log = STATE / "pip.log"
    log.write_bytes(b"")
    options = ["--constraint", str(STATE / "constraints.txt")]
    options += shlex.split(os.environ.get("PIP_ARGS", ""))
    # PyBullet, where it is compiled, needs these in place: without numpy its camera is slow.
    first = [line for line in lines if name_of(line) in ("numpy", "setuptools")]
    if first:
        pip([*options, *first], log, environment)
    rest = ["--no-build-isolation", "--requirement", str(STATE / "requirements.txt")]
    pip([*options, *rest], log, environment)


def pip(arguments, log, environment):
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    if run_logged([*command, *arguments], log, environment):
        text = re.sub(
            r"(?m)^(Requirement already satisfied|Looking in).*\n",
            "",
            log.read_text(errors="replace"),
        )
        raise SetupError(f"pip failed ({log}):\n{tail(text)}\n{pip_advice(text)}")


def pip_advice(text):
    """Return what to do after pip failed with the output `text`."""
    if "No space left" in text:
        return f"The disk is full: free some space (about {DISK_GB} GB), then run this again."
    if re.search(UNREACHABLE, text):
        return (
            "The package index could not be reached. Check the network (behind a proxy: "
            "HTTPS_PROXY; with an index of your own: PIP_INDEX_URL), then run this again."
        )
    if "No matching distribution" in text:
        return (
            "There is no such package for this machine and Python. Try another Python (make setup "
            "PYTHON=python3.11) or a further index (PIP_ARGS='--extra-index-url ...')."
        )
    return "Run this again once that is mended: what is installed already is kept."


def check_imports(environment):
    """Import what matters, so that a broken installation is noticed here and not in a node."""
    code = "import cv2, h5py, numpy, pybullet, rclpy, safetensors, sensor_msgs.msg, torch\n"
    code += "print('numpy in pybullet:', pybullet.isNumpyEnabled())"
    log = STATE / "imports.log"
    log.write_bytes(b"")
    failed = run_logged([PYTHON, "-c", code], log, environment)
    output = log.read_text(errors="replace")
    if failed:
        raise SetupError(
            f"what was installed does not load:\n{tail(output)}\n"
            "To start afresh: rm -rf .venv && make setup"
        )
    if "numpy in pybullet: 0" in output:
        say("note: this PyBullet was compiled without numpy, which makes its camera slow")


def install_ros2_pip(ros, environment):
    """Install the `ros2` command of tools/ros2_pip where there is no genuine one."""
    if not (ROS2_PIP / "pyproject.toml").exists():
        return
    wanted = digest(path for path in sorted(ROS2_PIP.rglob("*")) if is_source(path))
    stamp = STATE / "ros2_pip"
    if stamp.exists() and stamp.read_text() in (wanted, "genuine"):
        return
    has = probe(environment, LAUNCH_MODULES)
    if has["modules"] and not has["ros2_pip"]:
        missing = [name for name in LAUNCH_MODULES if name not in has["modules"]]
        if missing:
            hint = f"\nInstall: sudo apt install {ros.apt_names(missing)}" if ros else ""
            raise SetupError(f"part of `ros2 launch` is here, but not {', '.join(missing)}.{hint}")
        stamp.write_text("genuine")
        return
    check_writable(STATE, ROS2_PIP)
    say("installing the ros2 command of tools/ros2_pip")
    stamp.write_text("")
    # A folder left by an earlier build would put removed modules back.
    shutil.rmtree(str(ROS2_PIP / "build"), ignore_errors=True)
    log = STATE / "ros2_pip.log"
    log.write_bytes(b"")
    options = ["--no-deps", "--no-build-isolation", "--force-reinstall"]
    pip([*options, str(ROS2_PIP)], log, environment)
    stamp.write_text(wanted)


def is_source(path):
    """Return whether what pip installs from tools/ros2_pip depends on this file."""
    parts = path.relative_to(ROS2_PIP).parts
    made = any(part in ("build", "__pycache__") or part.endswith(".egg-info") for part in parts)
    hidden = any(part.startswith(".") for part in parts)
    return path.is_file() and not (made or hidden or parts[0] in ("test", "tests"))


# --- building -----------------------------------------------------------------------------------


def build_fingerprint():
    """Return a hash of all that the built package depends on.

    It is built with links into the sources, so that only the names of most files matter.
    """
    described = [ROOT / name for name in ("package.xml", "setup.cfg", "setup.py")]
    linked = [ROOT / "resource" / "wm_mpc"]
    for pattern in ("launch/*.py", "config/*", "checkpoints/**/*.safetensors"):
        linked += sorted(ROOT.glob(pattern))
    total = hashlib.sha256(digest(described).encode())
    total.update("\0".join(str(path) for path in linked).encode())
    total.update((STATE / "state.json").read_bytes())
    return total.hexdigest()


def build(environment):
    """Build with colcon if anything that matters has changed; return whether it had."""
    fingerprint = build_fingerprint()
    stamp = STATE / "built"
    installed = (ROOT / "install" / "setup.bash").exists()
    if installed and stamp.exists() and stamp.read_text() == fingerprint:
        return False
    check_writable(ROOT, STATE, ROOT / "build", ROOT / "install", ROOT / "log")
    say("building the package with colcon")
    # Anew, so that nothing removed from the sources stays installed.
    for folder in (ROOT / "build", ROOT / "install"):
        shutil.rmtree(str(folder), ignore_errors=True)
    stamp.write_text("")
    log = STATE / "colcon.log"
    log.write_bytes(b"")
    # As a module of this interpreter, so that the executables are run by it too.
    command = [PYTHON, "-m", "colcon", "build", "--symlink-install", "--paths", ROOT]
    command += ["--event-handlers", "console_direct+", "console_stderr-"]
    failed = run_logged(command, log, environment)
    text = log.read_text(errors="replace")
    if failed:
        raise SetupError(f"colcon build failed ({log}):\n{tail(text)}")
    hook = ROOT / "install" / "wm_mpc" / "share" / "wm_mpc" / "hook" / "ament_prefix_path.sh"
    if not hook.exists():
        raise SetupError("colcon does not accept package.xml and took wm_mpc for plain Python.")
    stamp.write_text(fingerprint)
    return True


# --- helpers ------------------------------------------------------------------------------------


def run_logged(command, log, environment):
    """Run `command` with its output appended to `log`; return its exit code."""
    started = time.monotonic()
    watched = sys.stdout.isatty()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=str(ROOT),
            env=environment,
        )
    try:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if watched:
                    print(f"\r[setup] {time.monotonic() - started:.0f} s", end="", flush=True)
    finally:
        if watched:
            print("\r\033[K", end="", flush=True)
        if process.returncode is None:
            process.terminate()
            process.wait()


def tail(text, lines=20):
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"    {line}" for line in kept)


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
    except SetupError as error:
        print(f"[setup] cannot go on: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"[setup] cannot go on: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("[setup] interrupted; run it again to continue", file=sys.stderr)
        sys.exit(130)
