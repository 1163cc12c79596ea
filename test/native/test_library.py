"""How the compiled inner loop comes to be, and what happens where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "from wm_mpc.native.library import library, why_not; print(library() is not None, why_not())"
has_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("c++", "g++", "clang++")), reason="no C++ compiler here"
)


def ask(tmp_path, **environment):
    """What a fresh process says, with a cache of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "wm_mpc").glob("*"))


@has_compiler
def test_is_compiled_once_and_kept(tmp_path):
    assert ask(tmp_path) == "True"
    first = kept(tmp_path)
    assert len(first) == 1
    assert first[0].endswith(".so")
    stamp = (tmp_path / "wm_mpc" / first[0]).stat().st_mtime_ns
    assert ask(tmp_path, CXX="") == "True"
    assert kept(tmp_path) == first
    assert (tmp_path / "wm_mpc" / first[0]).stat().st_mtime_ns == stamp


def test_without_a_compiler_it_says_so(tmp_path):
    answer = ask(tmp_path, CXX="no-such-compiler")
    assert answer.startswith("False no C++ compiler found")
    assert "install g++" in answer


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'cannot do that' >&2\nexit 3\n")
    broken.chmod(0o755)
    assert ask(tmp_path, CXX=str(broken)) == f"False {broken} failed: cannot do that"
    assert kept(tmp_path) == []


def test_a_compiler_that_stammers_is_no_obstacle_to_planning(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nprintf 'cannot \\377 that' >&2\nexit 3\n")
    broken.chmod(0o755)
    assert ask(tmp_path, CXX=str(broken)).startswith(f"False {broken} failed: cannot ")


@has_compiler
def test_a_user_without_a_home_is_no_obstacle(tmp_path):
    assert ask(tmp_path, XDG_CACHE_HOME="~no_such_user/cache") == "True"


def test_whatever_goes_wrong_is_a_reason(monkeypatch):
    from wm_mpc.native import library as module

    def fail():
        raise KeyError

    for name, value in (("_is_decided", False), ("_library", None), ("_reason", "")):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "_loaded", fail)
    assert module.library() is None
    assert module.why_not() == "KeyError()"
    assert module.library() is None


def test_can_be_switched_off(tmp_path):
    assert ask(tmp_path, WM_MPC_NATIVE="0") == "False the environment variable WM_MPC_NATIVE is 0"


@has_compiler
@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_is_no_obstacle(tmp_path):
    (tmp_path / "wm_mpc").mkdir(mode=0o500)
    assert ask(tmp_path) == "True"


@has_compiler
def test_a_folder_others_can_write_to_is_not_trusted(tmp_path):
    folder = tmp_path / "wm_mpc"
    folder.mkdir()
    folder.chmod(0o777)
    assert ask(tmp_path) == "True"
    assert list(folder.iterdir()) == []


def test_the_sources_are_installed_with_the_package():
    import wm_mpc.native

    folder = Path(wm_mpc.native.__file__).parent
    assert {path.name for path in folder.iterdir()} >= {
        "planner.cpp", "objective.h", "rollout.h", "linear.h",
    }  # fmt: skip
