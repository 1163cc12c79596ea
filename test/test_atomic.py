"""Files appear whole or not at all, whatever happens to their writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from wm_mpc.atomic import remove_leftovers, replacing, write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"\x00\xff", "grün\n", "", b""])
def test_a_file_holds_what_was_written_and_nothing_else_stays(tmp_path, content):
    write(tmp_path / "a.json", "before")
    write(tmp_path / "a.json", content)
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "a.json").read_bytes() == expected
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_old_file_stays_when_the_writer_fails(tmp_path, error):
    write(tmp_path / "a", "old")

    def fail():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write(tmp_path / "nowhere" / "a", "new")


def test_the_umask_applies(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_threads_that_write_the_same_file_do_not_mix(tmp_path):
    texts = [letter * 100_000 for letter in "abcdefgh"]

    def work(text):
        for _ in range(5):
            write(tmp_path / "a", text)

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_text() in texts
    assert names(tmp_path) == ["a"]


def test_a_killed_writer_changes_nothing_and_what_it_left_is_removed(tmp_path):
    write(tmp_path / "a.json", "old")
    code = (
        "import sys, time, pathlib\nfrom wm_mpc.atomic import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    print('there', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "there\n"
        remove_leftovers(tmp_path)
        assert len(names(tmp_path)) == 2  # a living process keeps its file
        process.send_signal(signal.SIGKILL)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize("name", ["mine.tmp", "notes.x.tmp", "a.json", f"a.{os.getppid()}.tmp"])
def test_files_of_others_are_left_alone(tmp_path, name):
    (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [name]
