"""What is compared runs in turn, and how growth is judged."""

from __future__ import annotations

import math
import sys
import time

import pytest

from wm_mpc.experiments.speed.measuring import Pace, StolenTime, growth, interleaved, milliseconds


def test_contenders_run_in_turn_and_each_begins_once():
    order = []
    contenders = {name: lambda number, name=name: order.append((name, number)) for name in "abc"}
    interleaved(contenders, Pace(0.0, at_least=3, at_most=3, warm_up=0))
    assert [name for name, _ in order] == list("abcbcacab")
    assert [number for _, number in order] == [0] * 3 + [1] * 3 + [2] * 3


def test_warm_up_does_not_count():
    calls = []
    outcomes = interleaved({"a": calls.append}, Pace(0.0, 2, 2, warm_up=2))
    assert len(calls) == 4
    assert len(outcomes["a"]) == 2


def test_a_slow_contender_drops_out_and_a_fast_one_goes_on():
    contenders = {"slow": lambda _: time.sleep(0.02), "fast": lambda _: None}
    outcomes = interleaved(contenders, Pace(0.01, at_least=2, at_most=50, warm_up=0))
    assert len(outcomes["slow"]) == 2
    assert len(outcomes["fast"]) == 50


def test_milliseconds_are_of_seconds():
    summary = milliseconds([0.001, 0.002, 0.003])
    assert summary == {"count": 3, "p50": 2.0, "p99": pytest.approx(2.98), "min": 1.0}


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_growth_finds_the_exponent_of_a_power_law(exponent):
    sizes = [1, 2, 5, 20]
    assert growth(sizes, [3.0 * size**exponent for size in sizes]) == pytest.approx(exponent)


def test_growth_of_a_single_size_is_unknown():
    assert math.isnan(growth([4], [1.0]))


def test_stolen_time_is_a_share_of_what_was_wanted_since(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 10 50 5000 70 3 7 900 40 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    stolen = StolenTime(stat)
    assert stolen.percent() is None  # nothing was computed yet
    # 60 + 5 + 20 + 2 + 3 computed, 10 stolen; idle, disks' and guests' time do not count.
    stat.write_text("cpu  160 15 70 9000 99 5 10 910 80 0\n")
    assert stolen.percent() == 10.0


def test_stolen_time_is_unknown_where_the_kernel_does_not_tell(tmp_path):
    stat = tmp_path / "stat"
    assert StolenTime(stat).percent() is None
    stat.write_text("cpu  1 2 3\n")
    assert StolenTime(stat).percent() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's file is Linux's")
def test_stolen_time_of_this_computer_is_a_percentage():
    stolen = StolenTime()
    ends = time.monotonic() + 0.2
    while time.monotonic() < ends:
        pass
    percent = stolen.percent()
    assert percent is not None
    assert 0.0 <= percent <= 100.0
