"""What metadata.yaml says of a recording is compared with the files, which count."""

from __future__ import annotations

import re
import shutil

import lz4.frame  # type: ignore[import-untyped]
import pytest

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_accounts import accounts, unexplained

COUNT = 30
KINDS = ("mcap", "sqlite3")
ENDING = {"mcap": ".mcap", "sqlite3": ".db3"}


def recorded(bags, path, kind="mcap", first=0, count=COUNT, topics=("/a", "/b")):
    make = bags.Make()
    messages = [
        (topic, 100.0 + k, make.twist(vx=float(k)))
        for k in range(first, first + count)
        for topic in topics
    ]
    return bags.write_bag(path, messages, kind)


def numbers(path, topic="/a", reasons=()):
    with Bag(path) as bag:
        assert [r for r in unexplained(bag, ["/a", "/b"]) if not any(w in r for w in reasons)] == []
        return [round(item.message.linear.x) for item in bag.messages([topic])]


def put(pattern, replacement):
    return lambda text: re.sub(pattern, replacement, text)


CHANGES = {
    "nothing": lambda text: text,
    "empty storage identifier": put("storage_identifier: .*", "storage_identifier: ''"),
    "wrong storage identifier": put("storage_identifier: .*", "storage_identifier: xy"),
    "newer version": put("version: 9", "version: 47"),
    "older version": put("version: 9", "version: 1"),
    "counts of zero": put(r"message_count: \d+", "message_count: 0"),
    "counts that are too low": put(r"message_count: \d+", "message_count: 7"),
    "no duration": put(r"(duration:\s*\n\s*nanoseconds: )\d+", r"\g<1>0"),
    "wrong duration": put(r"(duration:\s*\n\s*nanoseconds: )\d+", r"\g<1>1234"),
    "no topics": put(r"(topics_with_message_count:)(\n  .*)+", r"\1"),
    "other serialization": put("serialization_format: cdr", "serialization_format: x"),
    "compression that is none": put("compression_mode: .*", "compression_mode: FILE"),
    "half of it": lambda text: text[: len(text) // 2],
    "no YAML": lambda _: "{ : [",
    "nothing in it": lambda _: "",
    "another YAML": lambda _: "a: 1",
    "bytes that are no text": lambda text: text + "\udcff",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_message_is_read_whatever_metadata_says(bags, tmp_path, kind, change):
    path = recorded(bags, tmp_path / "bag", kind)
    metadata = path / "metadata.yaml"
    metadata.write_bytes(change(metadata.read_text()).encode(errors="surrogateescape"))
    assert numbers(path) == numbers(path, "/b") == list(range(COUNT))
    with Bag(path) as bag:
        assert bag.seconds == COUNT - 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_metadata_a_folder_and_a_file_are_read(bags, tmp_path, kind):
    path = recorded(bags, tmp_path / "bag", kind)
    (path / "metadata.yaml").unlink()
    assert numbers(path) == list(range(COUNT))
    assert numbers(next(path.iterdir())) == list(range(COUNT))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_metadata", [True, False])
def test_files_that_metadata_does_not_list_are_read_and_named(bags, tmp_path, kind, has_metadata):
    path = recorded(bags, tmp_path / "bag", kind)
    for part in (1, 2):
        other = recorded(bags, tmp_path / f"other_{part}", kind, first=part * COUNT)
        file = next(other.glob(f"*{ENDING[kind]}"))
        shutil.copy(file, path / f"bag_{part}{ENDING[kind]}")
    if not has_metadata:
        (path / "metadata.yaml").unlink()
    assert numbers(path) == list(range(3 * COUNT))
    with Bag(path) as bag:
        assert any(f"bag_2{ENDING[kind]}" in remark for remark in bag.remarks)


def test_a_copy_of_a_file_adds_nothing(bags, tmp_path):
    path = recorded(bags, tmp_path / "bag")
    shutil.copy(path / "bag.mcap", path / "bag_recovered.mcap")
    with Bag(path) as bag:
        assert len(list(bag.messages(["/a"]))) == COUNT
        assert bag.repeated["/a"] == COUNT


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_listed_and_missing_is_refused_by_name(bags, tmp_path, kind):
    path = recorded(bags, tmp_path / "bag", kind)
    metadata = path / "metadata.yaml"
    name = f"bag{ENDING[kind]}"
    metadata.write_text(metadata.read_text().replace(f"  - {name}\n", f"  - {name}\n  - gone\n"))
    assert "gone" in metadata.read_text()
    with Bag(path) as bag:
        assert unexplained(bag, ["/a"]) == ["metadata.yaml lists gone, which does not exist"]
        assert len(list(bag.messages(["/a"]))) == COUNT


@pytest.mark.parametrize("kind", KINDS)
def test_more_messages_in_metadata_than_in_whole_files_are_refused(bags, tmp_path, kind):
    path = recorded(bags, tmp_path / "bag", kind)
    metadata = path / "metadata.yaml"
    metadata.write_text(re.sub(r"message_count: \d+", "message_count: 44", metadata.read_text()))
    with Bag(path) as bag:
        assert accounts(bag)["/a"].missing == 14
        (reason,) = unexplained(bag, ["/a"])
        assert reason == (
            "14 messages of /a are missing: metadata.yaml counts 44, but the files hold 30"
        )


def test_messages_that_metadata_counts_in_a_cut_file_are_unreadable(mcaps, tmp_path):
    layout = mcaps.write(tmp_path / "a.mcap", mcaps.twists(40))
    data = (tmp_path / "a.mcap").read_bytes()
    (tmp_path / "a.mcap").write_bytes(data[: layout.chunks[5][1] - 1])
    topics = "".join(
        f"{{topic_metadata: {{name: {name}, type: x}}, message_count: 40}}, "
        for name in ("/a", "/b")
    )
    (tmp_path / "metadata.yaml").write_text(
        "rosbag2_bagfile_information: {version: 5, relative_file_paths: [a.mcap], "
        f"topics_with_message_count: [{topics}]}}"
    )
    assert numbers(tmp_path) == list(range(25))
    with Bag(tmp_path) as bag:
        account = accounts(bag)["/a"]
        assert (account.told, account.found, account.unreadable, account.missing) == (40, 25, 15, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", ["zstd", "lz4"])
def test_packed_files_are_read_with_and_without_metadata(bags, tmp_path, kind, packing):
    path = recorded(bags, tmp_path / "bag", kind)
    file = next(path.glob(f"*{ENDING[kind]}"))
    packed = pack(file.read_bytes(), packing)
    file.with_name(f"{file.name}.{packing}").write_bytes(packed)
    assert numbers(path) == list(range(COUNT))  # both are there: killed before it was removed
    file.unlink()
    metadata = path / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace(file.name, f"{file.name}.{packing}"))
    assert numbers(path) == list(range(COUNT))
    metadata.unlink()
    assert numbers(path) == list(range(COUNT))
    assert numbers(path / f"{file.name}.{packing}") == list(range(COUNT))


def pack(data, packing):
    if packing == "lz4":
        return lz4.frame.compress(data)
    from wm_mpc.data.storage.files import zstd  # type: ignore[attr-defined]

    return zstd.compress(data)


def test_a_packed_file_that_was_cut_is_read_as_far_as_it_goes(mcaps, tmp_path):
    mcaps.write(tmp_path / "a.mcap", mcaps.twists(4000))
    packed = pack((tmp_path / "a.mcap").read_bytes(), "zstd")
    (tmp_path / "b.mcap.zstd").write_bytes(packed[: len(packed) // 2])
    with Bag(tmp_path / "b.mcap.zstd") as bag:
        found = [mcaps.value_of(item.message) for item in bag.messages(["/a"])]
        assert 0 < len(found) < 4000
        assert found == list(range(len(found)))
        assert any("only its beginning can be read" in remark for remark in bag.remarks)


@pytest.mark.parametrize("has_metadata", [True, False])
def test_messages_that_are_packed_one_by_one_are_read(bags, mcaps, tmp_path, has_metadata):
    content = mcaps.twists(COUNT)
    content.messages = [(c, t, pack(data, "zstd")) for c, t, data in content.messages]
    mcaps.write(tmp_path / "a.mcap", content)
    if has_metadata:
        (tmp_path / "metadata.yaml").write_text(
            "rosbag2_bagfile_information: {version: 5, storage_identifier: mcap, compression_mode: "
            "MESSAGE, compression_format: zstd, relative_file_paths: [a.mcap], "
            "topics_with_message_count: []}"
        )
    assert numbers(tmp_path) == list(range(COUNT))


def test_files_of_two_kinds_are_not_mixed(bags, tmp_path):
    path = recorded(bags, tmp_path / "bag", "mcap")
    other = recorded(bags, tmp_path / "other", "sqlite3")
    shutil.copy(other / "other.db3", path / "bag.db3")
    assert numbers(path) == list(range(COUNT))  # metadata.yaml says which
    (path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"has \.db3 and \.mcap files; choose one of them"):
        Bag(path)


def test_a_folder_of_recordings_is_refused_and_says_what_is_within(bags, tmp_path):
    recorded(bags, tmp_path / "monday")
    recorded(bags, tmp_path / "tuesday")
    with pytest.raises(BagError, match="there are some in monday, tuesday"):
        Bag(tmp_path)


def test_files_are_told_by_what_is_in_them(bags, tmp_path):
    path = recorded(bags, tmp_path / "bag", "sqlite3")
    shutil.copy(path / "bag.db3", tmp_path / "named.mcap")
    assert numbers(tmp_path / "named.mcap") == list(range(COUNT))


@pytest.mark.parametrize("change", ["garbage", "zeros", "empty"])
def test_one_file_of_several_that_cannot_be_read_is_refused_by_name(bags, tmp_path, change):
    path = recorded(bags, tmp_path / "bag")
    content = {"garbage": b"garbage" * 99, "zeros": bytes(99), "empty": b""}[change]
    (path / "bag_1.mcap").write_bytes(content)
    with Bag(path) as bag:
        reasons = unexplained(bag, ["/a"])
        if change == "empty":  # nothing was lost
            assert reasons == []
            assert any("bag_1.mcap: it is empty" in remark for remark in bag.remarks)
        else:
            assert reasons[0].startswith("bag_1.mcap: it ")
