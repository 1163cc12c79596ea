"""The journal: nothing finished is lost, and nothing foreign gets in."""

from __future__ import annotations

import json

import pytest

from wm_mpc.experiments.common.journal import Journal, JournalError

from .conftest import record

IDENTITY = {"task": "wall", "planners": {"adam": {"horizon": 7}}, "loops": ["open"]}
ORIGIN = {"code": "0.1.0 abc", "workers": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "episodes.jsonl"


def test_finished_episodes_are_there_again(path, described):
    cell = described.cells()[0]
    written = record(cell, 3, plan_ms=[1.5, 2.0], extra={"round_trip_ms": [3.0]})
    Journal(path, IDENTITY, ORIGIN).add(written)
    assert Journal(path, IDENTITY, ORIGIN).of(cell, 4) == [written]
    assert Journal(path, IDENTITY, ORIGIN).of(cell, 3) == []


def test_line_cut_off_by_a_kill_is_forgotten_and_written_over(path, described):
    cell = described.cells()[0]
    journal = Journal(path, IDENTITY, ORIGIN)
    journal.add(record(cell, 0))
    journal.add(record(cell, 1))
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    again = Journal(path, IDENTITY, ORIGIN)
    assert [entry.episode for entry in again.of(cell, 9)] == [0]
    again.add(record(cell, 1))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "push_t"}, 'started with task "wall", not "push_t"'),
        ({"planners": {"adam": {"horizon": 3}}}, r'planners .*"horizon": 7.* not .*"horizon": 3'),
        ({"extra": 1}, "started with extra null, not 1"),
    ],
)
def test_other_settings_are_refused_with_the_difference(path, change, message):
    Journal(path, IDENTITY, ORIGIN)
    with pytest.raises(JournalError, match=message) as error:
        Journal(path, {**IDENTITY, **change}, ORIGIN)
    assert "choose another --out, or start again with --fresh" in str(error.value)


def test_other_code_is_noted(path):
    Journal(path, IDENTITY, ORIGIN)
    newer = {**ORIGIN, "code": "0.1.0 def"}
    assert Journal(path, IDENTITY, newer).origins == [ORIGIN, newer]
    assert Journal(path, IDENTITY, newer).origins == [ORIGIN, newer]


def test_damaged_line_is_named(path, described):
    Journal(path, IDENTITY, ORIGIN).add(record(described.cells()[0], 0))
    path.write_text(path.read_text() + json.dumps({"cell": {}, "episode": 1}) + "\n")
    with pytest.raises(JournalError, match="line 3, is damaged"):
        Journal(path, IDENTITY, ORIGIN)


def test_without_a_path_everything_stays_in_memory(described):
    journal = Journal(None, IDENTITY, ORIGIN)
    journal.add(record(described.cells()[0], 0))
    assert len(journal.records) == 1
    assert journal.origins == [ORIGIN]
