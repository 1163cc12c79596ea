"""Whatever is wrong with a checkpoint is one CheckpointError, at once and without much memory."""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, read_metadata

from ..conftest import mostly_slow

SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints"
WALL = SHIPPED / "wall.safetensors"


def parts_of(path):
    """Header (without metadata), our metadata, and the numbers behind the header."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    metadata = json.loads(header.pop("__metadata__")["wm_mpc"])
    return header, metadata, content[8 + size :]


HEADER, METADATA, NUMBERS = parts_of(WALL)


def write(path, header=HEADER, metadata=METADATA, numbers=NUMBERS, *, text=None):
    """A file of these parts; text: instead of the header's JSON."""
    entry = metadata if isinstance(metadata, str) else json.dumps(metadata)
    if text is None:
        text = json.dumps({"__metadata__": {"wm_mpc": entry}, **header})
    raw = text.encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + numbers)
    return path


def changed(**changes):
    """The metadata with other entries; a__b is entry b of table a."""
    metadata = copy.deepcopy(METADATA)
    for name, value in changes.items():
        table = metadata
        *tables, last = name.split("__")
        for part in tables:
            table = table[part]
        table[last] = value
    return metadata


def refusal(path):
    """What is said of a file; it must be said soon."""
    started = time.monotonic()
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert time.monotonic() - started < 2.0
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1500
    return str(error.value)


HUGE = {
    "hidden": {"architecture__hidden": 20000},
    "hidden beyond 64 bits": {"architecture__hidden": 10**30},
    "keypoints": {"architecture__keypoints": 10**6},
    "robot points": {"architecture__robot_points": 10**7},
    "encoder": {"architecture__encoder_width": 4 * 10**5},
    "decoder": {"architecture__decoder_width": 4 * 10**8},
    "proposals": {"architecture__proposals": 10**8},
    "proposal steps": {"architecture__proposal_steps": 10**9},
    "image": {"image__height": 40000, "image__width": 40000},
    "image within the limit": {"image__height": 8192, "image__width": 8192},
    "frame skip": {"frame_skip": 20_000_000},
    "frame skip within the limit": {"frame_skip": 1000},
    "history": {"history": 10**9},
    "control period": {"control_period": 1e300},
    "control period of nothing": {"control_period": 1e-300},
    "layers": {"architecture__dynamics": "transformer", "architecture__layers": 10**9},
    "context": {"architecture__dynamics": "transformer", "architecture__context": 10**12},
    "heads": {"architecture__dynamics": "transformer", "architecture__heads": 10**12},
    "poses": {"architecture__pose_names": [f"p{k}" for k in range(10**5)]},
}


@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE)
def test_sizes_that_do_not_fit_the_tensors_are_refused_before_any_memory_is_taken(
    changes, tmp_path, monkeypatch
):
    path = write(tmp_path / "big.safetensors", metadata=changed(**changes))
    monkeypatch.setattr(
        "wm_mpc.model.tensor_file.TensorFile.tensors", lambda _: pytest.fail("tensors were read")
    )
    refusal(path)


