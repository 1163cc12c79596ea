"""The soak: what passes, what does not, and that it runs."""

from __future__ import annotations

import dataclasses
import json

import pytest

from wm_mpc.cli import soak as command
from wm_mpc.experiments.faults import soak
from wm_mpc.experiments.faults.soak import Sample, judge

MIB = 2**20


def samples(memory=lambda minute: 300.0, overruns=lambda minute: 0, threads=lambda minute: 20):
    return [
        Sample(
            60.0 * minute,
            {"mpc": round(memory(minute) * MIB), "sim": 200 * MIB},
            {"mpc": 40, "sim": 30},
            {"mpc": threads(minute), "sim": 10},
            plans=600 * minute,
            overruns=overruns(minute),
            holds=0,
        )
        for minute in range(31)
    ]


def test_a_calm_run_passes():
    found = judge(samples())
    assert found["holds"]
    assert found["plans"] == 15_000
    assert found["memory_growth"] == {"mpc": pytest.approx(0.0), "sim": pytest.approx(0.0)}


def test_what_grows_while_warming_up_is_no_leak():
    assert judge(samples(memory=lambda minute: 300.0 + 20.0 * min(minute, 4)))["holds"]


def test_a_slow_leak_does_not_pass():
    found = judge(samples(memory=lambda minute: 300.0 + 0.2 * minute))
    assert not found["holds"]
    assert found["memory_growth"]["mpc"] == pytest.approx(5.0 / 301.0, rel=0.01)


def test_missed_periods_do_not_pass():
    found = judge(samples(overruns=lambda minute: 2 * minute))
    assert not found["holds"]
    assert found["missed_periods"] == 50


def test_threads_that_are_left_behind_do_not_pass():
    assert not judge(samples(threads=lambda minute: 20 + minute // 5))["holds"]


def test_nothing_planned_does_not_pass():
    assert not judge([dataclasses.replace(entry, plans=0) for entry in samples()])["holds"]


@pytest.mark.ros
@pytest.mark.slow
def test_a_short_soak_is_measured_and_saved(tmp_path, domain_id, monkeypatch):
    monkeypatch.setattr(soak, "_TUNE", 1.5)
    monkeypatch.setattr(soak, "_GOAL", 5.0)
    monkeypatch.setattr(soak, "_SAMPLE", 2.0)
    arguments = ["--task=wall", "--minutes=0.2", "--out", str(tmp_path)]
    assert command.main([*arguments, "--ros-domain", str(domain_id)]) in (0, 1)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["plans"] > 50
    assert results["settings"] >= 4
    assert results["goals"] >= 1
    assert set(results["memory_growth"]) == {"sim", "mpc"}
    assert (tmp_path / "results.png").stat().st_size > 5000


def test_no_time_is_refused(tmp_path, capsys):
    assert command.main(["--minutes=0", "--out", str(tmp_path)]) == 2
    assert "--minutes is 0.0" in capsys.readouterr().err
