"""Of damaged MCAP files, and those a killed recorder left, all is read that is whole; what is not
is counted, or the import refuses."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_accounts import accounts, unexplained

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
    assert values(file) == (0, list(range(COUNT)))
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
    with pytest.raises(BagError, match="holds no messages; the record at byte 8 is left out"):
        Bag(file)


# ------------------------------------------------------------------------ every byte is accounted


@pytest.fixture
def small(mcaps, tmp_path):
    """A file of 8 chunks with 5 messages of /a and of /b each; changed by a function of its bytes
    and its layout. Gives the file."""

    def make(change, **options):
        file = tmp_path / "a.mcap"
        layout = mcaps.write(file, mcaps.twists(COUNT), **{"chunk": 10, **options})
        file.write_bytes(change(bytearray(file.read_bytes()), layout))
        return file

    return make


def read(mcaps, file, topic="/a"):
    """What is read, what is unreadable and what does not add up."""
    with Bag(file) as bag:
        numbers = [mcaps.value_of(item.message) for item in bag.messages([topic])]
        return numbers, accounts(bag)[topic].unreadable, unexplained(bag, [topic])


def flip(data, layout, number=3):
    data[layout.chunks[number][1] - 5] ^= 1
    return data


LEFT = [*range(15), *range(20, COUNT)]


@pytest.mark.parametrize("options", [{}, {"statistics": False}, {"message_index": False}])
@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
def test_a_chunk_with_a_wrong_checksum_is_left_out_and_its_messages_counted(
    mcaps, small, options, compression
):
    file = small(flip, compression=compression, **options)
    assert read(mcaps, file) == (LEFT, 5, [])
    with Bag(file) as bag:
        assert any("chunk" in remark for remark in bag.remarks)


def test_a_chunk_of_unknown_content_is_refused(mcaps, small):
    file = small(flip, message_index=False, statistics=False)
    numbers, _, reasons = read(mcaps, file)
    assert numbers == LEFT
    assert reasons == ["the number of messages in these parts is unknown"]


def test_a_chunk_half_of_which_is_zeros_is_left_out_even_without_a_checksum(mcaps, small):
    def zeros(data, layout):
        begin, end = layout.chunks[3]
        data[(begin + end) // 2 : end] = bytes(end - (begin + end) // 2)
        return data

    assert read(mcaps, small(zeros, checksum=False)) == (LEFT, 5, [])


def hole(data, layout):
    begin, end = layout.chunks[3]
    data[begin:end] = bytes(end - begin)
    return data


def test_behind_a_hole_reading_goes_on_at_the_next_chunk(mcaps, small):
    numbers, unreadable, reasons = read(mcaps, small(hole))
    assert (numbers, unreadable, reasons) == (LEFT, 5, [])
    numbers, _, reasons = read(mcaps, small(hole, statistics=False))
    assert numbers == LEFT
    assert "make no sense" in reasons[0]


def test_behind_a_hole_of_a_file_without_any_index_chunks_are_found(mcaps, small):
    def change(data, layout):
        return hole(data, layout)[: layout.data_end]

    numbers, _, reasons = read(mcaps, small(change, message_index=False))
    assert numbers == LEFT
    assert "make no sense" in reasons[0]


@pytest.mark.parametrize("chunk", [10, None])
@pytest.mark.parametrize("tail", [b"", bytes(20_000), b"\xff" * 50])
def test_a_killed_recording_is_read_up_to_where_it_was_cut(mcaps, small, chunk, tail):
    for share in (0.3, 0.5, 0.7, 0.9):
        file = small(
            lambda data, layout, s=share: data[: int(layout.data_end * s)] + tail, chunk=chunk
        )
        numbers, _, reasons = read(mcaps, file)
        assert 0 < len(numbers) < COUNT
        assert numbers == list(range(len(numbers)))
        assert reasons == []
        with Bag(file) as bag:
            assert any("its last" in r or "cannot be read" in r for r in bag.remarks)
            assert bag.recovered > 0


def test_a_message_that_ends_in_zeros_before_more_zeros_is_not_trusted(mcaps, small):
    """Without a chunk, no checksum protects the last message before the power went."""

    def change(data, layout):
        end = layout.data_end
        data[end - 20 : end] = bytes(20)
        return data[:end] + bytes(1000)

    file = small(change, chunk=None)
    numbers, unreadable, _ = read(mcaps, file, "/b")
    assert numbers == list(range(COUNT - 1))
    assert unreadable == 1


@pytest.mark.parametrize("kind", ["cut", "zeros", "half", "empty", "without the file"])
def test_a_split_recording_whose_last_file_was_cut_is_read_as_one(mcaps, tmp_path, kind):
    for number in range(12):
        layout = mcaps.write(tmp_path / f"s_{number}.mcap", mcaps.twists(COUNT, first=number * 40))
    last = tmp_path / "s_11.mcap"
    data = bytearray(last.read_bytes())
    begin, end = layout.chunks[5]
    middle = (begin + end) // 2
    if kind == "cut":
        last.write_bytes(data[:middle])
    elif kind == "zeros":
        last.write_bytes(data[:middle] + bytes(9999))
    elif kind == "half":
        last.write_bytes(data[:middle] + bytes(end - middle))
    elif kind == "empty":
        last.write_bytes(b"")
    else:
        last.unlink()
    kept = 25 if kind in ("cut", "zeros", "half") else 0
    numbers, _, reasons = read(mcaps, tmp_path)
    assert numbers == list(range(11 * COUNT + kept))
    assert reasons == []
    with Bag(tmp_path) as bag:
        assert bag.recovered == 2 * kept
        assert any("no metadata.yaml" in remark for remark in bag.remarks)
