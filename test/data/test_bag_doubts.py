"""Arrays without names, commands beside the actions, frames that change: inferred, or said."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from typing import Any

import numpy as np
import pytest

from wm_mpc.cli import import_bag
from wm_mpc.data.bag import BagError
from wm_mpc.data.episodes import Dataset

STEPS = 60
NAMES = ["j2", "j1"]


def places(k):
    return np.cos(k / 9), np.sin(k / 9)  # of j2 and of j1


def recording(bags, path, *, command=None, state=None, topic="/commands", start=1000.0):
    """Pictures with the joints j2 and j1, or another state, and commands, each 0.1 s."""
    make, rows = bags.Make(), []
    command = command or (lambda make, k: make.numbers(*places(k + 1)[::-1]))
    state = state or (lambda make, t, k: make.joints(t, NAMES, places(k)))
    for k in range(STEPS):
        t = start + 0.1 * k
        rows.append(("/image", t, make.image(t, bags.gray(k))))
        measured = state(make, t, k)
        kind = measured.__msgtype__
        rows.append(("/odom" if "Odometry" in kind else "/joint_states", t, measured))
        rows.append((topic, t + 0.001, command(make, k)))
    return bags.write_bag(path, rows)


def notes_of(read):
    return "\n".join([*read.description.notes, *read.description.doubts])


# ------------------------------------------------------------------------------------ arrays


@pytest.mark.parametrize("first", [[], [0.5], [0.1, 0.2, 0.3]])
@pytest.mark.parametrize("role", ["command", "state"])
def test_most_arrays_say_how_many_numbers_there_are_not_the_first(bags, tmp_path, role, first):
    array = lambda make, k: make.numbers(*(first if k == 0 else places(k)))  # noqa: E731
    given: dict[str, Any] = {"command": array}
    if role == "state":
        given = {"state": lambda make, t, k: array(make, k),
                 "command": lambda make, k: make.twist(vx=np.sin(k), wz=np.cos(k))}  # fmt: skip
    with bags.reading(recording(bags, tmp_path / "bag", **given)) as read:
        spec = read.description.spec
        assert (spec.action.size if role == "command" else spec.state.size) == 2
        assert read.drafts.steps >= STEPS - 3
        assert f"has {len(first)} numbers; 2 are needed" in read.report


def test_arrays_that_are_all_empty_are_one_sentence(bags, tmp_path):
    path = recording(bags, tmp_path / "bag", command=lambda make, k: make.numbers())
    with pytest.raises(BagError, match="no message of /commands has a number"):
        bags.reading(path).__enter__()


def test_joints_that_follow_an_array_are_its_positions_in_its_order(bags, tmp_path):
    """joint_states are sorted by name or not; an array has the order of its controller."""
    with bags.reading(recording(bags, tmp_path / "bag")) as read:
        spec = read.description.spec
        assert spec.action.kind == "position"
        assert spec.action.names == ("j1", "j2")
        assert spec.action.unit == "rad"
        assert "kind position: the joints j1, j2 follow them" in notes_of(read)
        assert "WARNING" not in notes_of(read)
        at = read.joined("actions")[:, 0]
        np.testing.assert_allclose(at[5:9], np.sin(np.arange(6, 10) / 9), atol=1e-3)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("/forward_position_controller/commands", "position"),
        ("/joint_group_velocity_controller/commands", "velocity"),
        ("/arm_Effort_controller/commands", "effort"),
        ("/torque/commands", "effort"),
    ],
)
def test_the_name_of_a_controller_says_the_kind(bags, tmp_path, topic, kind):
    noise = np.random.default_rng(3).uniform(-1, 1, (STEPS, 2))
    path = recording(
        bags, tmp_path / "bag", topic=topic, command=lambda make, k: make.numbers(*noise[k])
    )
    with bags.reading(path) as read:
        assert read.description.spec.action.kind == kind
        assert f"kind {kind}, by the name of {topic}" in notes_of(read)


def test_a_kind_that_nothing_shows_is_a_warning(bags, tmp_path):
    noise = np.random.default_rng(3).uniform(-1, 1, (STEPS, 2))
    path = recording(bags, tmp_path / "bag", command=lambda make, k: make.numbers(*noise[k]))
    with bags.reading(path) as read:
        assert read.description.spec.action.kind == "velocity"
        assert "WARNING nothing in /commands shows whether its numbers are" in notes_of(read)
    with bags.reading(path, action={"kind": "effort"}) as read:
        assert "WARNING" not in notes_of(read)


def test_positions_that_nobody_measures_are_a_warning(bags, tmp_path):
    path = recording(bags, tmp_path / "bag")
    with bags.reading(path, action={"kind": "position", "names": ["a", "b"]}) as read:
        assert "WARNING no position of a, b was measured in this recording" in notes_of(read)
    with bags.reading(path, action={"kind": "position", "names": ["j1", "j2"]}) as read:
        assert "WARNING" not in notes_of(read)


def layout(bags, message, sizes, offset=0):
    dims = [bags.STORE.types["std_msgs/msg/MultiArrayDimension"](f"d{n}", n, n) for n in sizes]
    made = bags.STORE.types["std_msgs/msg/MultiArrayLayout"](dims, offset)
    return dataclasses.replace(message, layout=made)


@pytest.mark.parametrize(
    ("sizes", "said"), [((2,), ""), ((1, 2), ""), ((7,), "is 7,"), ((2, 2), "is 2 x 2,")]
)
def test_a_layout_that_contradicts_a_row_of_numbers_is_said(bags, tmp_path, sizes, said):
    repeated = 2 if sizes == (2, 2) else 1

    def command(make, k):
        return layout(bags, make.numbers(*places(k + 1) * repeated), sizes)

    with bags.reading(recording(bags, tmp_path / "bag", command=command)) as read:
        assert ("WARNING the layout of /commands" in notes_of(read)) == bool(said)
        assert said in notes_of(read)


def test_padding_at_the_front_of_an_array_is_no_number(bags, tmp_path):
    def command(make, k):
        return layout(bags, make.numbers(77.0, *places(k + 1)[::-1]), (2,), offset=1)

    with bags.reading(recording(bags, tmp_path / "bag", command=command)) as read:
        assert read.description.spec.action.names == ("j1", "j2")
        assert max(read.description.spec.action.high) <= 1.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [1e39, -1e300, np.inf, np.nan])
def test_commands_that_float32_cannot_hold_are_left_out(bags, tmp_path, bad):
    def command(make, k):
        return make.numbers(bad if k == 9 else places(k)[0], places(k)[1])

    with bags.reading(recording(bags, tmp_path / "bag", command=command)) as read:
        assert "1 messages of /commands: action[0] is" in read.report
        assert np.abs(read.joined("actions")).max() <= 1.0


# -------------------------------------------------------------------- what is left out, mixed


def test_commands_beside_the_actions_are_said(bags, tmp_path):
    def command(make, k):
        return make.twist(vx=0.1 * np.sin(k), vy=0.3 * np.cos(k), wz=0.1 * np.cos(k))

    path = recording(bags, tmp_path / "bag", command=command, topic="/cmd_vel")
    with bags.reading(path, action={"names": ["vx", "wz"]}) as read:
        assert "WARNING /cmd_vel also commands vy (up to 0.3)" in notes_of(read)
    with bags.reading(path) as read:
        assert "also commands" not in notes_of(read)


@pytest.mark.parametrize("kind", ["joints", "trajectory"])
def test_joints_commanded_beside_the_actions_are_said(bags, tmp_path, kind):
    def command(make, k):
        row = [*places(k + 1)[::-1], 0.01 * k]
        if kind == "joints":
            return make.joints(1000.0 + 0.1 * k, ["j1", "j2", "finger"], row)
        return make.trajectory(1000 + 0.1 * k, ["j1", "j2", "finger"], [row], field="positions")

    path = recording(bags, tmp_path / "bag", command=command, topic="/planned_actions")
    settings = {"names": ["j1", "j2"], "topic": "/planned_actions"}
    with bags.reading(path, action=settings, control_period=0.1) as read:
        assert "WARNING /planned_actions also commands finger" in notes_of(read)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, k: setattr(m, "child_frame_id", "base" if k < 30 else "foot"),
         "child_frame_id (30 'base', 30 'foot')"),
        (lambda m, k: setattr(m.header, "frame_id", "map" if k % 3 else "odom"),
         "frame_id (20 'odom', 40 'map')"),
        (lambda m, k: setattr(m.header, "frame_id", "odom"), ""),
    ],
)  # fmt: skip
def test_odometry_of_several_frames_is_said(bags, tmp_path, change, said):
    def state(make, t, k):
        message = make.odometry(t, x=0.1 * k, vx=0.1 * np.sin(k))
        object.__setattr__(message, "header", message.header)
        change(_Open(message), k)
        return message

    class _Open:
        """Sets fields of a frozen message."""

        def __init__(self, message):
            object.__setattr__(self, "_message", message)

        def __getattr__(self, name):
            return _Open(getattr(self._message, name))

        def __setattr__(self, name, value):
            object.__setattr__(self._message, name, value)

    path = recording(
        bags, tmp_path / "bag", state=state, topic="/cmd_vel",
        command=lambda make, k: make.twist(vx=0.1 * np.sin(k), wz=0.1 * np.cos(k)),
    )  # fmt: skip
    with bags.reading(path) as read:
        assert ("WARNING the messages of /odom are of several frames" in notes_of(read)) == bool(
            said
        )
        assert said in notes_of(read)


def test_limits_without_a_standstill_are_said(bags, tmp_path):
    path = recording(
        bags, tmp_path / "bag", topic="/cmd_vel",
        command=lambda make, k: make.twist(vx=0.1 * np.sin(k), wz=0.1 * np.cos(k)),
    )  # fmt: skip
    limits = {"low": [0.05, -0.1], "high": [0.2, 0.1]}
    with bags.reading(path, action=limits) as read:
        said = "WARNING the limits of the actions exclude 0, so a hold commands vx 0.05"
        assert said in notes_of(read)
        assert said in read.report


# --------------------------------------------------------------------------------- extending


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--action-names j2,j1", "action.names is j2, j1, but j1, j2 in the dataset"),
        ("--action-kind effort", "action.kind is effort, but position in the dataset"),
        ("--control-period 0.2 --history 4", "control_period is 0.2, but 0.1 in the dataset; "
         "history is 4, but 1"),
        ("--image-size 32", "image.height is 32, but 16 in the dataset"),
        ("--state-names j1", "state.names is j1, but j2, j1 in the dataset"),
    ],
)  # fmt: skip
def test_a_setting_that_contradicts_the_extended_dataset_is_refused(
    bags, tmp_path, capsys, options, said
):
    path, dataset = recording(bags, tmp_path / "bag"), tmp_path / "dataset"
    once = f"{path} --dataset {dataset} --frame-skip 1 --image-size 16"
    assert import_bag.main(shlex.split(once)) == 0
    assert import_bag.main(shlex.split(f"{once} --append {options}")) == 1
    assert said in capsys.readouterr().err
    assert len(Dataset(dataset)) == 1
    other = recording(bags, tmp_path / "other", start=2000.0)
    assert import_bag.main(shlex.split(f"{other} --dataset {dataset} --append")) == 0
    assert Counter(len(episode.actions) for episode in Dataset(dataset)) == {STEPS - 2: 2}
