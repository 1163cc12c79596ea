"""How the compiled inner loop comes to be, and what happens where it cannot."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wm_mpc.native import compiler, library

ASK = "from wm_mpc.native.library import library, why_not; print(library() is not None, why_not())"
has_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("c++", "g++", "clang++")), reason="no C++ compiler here"
)


def asked(tmp_path, *, code=ASK, user=None, **environment):
    """What a fresh process prints, with a cache of its own, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        user=user,
    )
    return done.stdout.strip(), done.stderr


def ask(tmp_path, **environment):
    """What a fresh process says, with a cache of its own."""
    return asked(tmp_path, **environment)[0]


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "wm_mpc").glob("*"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The library that the first process compiles and keeps, under the name it is looked for."""
    cache = tmp_path_factory.mktemp("compiled")
    assert ask(cache) == "True"
    return cache / "wm_mpc" / compiler.file_name()


@pytest.fixture(scope="module")
def quick(compiled):
    """A compiler that gives in a moment what the real one gave."""
    raw = compiled.parents[1] / "raw.so"
    raw.write_bytes(unsealed(compiled.read_bytes()))
    script = raw.with_name("quick")
    script.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nexec cp "{raw}" "$2"\n')
    script.chmod(0o755)
    return str(script)


@has_compiler
def test_is_compiled_once_and_kept(compiled):
    cache = compiled.parents[1]
    assert kept(cache) == [compiled.name]
    assert compiled.suffix == ".so"
    stamp = compiled.stat().st_mtime_ns
    assert ask(cache, CXX="") == "True"
    assert kept(cache) == [compiled.name]
    assert compiled.stat().st_mtime_ns == stamp


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
def test_a_user_without_a_home_is_no_obstacle(quick, tmp_path):
    assert ask(tmp_path, CXX=quick, XDG_CACHE_HOME="~no_such_user/cache") == "True"


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
def test_a_folder_others_can_write_to_is_not_trusted(quick, tmp_path):
    folder = tmp_path / "wm_mpc"
    folder.mkdir()
    folder.chmod(0o777)
    assert ask(tmp_path, CXX=quick) == "True"
    assert list(folder.iterdir()) == []


def foreign(content):
    """The same for a processor of another kind, with a seal that fits."""
    body = bytearray(content[: -(len(compiler._SEAL) + 32)])
    body[18:20] = (40).to_bytes(2, "little")  # e_machine: a 32-bit arm
    return bytes(body) + compiler._SEAL + hashlib.sha256(body).digest()


def unsealed(content):
    return content[: -(len(compiler._SEAL) + 32)]


DAMAGES = {
    "nothing": lambda content: b"",
    "one byte": lambda content: content[:1],
    "header only": lambda content: content[:64],
    "cut short": lambda content: content[: len(content) // 2],
    "last page missing": lambda content: content[:-4096],
    "one bit": lambda content: bytes([*content[:5000], content[5000] ^ 1, *content[5001:]]),
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"no library at all\n" * 100,
    "of another version": unsealed,
    "of another processor": foreign,
    "sealed text": lambda _: b"text" + compiler._SEAL + hashlib.sha256(b"text").digest(),
}


@has_compiler
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_library_is_made_again(damage, compiled, quick, tmp_path):
    folder = tmp_path / "wm_mpc"
    folder.mkdir(mode=0o700)
    kept_there = folder / compiled.name
    kept_there.write_bytes(damage(compiled.read_bytes()))
    told, logged = asked(tmp_path, CXX=quick)
    assert told == "True"
    assert "is damaged" in logged
    assert compiler.is_whole(kept_there)
    assert asked(tmp_path, CXX="none") == ("True", "")


@has_compiler
def test_a_damaged_library_without_a_compiler_is_a_reason(compiled, tmp_path):
    (tmp_path / "wm_mpc").mkdir(mode=0o700)
    (tmp_path / "wm_mpc" / compiled.name).write_bytes(compiled.read_bytes()[:-100])
    assert ask(tmp_path, CXX="no-such").startswith("False no C++ compiler found")


@has_compiler
@pytest.mark.parametrize("without", [{"PATH": "/none"}, {"CXX": "no-such-compiler"}], ids=str)
def test_a_kept_library_needs_no_compiler(compiled, tmp_path, without):
    (tmp_path / "wm_mpc").mkdir(mode=0o700)
    shutil.copy(compiled, tmp_path / "wm_mpc")
    assert asked(tmp_path, **without) == ("True", "")


@has_compiler
def test_an_installed_library_needs_neither_compiler_nor_cache(compiled, tmp_path):
    code = f"""
from pathlib import Path
from wm_mpc.native import library as module
module.INSTALLED = Path({str(compiled.parent)!r})
{ASK}"""
    nothing = asked(tmp_path, code=code, XDG_CACHE_HOME="/dev/null/none", CXX="no-such-compiler")
    assert nothing == ("True", "")


@has_compiler
@pytest.mark.parametrize(
    "words", ["{wrapper} {quick}", "  {wrapper}  {quick} -O2 ", "'{wrapper}' '{quick}'"]
)
def test_a_compiler_may_be_several_words(words, quick, tmp_path):
    wrapper = tmp_path / "my cache" if words.startswith("'") else tmp_path / "ccache"
    wrapper.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/asked"\nexec "$@"\n')
    wrapper.chmod(0o755)
    assert ask(tmp_path, CXX=words.format(wrapper=wrapper, quick=quick)) == "True"
    assert (tmp_path / "asked").read_text().startswith(f"{quick} ")


@pytest.mark.parametrize("words", ["no-such-cache g++", "'g++", "g++-that-is-not-there -O2"])
def test_words_that_are_no_compiler_are_named(words, tmp_path):
    answer = ask(tmp_path, CXX=words)
    assert answer.startswith("False ")
    assert words.split()[0].strip("'") in answer


@has_compiler
def test_a_compiler_that_does_not_know_this_processor_is_asked_again(quick, tmp_path):
    wrapper = tmp_path / "old"
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *march=native*) echo "error: bad -march" >&2; exit 1;; esac\n'
        f'exec {quick} "$@"\n'
    )
    wrapper.chmod(0o755)
    assert ask(tmp_path, CXX=str(wrapper)) == "True"


@has_compiler
def test_processes_that_compile_at_once_do_not_disturb_each_other(quick, tmp_path):
    wrapper = tmp_path / "slow"
    wrapper.write_text(f'#!/bin/sh\necho >> "{tmp_path}/asked"\nsleep 1\nexec "{quick}" "$@"\n')
    wrapper.chmod(0o755)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CXX": str(wrapper)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASK], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    assert [process.communicate(timeout=120) for process in running] == [("True \n", "")] * 3
    assert (tmp_path / "asked").read_text() == "\n" * 3, "all compiled"
    assert kept(tmp_path) == [compiler.file_name()]
    assert compiler.is_whole(tmp_path / "wm_mpc" / compiler.file_name())


@has_compiler
def test_a_cache_that_cannot_be_made_is_named(quick, tmp_path):
    told, logged = asked(tmp_path, XDG_CACHE_HOME="/dev/null/none", CXX=quick)
    assert told == "True"
    assert "serves this process only: there is no cache folder /dev/null/none/wm_mpc" in logged


@has_compiler
def test_a_cache_that_others_can_write_to_is_named(quick, tmp_path):
    (tmp_path / "wm_mpc").mkdir()
    (tmp_path / "wm_mpc").chmod(0o777)
    assert f"others may write into the cache folder {tmp_path}" in asked(tmp_path, CXX=quick)[1]


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    folder, reason = library._cache()
    assert folder == tmp_path / "wm_mpc"
    assert reason == f"the cache folder {folder} cannot be written to"


@has_compiler
def test_the_package_is_installed_with_its_compiled_inner_loop(quick, tmp_path):
    done = install(tmp_path, CXX=quick)
    assert done.returncode == 0, done.stderr
    (made,) = (tmp_path / "lib" / "wm_mpc" / "native" / "built").glob("*")
    assert made.name == compiler.file_name()
    assert compiler.is_whole(made)


def test_the_package_is_installed_without_a_compiler_too(tmp_path):
    done = install(tmp_path, CXX="no-such-compiler")
    assert done.returncode == 0
    assert "the inner loop of planning is not compiled now: no C++ compiler found" in done.stderr
    assert (tmp_path / "lib" / "wm_mpc" / "native" / "planner.cpp").is_file()


def install(target, **environment):
    """What colcon and pip run to put the package's files into a folder."""
    root = Path(compiler.__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", str(target)],
        cwd=root, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_sources_are_installed_with_the_package():
    import wm_mpc.native

    folder = Path(wm_mpc.native.__file__).parent
    assert {path.name for path in folder.iterdir()} >= {
        "planner.cpp", "objective.h", "model.h", "gru.h", "transformer.h", "attention.h",
        "linear.h",
    }  # fmt: skip
