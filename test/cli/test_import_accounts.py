"""`import_bag` says what became of every message, keeps it, and refuses what does not add up."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import numpy as np
import pytest

from wm_mpc.cli import import_bag
from wm_mpc.data.episodes import Dataset

STEPS = 40


def recorded(bags, first=0, start=100):
    make, messages = bags.Make(), []
    for k in range(first, first + STEPS):
        t = start + 0.1 * k
        twist = make.twist(vx=0.1 * np.sin(k), wz=0.1 * np.cos(k))
        messages += [
            ("/image", t, make.image(t, bags.gray(k))),
            ("/odom", t, make.odometry(t, vx=0.1 * np.sin(k))),
            ("/cmd_vel", t, twist),
        ]
    return messages


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run `import_bag` in an empty folder: exit code, output and the last line of its errors."""
    monkeypatch.chdir(tmp_path)

    def run(arguments):
        code = import_bag.main([*shlex.split(arguments), "--task", "d", "--image-size", "16x16"])
        said = capsys.readouterr()
        return code, said.out, said.err.strip().split("\n")[-1]

    return run


def book():
    return [json.loads(line) for line in open("data/d/imports.jsonl")]


def test_every_message_is_accounted_for_and_the_account_is_kept(run, bags, tmp_path):
    messages = recorded(bags)
    messages += [("/cmd_vel", 101.05, ("geometry_msgs/msg/Twist", b"\0\1"))] * 2
    messages += [("/odom", 101.05, bags.Make().odometry(101.05, vx=np.nan))]
    bags.write_bag(tmp_path / "bag", messages)
    code, out, _ = run("bag --state-names vx")
    assert code == 0
    assert "/cmd_vel  42 messages = 40 used + 2 unreadable" in out
    assert "/odom     41 messages = 40 used + 1 dropped (odometry: vx is nan" in out
    assert "/image    40 messages = 40 used\n" in out
    (entry,) = book()
    assert (entry["recording"], entry["episode"]) == ("bag", 0)
    for account in entry["messages"].values():
        parts = account["used"] + sum(account["dropped"].values()) + account["unreadable"]
        assert account["told"] == parts
        assert account["claims"] == {
            "message index": parts, "statistics": parts, "metadata.yaml": parts
        }  # fmt: skip


def test_the_account_of_an_import_that_fails_is_not_kept(run, bags, tmp_path):
    bags.write_bag(tmp_path / "bag", recorded(bags))
    bags.write_bag(tmp_path / "none", [("/image", 1.0, bags.Make().image(1.0, bags.gray(0)))])
    bags.write_bag(tmp_path / "other", recorded(bags, start=200))
    assert run("bag")[0] == 0
    assert run("other none --append")[0] == 1
    assert [entry["episode"] for entry in book()] == [0]
    assert run("other --append")[0] == 0
    assert [entry["episode"] for entry in book()] == [0, 1]


def test_a_recording_is_imported_once(run, bags, tmp_path):
    """Copies of an episode would be on both sides of the split into training and held-out ones."""
    bags.write_bag(tmp_path / "bag", recorded(bags))
    shutil.copytree(tmp_path / "bag", tmp_path / "copy")
    assert run("bag copy")[0] == 1
    assert not (tmp_path / "data" / "d" / "dataset.json").exists()
    assert run("bag")[0] == 0
    for again in ("bag", "copy"):
        code, _, error = run(f"{again} --append")
        assert code == 1
        assert "this recording is in dataset data/d already (by: import_bag bag" in error
        assert "accepted: each recording once" in error
    assert len(book()) == 1


def test_another_rule_of_an_appended_recording_is_said(run, bags, tmp_path):
    split = (bags.Make().numbers(1.0), "/goal")
    for name, start in (("one", 100), ("two", 200)):
        rows = recorded(bags, start=start)
        bags.write_bag(tmp_path / name, [*rows, (split[1], start + 2.0, split[0])])
    options = "--state odom --action /cmd_vel"
    code, out, error = run(f"one {options} --split-at /goal")
    assert code == 0, error
    assert "WARNING" not in out.partition("found in")[0]
    code, out, error = run(f"two {options} --append")
    assert code == 0, error
    assert 'WARNING split_at is as usual here, and was ["/goal"] in the import before' in out


def test_a_recording_that_does_not_add_up_is_refused_and_may_be_accepted(run, bags, tmp_path):
    metadata = bags.write_bag(tmp_path / "bag", recorded(bags)) / "metadata.yaml"
    metadata.write_text(re.sub(r"message_count: \d+", "message_count: 44", metadata.read_text()))
    code, _, error = run("bag")
    assert code == 1
    assert "bag is incomplete: 4 messages of /image are missing: metadata.yaml counts 44" in error
    assert error.endswith("use --accept-damaged to import the rest")
    assert not (tmp_path / "data").exists()
    code, out, _ = run("bag --accept-damaged")
    assert code == 0
    assert "/image    44 messages = 40 used + 4 missing; metadata.yaml counts 44" in out
    assert "accepted as it is: 4 messages of /image are missing" in out
    assert book()[0]["messages"]["/odom"]["missing"] == 4


def test_counts_that_are_only_advice_are_named_and_not_followed(run, bags, tmp_path):
    metadata = bags.write_bag(tmp_path / "bag", recorded(bags)) / "metadata.yaml"
    metadata.write_text(re.sub(r"message_count: \d+", "message_count: 0", metadata.read_text()))
    code, out, _ = run("bag")
    assert code == 0
    assert "/image    40 messages = 40 used; metadata.yaml counts 0" in out
    assert [len(episode) for episode in Dataset("data/d")] == [STEPS - 1]


def test_topics_that_are_left_out_are_named_with_the_reason(run, bags, mcaps, tmp_path):
    content = mcaps.Content({}, {}, [])
    for topic, t, message in recorded(bags):
        name = message.__msgtype__
        number = {"/image": 1, "/odom": 2, "/cmd_vel": 3}[topic]
        content.schemas[number] = (name, "ros2msg", mcaps.definition(name))
        content.channels[number] = (number, topic, "cdr")
        data = bytes(bags.STORE.serialize_cdr(message, name))
        content.messages.append((number, round(t * mcaps.NS), data))
    content.channels[9] = (0, "/log", "json")
    content.messages.append((9, 100 * mcaps.NS, b"{}"))
    mcaps.write(tmp_path / "a.mcap", content, profile="", message_index=False, statistics=False)
    code, out, _ = run("a.mcap")
    assert code == 0
    assert "left out: its messages are encoded as 'json', not 'cdr'" in out
    assert list(book()[0]["left_out"]) == ["/log"]
    assert [len(episode) for episode in Dataset("data/d")] == [STEPS - 1]
    assert run("a.mcap --append --image /log")[2].startswith(
        "import_bag: /log is of type no schema"
    )