@pytest.mark.slow
def test_a_small_file_that_claims_to_be_huge_takes_no_memory(tmp_path):
    """In a process of its own, which may have some MB more than it takes to get there."""
    names = []
    for name in ("hidden", "image", "frame skip", "keypoints", "history"):
        path = tmp_path / f"{name}.safetensors"
        one = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        names.append(str(write(path, one, changed(**HUGE[name]), b"\0" * 4)))
    code = f"""
import resource
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in {names!r}:
    try:
        load_checkpoint(path)
    except CheckpointError:
        print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30)),
    )  # fmt: skip
    *refused, megabytes = done.stdout.split()
    assert refused == ["refused"] * len(names)
    assert int(megabytes) < 50


BAD_ENTRIES = {
    "height is a word": {"image__height": "64"},
    "height is no whole number": {"image__height": 64.5},
    "height is negative": {"image__height": -64},
    "height is true": {"image__height": True},
    "names are numbers": {"action__names": [1, 2]},
    "names are lists": {"state__names": [["vx"], ["vy"]]},
    "names are one word": {"action__names": "xy"},
    "limits are words": {"action__low": ["a", "b"]},
    "limits are not numbers": {"action__low": [float("nan"), 0.0]},
    "limits are a table": {"action__low": {"a": 1}},
    "frame skip is zero": {"frame_skip": 0},
    "frame skip is a list": {"frame_skip": [5]},
    "history is a word": {"history": "two"},
    "period is not a number": {"control_period": float("nan")},
    "architecture is a list": {"architecture": []},
    "architecture is nothing": {"architecture": None},
    "hidden is a fraction": {"architecture__hidden": 128.5},
    "hidden is zero": {"architecture__hidden": 0},
    "hidden is negative": {"architecture__hidden": -128},
    "gate is a word": {"architecture__gate": "no"},
    "dynamics are a list": {"architecture__dynamics": ["gru"]},
    "poses are numbers": {"architecture__pose_names": [1, 2]},
    "state is nothing": {"state": None},
    "state is a word": {"state": "vx"},
    "angles are of no entry": {"state__angles": ["roll"]},
    "angles are numbers": {"state__angles": [0]},
    "familiarity is a word": {"familiarity": "well"},
    "familiarity is zero": {"familiarity": {**METADATA["familiarity"], "image": 0.0}},
    "familiarity is not a number": {"familiarity": {**METADATA["familiarity"], "step": None}},
    "provenance is a list": {"provenance": [1]},
    "format is a word": {"format": "2"},
    "format is true": {"format": True},
    "format is a fraction": {"format": 2.0},
    "format is a list": {"format": [2]},
    "task is nothing": {"task": ""},
}


@pytest.mark.parametrize("changes", BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_an_entry_of_the_wrong_kind_is_refused(changes, tmp_path):
    refusal(write(tmp_path / "odd.safetensors", metadata=changed(**changes)))


def with_entry(**entry):
    header = copy.deepcopy(HEADER)
    header["state_mean"].update(entry)
    return header


BAD_HEADERS = {
    "F16": with_entry(dtype="F16"),
    "F64": with_entry(dtype="F64"),
    "I64": with_entry(dtype="I64"),
    "unknown type": with_entry(dtype="F4096"),
    "no type": with_entry(dtype=None),
    "negative size": with_entry(shape=[-2]),
    "fraction of a size": with_entry(shape=[2.0]),
    "size that is true": with_entry(shape=[True]),
    "huge size": with_entry(shape=[2**62, 2**62]),
    "size that is a word": with_entry(shape="2"),
    "no size": with_entry(shape=None),
    "place outside": with_entry(data_offsets=[2**40, 2**40 + 8]),
    "place before": with_entry(data_offsets=[-8, 0]),
    "overlapping places": with_entry(data_offsets=[0, 8]),
    "place that is a word": with_entry(data_offsets="here"),
    "no place": {**HEADER, "state_mean": {"dtype": "F32", "shape": [2]}},
    "tensor is a number": {**HEADER, "state_mean": 7},
    "tensor is a list": {**HEADER, "state_mean": []},
    "no tensors": {},
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_damaged_header_is_refused(header, tmp_path):
    refusal(write(tmp_path / "odd.safetensors", header))


DEEP = 100_000
BAD_TEXTS = {
    "deep list": "[" * DEEP,
    "deep table": '{"a":' * DEEP,
    "deep list that ends": "[" * DEEP + "]" * DEEP,
    "list": "[]",
    "number": "7",
    "endless number": '{"a": ' + "9" * 10_000 + "}",
    "nothing": "",
    "spaces": " " * 1000,
    "metadata is a list": '{"__metadata__": [1]}',
    "metadata is a number": '{"__metadata__": {"wm_mpc": 7}}',
    "metadata is a table": '{"__metadata__": {"wm_mpc": {"format": 2}}}',
    "a name twice": json.dumps(HEADER)[:-1] + ', "state_mean": {"dtype": "F32"}}',
}


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_a_header_of_any_text_is_refused(text, tmp_path):
    refusal(write(tmp_path / "odd.safetensors", text=text))


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_metadata_that_is_nested_too_deeply_is_refused(opening, tmp_path):
    path = write(tmp_path / "deep.safetensors", metadata=opening * DEEP)
    assert "damaged wm_mpc entry" in refusal(path)
    with pytest.raises(CheckpointError, match="damaged wm_mpc entry"):
        read_metadata(path)


@pytest.mark.parametrize(
    "size", [0, 7, 2**20, 2**31, 2**40, 2**63, 2**64 - 1], ids=lambda size: f"{size:g}"
)
def test_any_size_of_a_header_is_refused(size, tmp_path):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", size) + WALL.read_bytes()[8:50_000])
    refusal(path)


def test_a_header_that_is_too_large_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**34))
        file.truncate(2**34 + 8)  # takes no room on the disk
    assert "its header has 17179869184 bytes" in refusal(path)


def test_a_file_larger_than_its_header_says_is_refused(tmp_path):
    path = tmp_path / "long.safetensors"
    path.write_bytes(WALL.read_bytes() + b"\0")
    assert "where its header says" in refusal(path)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_spread_that_is_not_positive_is_refused(value, tmp_path):
    begin, end = HEADER["state_std"]["data_offsets"]
    numbers = NUMBERS[:begin] + struct.pack("<f", value) + NUMBERS[begin + 4 :]
    assert end - begin == 8
    assert "state_std" in refusal(write(tmp_path / "odd.safetensors", numbers=numbers))


def test_what_is_no_file_is_refused(tmp_path):
    assert "(a folder)" in refusal(tmp_path)
    fifo = tmp_path / "fifo.safetensors"
    os.mkfifo(fifo)
    assert "not a regular file" in refusal(fifo)
    assert "not a regular file" in refusal(Path("/dev/zero"))
    dangling = tmp_path / "link.safetensors"
    dangling.symlink_to(tmp_path / "nowhere")
    assert "no checkpoint at" in refusal(dangling)
    assert "no checkpoint at" in refusal(tmp_path / ("x" * 300))
    assert "no checkpoint at" in refusal(WALL / "inside.safetensors")


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "secret.safetensors")

    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    assert "Permission denied" in refusal(path)


def test_a_file_cut_short_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """As `cp` does to the file that is there. What is mapped into memory would end the process."""
    from wm_mpc.model import checkpoint

    path = write(tmp_path / "copied.safetensors")
    describe = checkpoint._described

    def and_cut(*arguments):
        os.truncate(path, 30_000)
        return describe(*arguments)

    monkeypatch.setattr(checkpoint, "_described", and_cut)
    assert "cut short while it was read" in refusal(path)


def leaves(table, path=()):
    """Paths of all entries of nested tables and lists."""
    entries = table.items() if isinstance(table, dict) else enumerate(table)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from leaves(value, (*path, key))


STRANGE = (
    None, True, -1, 0, 1, 3, 2**31, 10**30, 0.5, -1e308, float("nan"), float("inf"), "", "x",
    "\0", [], [1], [[]], {}, {"a": 1}, ["x"] * 3,
)  # fmt: skip


@pytest.mark.parametrize("seed", mostly_slow(range(4)))
def test_any_change_of_the_description_is_read_or_refused(seed, tmp_path):
    """Nothing but a CheckpointError; what is read is of the same tensors."""
    rng = random.Random(seed)
    places = list(leaves({k: v for k, v in METADATA.items() if k != "provenance"}))
    path = tmp_path / "odd.safetensors"
    refused = 0
    for _ in range(120):
        metadata = copy.deepcopy(METADATA)
        *tables, last = rng.choice(places)
        table = metadata
        for part in tables:
            table = table[part]
        if rng.random() < 0.2 and isinstance(table, dict):
            del table[last]
        else:
            table[last] = rng.choice(STRANGE)
        write(path, metadata=metadata)
        try:
            model, _ = load_checkpoint(path)
        except CheckpointError:
            refused += 1
        else:
            assert {n: tuple(w.shape) for n, w in model.state_dict().items()} == {
                n: tuple(e["shape"]) for n, e in HEADER.items()
            }
    assert refused > 40


@pytest.mark.parametrize("seed", range(4))
def test_any_flipped_bits_of_the_header_are_read_or_refused(seed, tmp_path):
    rng = random.Random(seed)
    content = WALL.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    path = tmp_path / "odd.safetensors"
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 5, 50))):
            damaged[rng.randrange(8 + size)] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            load_checkpoint(path)
        except CheckpointError:
            continue


@pytest.mark.parametrize("name", ["wall", "maze", "push_t", "reach"])
def test_shipped_checkpoints_are_read_as_before(name):
    """Bit for bit what the file holds."""
    path = SHIPPED / f"{name}.safetensors"
    model, _ = load_checkpoint(path, exact=True)
    tensors = safetensors.torch.load_file(path)
    assert model.state_dict().keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert torch.equal(model.state_dict()[key], tensor)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def test_reading_a_checkpoint_leaves_the_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_checkpoint(WALL)
    assert torch.equal(torch.rand(3), expected)
