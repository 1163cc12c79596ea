"""Makes the compiled library: finds a compiler, compiles, and seals the result with a checksum.

Used by `library.py` on first use, and by setup.py when the package is installed. It and
`atomic` import nothing but Python's own modules, so that an installation needs no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wm_mpc.atomic import replacing

_FOLDER = Path(__file__).parent
_SOURCES = ("planner.cpp", "objective.h", "rollout.h", "vision.h", "linear.h")
FLAGS = (
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC",
)  # fmt: skip
# For this processor; compilers that do not know how to look it up make code for all of its kind.
_TUNING: tuple[tuple[str, ...], ...] = (("-march=native",), ())
_COMPILERS = ("c++", "g++", "clang++")
_TIMEOUT = 120.0  # s, for the compiler
_SEAL = b"wm_mpc"  # before the checksum, behind the library


class CompileError(Exception):
    """Says why there is no library."""


def file_name() -> str:
    """Of the library made of these sources for this processor. Any compiler's will do."""
    sources = {name: (_FOLDER / name).read_bytes() for name in _SOURCES}
    key = hashlib.sha256(repr((sources, FLAGS, _processor())).encode()).hexdigest()[:24]
    return f"planner-{key}.so"


def _processor() -> str:
    """What the machine code depends on: homes are shared between machines."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return f"{platform.machine()} {line}"
    return f"{platform.machine()} {platform.node()}"


def find_compiler() -> list[str]:
    """The command that compiles, as words: that of the environment variable CXX, such as "ccache
    g++", else the first that is installed. Raises CompileError."""
    wanted = os.environ.get("CXX", "").strip()
    try:
        commands = [shlex.split(wanted)] if wanted else [[name] for name in _COMPILERS]
    except ValueError as error:
        raise CompileError(f"the environment variable CXX is {wanted!r}: {error}") from None
    for program, *words in commands:
        if (found := shutil.which(program)) is not None:
            return [found, *words]
    looked = ", ".join(program for program, *_ in commands)
    raise CompileError(
        f"no C++ compiler found (looked for {looked}; install g++, or name one in the environment "
        "variable CXX)"
    )


def build(
    path: Path,
    compiler: Sequence[str] | None = None,
    tuning: Sequence[Sequence[str]] = _TUNING,
) -> None:
    """Compile the library into a file: whole, or not at all. Several may do so at once. compiler:
    words of the command; None: `find_compiler`. tuning: flags to try, one set after another.
    Raises CompileError, and OSError where the file cannot be written."""
    command = list(find_compiler() if compiler is None else compiler)
    with replacing(path) as temporary:
        temporary.touch()  # where this fails, it is not the compiler's fault
        source = str(_FOLDER / _SOURCES[0])
        reasons = []
        for flags in tuning:
            reason = _run([*command, *FLAGS, *flags, "-o", str(temporary), source])
            if not reason:
                break
            reasons.append(reason)
        else:
            raise CompileError(f"{shlex.join(command)} failed: {reasons[0]}")
        _seal(temporary)
        temporary.chmod(0o755)


def _run(command: list[str]) -> str:
    """Why a compiler failed, in a line; empty when it did not."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {_TIMEOUT:g} s"
    except OSError as error:
        return str(error)
    if not done.returncode:
        return ""
    lines = done.stderr.strip().splitlines() or ["no message"]
    return next((line for line in lines if "error" in line), lines[0])


def _seal(path: Path) -> None:
    """Add what `is_whole` looks for. A loader does not care for what comes behind a library, but a
    library that is cut short ends the process that uses it."""
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(_SEAL + hashlib.sha256(content).digest())
        file.flush()
        os.fsync(file.fileno())


def is_whole(path: Path) -> bool:
    """Whether a file is a library as `build` left it. Raises OSError when it cannot be read."""
    content = path.read_bytes()
    size = len(_SEAL) + hashlib.sha256().digest_size
    body, seal = content[:-size], content[-size:]
    return bool(body) and seal == _SEAL + hashlib.sha256(body).digest()
