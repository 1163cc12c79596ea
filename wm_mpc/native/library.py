"""The compiled inner loop: made once on this machine, for this processor, and kept in a cache.

The first use waits for the compiler, a few seconds, once on a machine; a node therefore calls
`library` before it plans. Where there is no compiler, planning runs on PyTorch, and `why_not` says
so.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_SOURCES = ("planner.cpp", "objective.h", "rollout.h", "vision.h", "linear.h")
_FLAGS = (
    "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared",
    "-fPIC",
)  # fmt: skip
_COMPILERS = ("c++", "g++", "clang++")
_TIMEOUT = 120.0  # s, for the compiler
SWITCH = "WM_MPC_NATIVE"  # environment variable; 0: never

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_is_decided = False
_library: ctypes.CDLL | None = None
_reason = ""


def library() -> ctypes.CDLL | None:
    """The library; None where there can be none (see `why_not`). The first call loads it, or
    compiles it when it is not in the cache."""
    global _is_decided, _library, _reason
    with _lock:
        if not _is_decided:
            _is_decided = True
            try:
                _library = _loaded()
            except Exception as error:  # whatever it is: there is another way to plan
                _reason = str(error) or repr(error)
                _log.warning("planning runs on PyTorch, without compiled inner loop: %s", _reason)
    return _library


def why_not() -> str:
    """Why `library()` is None, for a person; empty when it is not."""
    library()
    return _reason


class _NoLibraryError(Exception):
    """Says why there is none."""


def _loaded() -> ctypes.CDLL:
    if os.environ.get(SWITCH, "1") == "0":
        raise _NoLibraryError(f"the environment variable {SWITCH} is 0")
    sources = {name: Path(__file__).with_name(name).read_bytes() for name in _SOURCES}
    compiler = _compiler()
    key = hashlib.sha256(repr((sources, _FLAGS, compiler, _processor())).encode()).hexdigest()[:24]
    with _cache() as folder:
        path = folder / f"planner-{key}.so"
        if not path.exists():
            if compiler is None:
                raise _NoLibraryError(
                    f"no C++ compiler found (looked for {', '.join(_COMPILERS)}; install g++, or "
                    "name one in the environment variable CXX)"
                )
            _compile(compiler, path)
        return ctypes.CDLL(str(path))


def _compiler() -> str | None:
    names = (os.environ["CXX"],) if os.environ.get("CXX") else _COMPILERS
    return next((found for name in names if (found := shutil.which(name))), None)


def _processor() -> str:
    """What the machine code depends on: homes are shared between machines."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.node()}"


@contextlib.contextmanager
def _cache() -> Iterator[Path]:
    """A folder that only this user can write to; one for this process where there is no other."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(home).expanduser() / "wm_mpc"  # RuntimeError: a user without a home
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_safe = folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o022
        if not is_safe or not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except (OSError, RuntimeError):
        with tempfile.TemporaryDirectory(prefix="wm_mpc-") as private:
            yield Path(private)
        return
    yield folder


def _compile(compiler: str, path: Path) -> None:
    source = Path(__file__).with_name(_SOURCES[0])
    handle, name = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        done = subprocess.run(
            [compiler, *_FLAGS, "-o", name, str(source)],
            capture_output=True, text=True, errors="replace", timeout=_TIMEOUT,
        )  # fmt: skip
        if done.returncode:
            message = (done.stderr.strip() or "no message").splitlines()
            raise _NoLibraryError(f"{compiler} failed: {message[0]}")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
