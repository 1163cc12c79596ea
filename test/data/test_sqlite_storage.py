"""sqlite3 recordings in every journal mode, running, killed and damaged."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys

import pytest

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_accounts import accounts, unexplained
from wm_mpc.data.storage import sqlite

COUNT = 300
WRITER = """
import sqlite3, sys
path, mode, lock = sys.argv[1:]
connection = sqlite3.connect(path, isolation_level=None)
print(connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0], flush=True)
connection.execute("PRAGMA wal_autocheckpoint=0")
connection.execute("PRAGMA cache_size=2")
connection.execute(f"BEGIN {lock}")
connection.execute("INSERT INTO messages (topic_id, timestamp, data) "
                   "SELECT topic_id, timestamp + 1000000000000, data FROM messages")
if lock == "DEFERRED":
    connection.execute("COMMIT")
print("ready", flush=True)
sys.stdin.read()
"""


def recorded(bags, path, topics=("/a",), count=COUNT):
    """A finished file; big enough for many pages."""
    make = bags.Make()
    messages = [
        (topic, 100.0 + k, make.twist(vx=float(k))) for k in range(count) for topic in topics
    ]
    return bags.write_bag(path, messages, "sqlite3") / f"{path.name}.db3"


def read(path, topic="/a"):
    with Bag(path) as bag:
        return [round(item.message.linear.x) for item in bag.messages([topic])]


class Writer:
    """A process that has more messages under way: committed, unless lock is EXCLUSIVE."""

    def __init__(self, file, mode, lock="DEFERRED"):
        command = [sys.executable, "-c", WRITER, str(file), mode, lock]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        assert self._process.stdout.readline()
        assert self._process.stdout.readline() == "ready\n"
        return self

    def kill(self):
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_):
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "WAL", "MEMORY", "OFF"])
def test_a_closed_file_is_read_in_every_journal_mode(bags, tmp_path, mode):
    file = recorded(bags, tmp_path / "bag")
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("UPDATE messages SET timestamp = timestamp + 1")
    connection.commit()
    connection.close()
    before = sorted(path.name for path in file.parent.iterdir())
    assert read(file) == list(range(COUNT))
    assert sorted(path.name for path in file.parent.iterdir()) == before


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("has_shared_memory", [True, False])
def test_what_a_killed_recorder_had_committed_is_read(bags, tmp_path, mode, has_shared_memory):
    file = recorded(bags, tmp_path / "bag")
    with Writer(file, mode) as writer:
        writer.kill()
    if not has_shared_memory:
        file.with_name("bag.db3-shm").unlink(missing_ok=True)
    content = {
        path.name: path.read_bytes() for path in file.parent.iterdir() if "shm" not in path.name
    }
    for path in (file, file.parent):
        assert read(path) == [*range(COUNT), *range(COUNT)]
    after = {
        path.name: path.read_bytes() for path in file.parent.iterdir() if "shm" not in path.name
    }
    assert after == content


def test_what_a_killed_recorder_had_not_committed_is_rolled_back(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    with Writer(file, "DELETE", "EXCLUSIVE") as writer:
        writer.kill()
    journal = file.with_name("bag.db3-journal")
    assert journal.stat().st_size  # of a transaction that has reached the file
    content = file.read_bytes()
    assert read(file) == list(range(COUNT))
    assert file.read_bytes() == content
    assert journal.exists()
    with Bag(file) as bag:
        assert any("bag.db3-journal" in remark for remark in bag.remarks)


def test_a_running_recorder_in_mode_wal_is_read_as_far_as_it_is(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    with Writer(file, "WAL"):
        assert read(file) == [*range(COUNT), *range(COUNT)]
    assert read(file) == [*range(COUNT), *range(COUNT)]


def test_a_file_that_a_running_recorder_locks_is_refused_in_words(bags, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_WAIT", 0.05)
    file = recorded(bags, tmp_path / "bag")
    with Writer(file, "DELETE", "EXCLUSIVE"):
        with pytest.raises(BagError, match="locked by another process; stop its recorder"):
            Bag(file)
        content = file.read_bytes()
    assert file.read_bytes() == content


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_folder_that_may_only_be_read_suffices(bags, tmp_path, mode, is_killed):
    file = recorded(bags, tmp_path / "bag")
    with Writer(file, mode) as writer:
        if is_killed:
            writer.kill()
            shutil.copytree(tmp_path / "bag", tmp_path / "copy")
    if not is_killed:
        sqlite3.connect(file).execute("PRAGMA wal_checkpoint").fetchall()
        shutil.copytree(tmp_path / "bag", tmp_path / "copy")
    for path in (tmp_path / "copy").iterdir():
        path.chmod(0o444)
    (tmp_path / "copy").chmod(0o555)
    try:
        assert read(tmp_path / "copy" / "bag.db3") == [*range(COUNT), *range(COUNT)]
    finally:
        (tmp_path / "copy").chmod(0o755)


def damage(file, share, pages=1):
    """Overwrite pages that hold messages with garbage."""
    (size,) = sqlite3.connect(file).execute("PRAGMA page_size").fetchone()
    data = bytearray(file.read_bytes())
    of_messages = [
        at for at in range(0, len(data), size)
        if data[at] == 0x0D and data.count(b"\0\1\0\0", at, at + size) > 9
    ]  # fmt: skip
    first = int(len(of_messages) * share)
    assert 0 < first < len(of_messages) - pages
    for at in of_messages[first : first + pages]:
        data[at : at + size] = b"\xa5" * size
    file.write_bytes(data)


@pytest.mark.parametrize(("share", "pages"), [(0.2, 1), (0.5, 1), (0.5, 5), (0.8, 2)])
def test_messages_on_damaged_pages_are_counted_and_all_others_read(bags, tmp_path, share, pages):
    file = recorded(bags, tmp_path / "bag", count=2000)
    damage(file, share, pages)
    with Bag(file) as bag:
        numbers = [round(item.message.linear.x) for item in bag.messages(["/a"])]
        lost = accounts(bag)["/a"].unreadable
        assert unexplained(bag, ["/a"]) == []
    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == 2000
    assert 10 < lost < 70 * pages


def test_damaged_pages_of_several_topics_are_counted_by_metadata_or_refused(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag", topics=("/a", "/b"), count=1000)
    damage(file, 0.5)
    with Bag(file) as bag:
        whole = len(list(bag.messages(["/a"])))
        assert 900 < whole < 1000
        assert "lie in damaged pages" in unexplained(bag, ["/a"])[0]
    with Bag(file.parent) as bag:
        assert accounts(bag)["/a"].unreadable == 1000 - whole
        assert unexplained(bag, ["/a"]) == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_file_that_was_cut_is_read_as_far_as_it_goes(bags, tmp_path, share):
    file = recorded(bags, tmp_path / "bag", count=2000)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with Bag(file) as bag:
        numbers = [round(item.message.linear.x) for item in bag.messages(["/a"])]
        assert 0.4 * share < len(numbers) / 2000 < 1
        assert numbers == sorted(set(numbers))
        assert unexplained(bag, ["/a"])[0].startswith("it was cut: its last")
    with Bag(file.parent) as bag:  # metadata.yaml counted them
        assert accounts(bag)["/a"].unreadable == 2000 - len(numbers)
        assert unexplained(bag, ["/a"]) == []


@pytest.mark.parametrize("tables", ["", "CREATE TABLE messages (id INTEGER)"])
def test_a_database_of_something_else_is_refused(tmp_path, tables):
    connection = sqlite3.connect(tmp_path / "a.db3")
    connection.executescript(tables or "CREATE TABLE other (id INTEGER)")
    connection.close()
    with pytest.raises(BagError, match="has no tables `topics` and `messages`"):
        Bag(tmp_path / "a.db3")


def test_names_with_odd_letters_are_no_obstacle(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag").rename(tmp_path / "a b?c#d%20.db3")
    assert read(file) == list(range(COUNT))
