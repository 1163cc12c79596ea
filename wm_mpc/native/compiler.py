"""Make the compiled library: find a compiler, compile, and add a checksum.

`library.py` uses this module on first use, and setup.py when the package is installed. This module
and `atomic` import only Python's own modules, so an installation needs nothing else.
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
_SOURCES = (
    "planner.cpp", "objective.h", "gru.h", "transformer.h", "attention.h", "model.h", "vision.h",
    "linear.h",
)  # fmt: skip
FLAGS = (
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC",
)  # fmt: skip
# First for this processor. A compiler that cannot detect it makes code for all of its kind.
_TUNING: tuple[tuple[str, ...], ...] = (("-march=native",), ())
_COMPILERS = ("c++", "g++", "clang++")
_TIMEOUT = 120.0  # s for the compiler
_SEAL = b"wm_mpc"  # stands after the library and before the checksum


class CompileError(Exception):
    """Says why there is no library."""


def file_name() -> str:
    """Return the name of the library for these sources and this processor, with any compiler."""
    sources = {name: (_FOLDER / name).read_bytes() for name in _SOURCES}
    key = hashlib.sha256(repr((sources, FLAGS, _processor())).encode()).hexdigest()[:24]
    return f"planner-{key}.so"


def _processor() -> str:
    """What the machine code depends on, because several machines may share a home."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return f"{platform.machine()} {line}"
    return f"{platform.machine()} {platform.node()}"


def find_compiler() -> list[str]:
    """Find the command that compiles, as words.

    It comes from the environment variable CXX, such as "ccache g++". Without it, the first
    installed compiler counts.

    Raises:
        CompileError: There is no compiler.
    """
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
    """Compile the library into a file, completely or not at all. Several processes may do so at
    once.

    Args:
        path: Path of the file.
        compiler: Words of the command; None: `find_compiler`.
        tuning: Sets of flags, tried one after another.

    Raises:
        CompileError: The compiler is missing, or failed.
        OSError: The file cannot be written.
    """
    command = list(find_compiler() if compiler is None else compiler)
    with replacing(path) as temporary:
        temporary.touch()  # if this fails, it is not the compiler's fault
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
    """Run a compiler; returns why it failed, in a line, or an empty text."""
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
    """Add the checksum that `is_whole` checks.

    A loader ignores what follows a library. But a truncated library kills the process that uses it.
    """
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(_SEAL + hashlib.sha256(content).digest())
        file.flush()
        os.fsync(file.fileno())


def is_whole(path: Path) -> bool:
    """Whether a file is a complete library from `build`.

    Args:
        path: Path of the file.

    Raises:
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    size = len(_SEAL) + hashlib.sha256().digest_size
    body, seal = content[:-size], content[-size:]
    return bool(body) and seal == _SEAL + hashlib.sha256(body).digest()
