"""The fault bench itself: a part of its table, and that it can fail."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from std_msgs.msg import Float64MultiArray

from wm_mpc.cli import faults
from wm_mpc.cli.faults import markdown
from wm_mpc.codes import HoldCode
from wm_mpc.experiments.faults import hold_latency
from wm_mpc.experiments.faults import judging as run
from wm_mpc.experiments.faults.arm import ArmRig, Driver
from wm_mpc.experiments.faults.arm_lines import Report, _judge, _only_measured, _quiet
from wm_mpc.experiments.faults.fault import HOLDS, PLANS, STANDS, Fault
from wm_mpc.experiments.faults.judging import Outcome, _run
from wm_mpc.experiments.faults.rig import Rig, nothing
from wm_mpc.experiments.faults.table import FAULTS
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros import qos

pytestmark = pytest.mark.ros


def _silence(rig):
    rig.image = nothing


def _do_nothing(rig):
    pass


def test_names_of_faults_are_their_own():
    names = run.names_of_lines()
    assert len(set(names)) == len(names) > len(FAULTS)


@pytest.fixture
def brief(monkeypatch):
    """Few holds, brief faults; and how fast this computer is does not count."""
    monkeypatch.setattr(run, "_MEASURED", 8)
    monkeypatch.setattr(run, "_FEWEST", 4)
    monkeypatch.setattr(run, "HOLDS_ASKED", 8)
    monkeypatch.setattr(hold_latency, "LONGEST", 0.5)
    shorter = [dataclasses.replace(fault, seconds=min(fault.seconds, 2.0)) for fault in FAULTS]
    monkeypatch.setattr(run, "FAULTS", shorter)


@pytest.mark.slow
def test_a_part_of_the_table_holds_and_is_saved(tmp_path, domain_id, capsys, brief):
    wanted = "covered|0.06 s ahead|mpc killed|two controllers|hold latency, robot"
    arguments = ["--only", wanted, "--ros-domain", str(domain_id), "--out", str(tmp_path)]
    assert faults.main(arguments) == 0, capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["faults"]) == 5
    assert all(row["holds"] for row in results["faults"])
    assert all(row["recovery"] is not None for row in results["faults"][:-1])
    latencies = results["faults"][-1]["figures"]["hold latency (ms)"]
    assert set(latencies) == {"planned_actions", "cmd_vel", "commands", "joint_trajectory"}
    assert all(found["holds"] >= 4 for found in latencies.values())
    assert (tmp_path / "results.md").read_text().count("| yes |") == 5


@pytest.mark.slow
@pytest.mark.flaky(reruns=3)  # each step is judged: where both cores are busy, plans come late
def test_an_arm_begins_where_it_is_and_is_not_led_away(tmp_path, domain_id, capsys, brief):
    wanted = "arm started|reactivated|blocked|familiarity"
    arguments = ["--only", wanted, "--ros-domain", str(domain_id), "--out", str(tmp_path)]
    assert faults.main(arguments) == 0, capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    figures = [row["figures"] for row in results["faults"]]
    assert all(found["largest step (rate limits)"] <= 1.001 for found in figures[:2])
    latencies = figures[-1]["hold latency (ms)"]
    assert set(latencies) == {"planned_actions", "commands", "joint_trajectory"}
    assert all(found["holds"] >= 8 for found in latencies.values())


class _SentToZero(ArmRig):
    """In place of the node, somebody who sends the arm to zero."""

    def start(self):
        self._mover.start()
        self.publisher = self.node.create_publisher(Float64MultiArray, "commands", qos.COMMAND)


def test_an_arm_that_is_sent_to_zero_fails_its_line(tmp_path, domain_id):
    report = Report()
    with _SentToZero(domain_id, tmp_path) as rig:
        rig.drivers, rig.speed = (Driver(),), 0.0
        began = time.time_ns()
        assert rig.wait_for(rig.publisher.get_subscription_count, 10.0)
        rig.publisher.publish(Float64MultiArray(data=[0.0, 0.0, 0.0]))
        assert rig.wait_for(lambda: rig.since("commands", began), 10.0)
        _quiet(rig, report, began, "before the arm was measured")
        _only_measured(rig, report, began)
        _judge(rig, report, began)
    told = "; ".join(report.failures)
    assert "1 messages with positions on commands before the arm was measured" in told
    assert "commands: 1.500 rad away before the first plan" in told
    assert "commands: the first position is 30.0 rate limits from where the arm is" in told
    assert "nothing came on joint_trajectory" in told


@pytest.mark.slow
def test_time_jumps_a_full_disk_and_hold_latencies_alone(tmp_path, domain_id, capsys, brief):
    wanted = "clock jumps|disk|hold latency, arm"
    arguments = ["--only", wanted, "--ros-domain", str(domain_id), "--out", str(tmp_path)]
    assert faults.main(arguments) == 0, capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    names = [row["name"] for row in results["faults"]]
    assert len(names) == 4
    assert names[2:] == [run.HOLDS_OF_POSITIONS, run.DISK]
    latencies = results["faults"][2]["figures"]["hold latency (ms)"]
    assert all(found["holds"] >= 4 for found in latencies.values())


def test_hold_latencies_of_the_robot_need_no_fault(tmp_path, monkeypatch):
    asked = []

    def rig(*_, simulated, measures):
        asked.append((simulated, measures))
        return ()

    monkeypatch.setattr(run, "_run_rig", rig)
    only = run.HOLDS_OF_VELOCITIES
    run.run_table(tmp_path, 0, tmp_path, lambda _: None, lambda name: name == only)
    assert asked == [(False, True)]


@pytest.mark.slow
def test_lines_fail_when_what_must_happen_does_not(tmp_path, domain_id, monkeypatch):
    monkeypatch.setattr(run, "_RECOVERY", 3.0)
    monkeypatch.setattr(run, "_RESTART", 0.0)
    checkpoint = resolve_checkpoint("wall")
    with Rig(checkpoint, domain_id, tmp_path) as rig:
        assert rig.wait_until_steady() is not None
        calm = _run(rig, Fault("nothing happens", HOLDS, _do_nothing, seconds=0.5))
        assert "did not hold" in calm.failures[0]
        silent = _run(rig, Fault("silence", PLANS, _silence))
        assert silent.failures == ["it did not go on planning"]
        wrong = _run(rig, Fault("silence", HOLDS, _silence, codes=(HoldCode.FAULT,)))
        assert wrong.failures == ["the status does not say hold.fault"]
        dead = _run(rig, Fault("it stays dead", STANDS, _kill, seconds=2.0, within=1.2))
        assert not dead.holds
        assert any("does not plan again" in failure for failure in dead.failures)


def _kill(rig):
    rig.process("mpc").kill()


def test_unknown_fault_is_named(tmp_path, domain_id, capsys):
    arguments = ["--only", "earthquake", "--ros-domain", str(domain_id), "--out", str(tmp_path)]
    assert faults.main(arguments) == 1
    said = capsys.readouterr().err
    assert "no fault has 'earthquake' in its name" in said
    assert "  hold latency, robot moved by velocities\n" in said


def test_one_unknown_name_among_others_runs_nothing(tmp_path, domain_id, capsys):
    arguments = ["--ros-domain", str(domain_id), "--out", str(tmp_path)]
    assert faults.main(["--only", "camera falls silent | hold latencies", *arguments]) == 1
    said = capsys.readouterr()
    assert "no fault has 'hold latencies' in its name" in said.err
    assert said.out == ""
    assert not any(tmp_path.rglob("*"))


def test_a_crash_or_a_bad_plan_fails_a_line():
    assert Outcome("fine", HOLDS).holds
    assert not Outcome("crash", HOLDS, crashes=["mpc ended with code -11"]).holds
    assert not Outcome("plan", HOLDS, bad_plans=["outside the limits: -2 to 0"]).holds


def test_report_says_what_fails():
    row = Outcome("a|b", HOLDS, hold=0.5, failures=["too late"]).to_dict()
    results = {"command": "faults", "date": "-", "code": "-", "seconds": 1.0}
    results["machine"] = {"cores": 2}
    assert "| a|b | holds | 0.50 | - | too late | **no** |" in markdown(
        {**results, "faults": [row]}
    )
    assert "- cores 2" in markdown({**results, "faults": []})
