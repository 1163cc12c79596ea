"""The compiled library of the inner loop: made once for this processor, and kept.

It is made when the package is installed and there is a compiler (setup.py), or else on first use.
The first use then waits some seconds, once per machine. So a node calls `library` before it plans.
Without a compiler, planning runs on PyTorch, and `why_not` says so.
"""

from __future__ import annotations

import ctypes
import logging
import os
import tempfile
import threading
from pathlib import Path

from wm_mpc.native.compiler import CompileError, build, file_name, is_whole

INSTALLED = Path(__file__).with_name("built")  # setup.py puts the library here
SWITCH = "WM_MPC_NATIVE"  # environment variable; 0: never use the library

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_is_decided = False
_library: ctypes.CDLL | None = None
_reason = ""


def library() -> ctypes.CDLL | None:
    """Return the library, or None if there is none (see `why_not`).

    The first call loads the library, or compiles it if it was not kept.
    """
    global _is_decided, _library, _reason
    with _lock:
        if not _is_decided:
            _is_decided = True
            try:
                _library = _loaded()
            except Exception as error:  # any error: planning also works without the library
                _reason = str(error) or repr(error)
                _log.warning("planning runs on PyTorch, without compiled inner loop: %s", _reason)
    return _library


def why_not() -> str:
    """Say why `library()` is None, for people; empty if it is not."""
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
    """A kept library; None if it is missing or damaged. It is then made again."""
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
    """A folder that only this user, or root, can write to, or None; and why this process cannot
    write.

    The second text is empty if it can write.
    """
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(home).expanduser() / "wm_mpc"  # RuntimeError if the user has no home
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError) as error:
        return None, f"there is no cache folder {home}/wm_mpc ({error})"
    if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
        return None, f"others may write into the cache folder {folder}, which is not trusted"
    if not os.access(folder, os.W_OK | os.X_OK):
        return folder, f"the cache folder {folder} cannot be written to"
    return folder, ""
