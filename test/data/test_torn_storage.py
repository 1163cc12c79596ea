"""Storage files that end, or are damaged, anywhere: what is read is right, what is lost is said."""

from __future__ import annotations

import random
import sqlite3

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_accounts import accounts, check
from wm_mpc.data.storage.sqlite import SqliteFile
from wm_mpc.data.storage.stored import StorageError, UnreadableError

BYTES = "std_msgs/msg/ByteMultiArray"


def read(path):
    """The numbers of each topic, and what is said; None when the recording is refused."""
    try:
        with Bag(path) as bag:
            names = [name for name, topic in bag.topics.items() if not topic.left_out]
            found = {name: [] for name in names}
            for item in bag.messages(names):
                found[item.topic].append(round(item.message.linear.x))
            check(bag, names, accept=False)
            lost = sum(account.unreadable for account in accounts(bag).values())
            return found, bag.remarks or lost or bag.damaged or bag.recovered
    except BagError:
        return None


def recorded(bags, path, count=60):
    rows = [
        (name, 1000.0 + k, bags.Make().twist(vx=float(k)))
        for k in range(count)
        for name in ("/a", "/b")
    ]
    return next(bags.write_bag(path, rows, "sqlite3").glob("*.db3"))


@pytest.mark.parametrize("behind", ["nothing", "zeros", "junk", "old data"])
@pytest.mark.parametrize("kind", ["chunks", "zstd", "no checksums", "no chunks"])
def test_an_mcap_file_torn_anywhere_gives_right_messages_or_none(mcaps, tmp_path, kind, behind):
    how = {
        "chunks": {}, "zstd": {"compression": "zstd"}, "no checksums": {"checksum": False},
        "no chunks": {"chunk": None},
    }[kind]  # fmt: skip
    file, chance = tmp_path / "a.mcap", random.Random(f"{kind} {behind}")
    mcaps.write(file, mcaps.twists(60), **how)
    whole = file.read_bytes()
    for _ in range(15):
        cut = chance.randrange(9, len(whole))
        old = chance.randrange(len(whole))
        tail = {
            "nothing": b"", "zeros": bytes(chance.randrange(1, 5000)),
            "junk": chance.randbytes(chance.randrange(1, 500)), "old data": whole[old : old + 900],
        }[behind]  # fmt: skip
        file.write_bytes(whole[:cut] + tail)
        if (result := read(file)) is None:
            continue
        found, said = result
        assert said or all(len(numbers) == 60 for numbers in found.values())
        # Old data may happen to continue a message; no other tail may.
        for numbers in found.values() if behind != "old data" else ():
            assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("size", [300, 9000, 12388])
def test_no_message_of_a_sqlite_file_that_was_cut_is_made_up(bags, tmp_path, size):
    chance = np.random.default_rng(size)
    wanted = [chance.integers(0, 256, size, np.uint8).tobytes() for _ in range(40)]
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/a", BYTES, typestore=bags.STORE)
        for k, data in enumerate(wanted):
            writer.write(connection, k, data)
    whole = next((tmp_path / "bag").glob("*.db3")).read_bytes()
    cut, read_at_all = tmp_path / "cut.db3", 0
    for end in chance.integers(len(whole) // 2, len(whole), 20).tolist():
        cut.write_bytes(whole[:end])
        file = SqliteFile(cut)
        for channel, times in file.times.items():
            for time, place in zip(times, file.places[channel], strict=True):
                assert file.fetch(place) == wanted[time]
                read_at_all += 1
        file.close()
    assert read_at_all > 20 * 8


def test_flipped_bits_of_a_sqlite_file_never_lose_a_message_silently(bags, tmp_path):
    whole = recorded(bags, tmp_path / "bag").read_bytes()
    file, chance = tmp_path / "a.db3", random.Random(9)
    for _ in range(80):
        data = bytearray(whole)
        data[chance.randrange(16, len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        if (result := read(file)) is not None:
            found, said = result
            assert said or all(len(numbers) == 60 for numbers in found.values())


def test_a_page_that_lost_some_of_its_messages_is_noticed_by_their_numbers(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    data = bytearray(file.read_bytes())
    pages = range(0, len(data), 4096)
    page = [p for p in pages if data[p] == 13 and data[p + 4] > 20][-2]
    data[page + 4] -= 8  # fewer messages than there are
    file.write_bytes(data)
    with Bag(file) as bag:
        assert "8 messages are missing, by their numbers" in bag.unaccounted[0]


def test_messages_that_were_deleted_from_a_sqlite_file_are_said(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    connection = sqlite3.connect(file)
    connection.execute("DELETE FROM messages WHERE id BETWEEN 11 AND 15")
    connection.commit()
    connection.close()
    with Bag(file) as bag:
        assert bag.remarks == ["5 numbers are missing: their messages were deleted"]
        assert bag.unaccounted == []


@pytest.mark.parametrize("what", ["a name that is no text", "a topic without a number"])
def test_a_damaged_table_of_topics_is_one_sentence(bags, tmp_path, what):
    file = recorded(bags, tmp_path / "bag")
    connection = sqlite3.connect(file)
    if what == "a name that is no text":
        connection.execute("UPDATE topics SET name = CAST(X'2FFFFE' AS TEXT) WHERE id = 1")
    else:
        connection.executescript(
            "CREATE TABLE t AS SELECT * FROM topics; DROP TABLE topics; "
            "ALTER TABLE t RENAME TO topics; UPDATE topics SET id = NULL WHERE id = 1"
        )
    connection.commit()
    connection.close()
    if what == "a name that is no text":
        with Bag(file) as bag:
            assert bag.topics["/\ufffd\ufffd"].count == 60
    else:
        with pytest.raises(StorageError, match="its table of topics is damaged"):
            SqliteFile(file)


def test_a_row_that_is_gone_is_unreadable(bags, tmp_path):
    file = SqliteFile(recorded(bags, tmp_path / "bag"))
    with pytest.raises(UnreadableError, match="no longer there"):
        file.fetch(10_000)
    file.close()


def test_a_file_that_is_missing_by_the_numbers_of_the_others_is_said(bags, tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    for number in (0, 2, 3):
        recorded(bags, tmp_path / f"{number}", 10).rename(folder / f"split_{number}.db3")
    (folder / "split_4.db3").symlink_to(tmp_path / "nowhere.db3")
    with Bag(folder) as bag:
        assert "the numbers of its files show that some are missing: split_1.db3" in bag.remarks
        assert "split_4.db3 is a broken link and is left out" in bag.remarks
