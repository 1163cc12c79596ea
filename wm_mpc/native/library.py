"""The compiled inner loop: made once on this machine, for this processor, and kept.

It is made when the package is installed where there is a compiler (setup.py), else on the first
use, which then waits some seconds, once on a machine; a node therefore calls `library` before it
plans. Where there is no compiler, planning runs on PyTorch, and `why_not` says so.
"""

from __future__ import annotations

import ctypes
import logging
import os
import tempfile
import threading
from pathlib import Path

from wm_mpc.native.compiler import CompileError, build, file_name, is_whole

INSTALLED = Path(__file__).with_name("built")  # where setup.py puts it
SWITCH = "WM_MPC_NATIVE"  # environment variable; 0: never

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_is_decided = False
_library: ctypes.CDLL | None = None
_reason = ""


def library() -> ctypes.CDLL | None:
    """The library; None where there can be none (see `why_not`). The first call loads it, or
    compiles it when it is nowhere kept."""
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


def _loaded() -> ctypes.CDLL:
    if os.environ.get(SWITCH, "1") == "0":
        raise CompileError(f"the environment variable {SWITCH} is 0")
    name = file_name()
    folder, reason = _cache()
    places = [INSTALLED] if folder is None else [INSTALLED, folder]
    for place in places:
        found = _load(place / name)
        if found is not None:
            return found
    if folder is not None and not reason:
        build(folder / name)
        found = _load(folder / name)
    else:
        with tempfile.TemporaryDirectory(prefix="wm_mpc-") as private:
            build(Path(private) / name)
            _log.warning("the compiled inner loop serves this process only: %s", reason)
            found = _load(Path(private) / name)
    if found is None:
        raise CompileError("the library that was just compiled cannot be loaded")
    return found


def _load(path: Path) -> ctypes.CDLL | None:
    """A kept library; None where there is none, or a damaged one, which is made again."""
    try:
        if not is_whole(path):
            raise OSError("it is not whole")
        found = ctypes.CDLL(str(path))
        if int(found.wm_mpc_panel()) < 1:
            raise AttributeError("wm_mpc_panel")
    except FileNotFoundError:
        return None
    except (OSError, AttributeError) as error:
        _log.warning("the compiled inner loop in %s is damaged: %s", path, error)
        return None
    return found


def _cache() -> tuple[Path | None, str]:
    """A folder of libraries that only this user, or root, can write to; None where there is none.
    And why this process cannot write into it; empty where it can."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(home).expanduser() / "wm_mpc"  # RuntimeError: a user without a home
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError) as error:
        return None, f"there is no cache folder {home}/wm_mpc ({error})"
    if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
        return None, f"others may write into the cache folder {folder}, which is not trusted"
    if not os.access(folder, os.W_OK | os.X_OK):
        return folder, f"the cache folder {folder} cannot be written to"
    return folder, ""
