"""What a recorder that was killed left behind is read as far as it is whole."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from wm_mpc.data.bag import Bag, BagError


COUNT = 40


def recorded(bags, path, *, compressed=False):
    """A finished recording of several chunks; its file."""
    make, name = bags.Make(), "sensor_msgs/msg/Image"
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    if compressed:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", name, typestore=bags.STORE)
        for k in range(COUNT):
            message = make.image(float(k), bags.gray(k, 200, 200))
            data = bags.STORE.serialize_cdr(message, name)
            writer.write(connection, (100 + k) * bags.SECOND, data)
    return path / f"{path.name}.mcap"


def values(path):
    with Bag(path) as bag:
        return bag.recovered, [int(m.message.data[0]) for m in bag.messages(["/image"])]


@pytest.mark.parametrize("compressed", [False, True])
def test_whole_chunks_of_a_killed_recording_are_read(bags, tmp_path, compressed):
    file = recorded(bags, tmp_path / "bag", compressed=compressed)
    share = 0.8 if not compressed else 0.99
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    (tmp_path / "bag" / "metadata.yaml").unlink()
    for path in (tmp_path / "bag", file):
        recovered, numbers = values(path)
        assert 0 < recovered == len(numbers) <= COUNT
        assert numbers == list(range(recovered))


def test_the_recording_itself_is_left_as_it_is(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    cut = file.read_bytes()[:-1000]
    file.write_bytes(cut)
    values(file)
    assert file.read_bytes() == cut
    assert {path.name for path in file.parent.iterdir()} == {"bag.mcap", "metadata.yaml"}


def test_a_finished_recording_is_not_recovered(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    assert unfinished(file) is None
    assert unfinished(tmp_path / "bag") is None
    assert values(tmp_path / "bag") == (0, list(range(COUNT)))


def test_a_recording_without_a_whole_chunk_is_refused(bags, tmp_path):
    file = recorded(bags, tmp_path / "bag")
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(BagError, match="holds no messages"):
        Bag(file)


@pytest.fixture(scope="module")
def whole(bags, tmp_path_factory):
    return recorded(bags, tmp_path_factory.mktemp("whole") / "bag").read_bytes()


@given(share=st.floats(0.0, 1.0), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255))))
def test_damage_of_any_kind_is_read_or_refused_in_words(whole, share, flips):
    data = bytearray(whole[: int(share * len(whole))])
    for place, change in flips:
        if data:
            data[min(int(place * len(data)), len(data) - 1)] ^= change
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.mcap"
        file.write_bytes(data)
        with contextlib.suppress(BagError), Bag(file) as bag:
            list(bag.messages(["/image"]))


def test_garbage_after_the_beginning_is_no_recording(tmp_path):
    file = tmp_path / "a.mcap"
    file.write_bytes(b"\x89MCAP0\r\n" + bytes([3, 9, 0, 0, 0, 0, 0, 0, 0]) + b"\xff" * 9)
    with pytest.raises(ValueError, match="make no sense"):
        recover(file, tmp_path / "out")
