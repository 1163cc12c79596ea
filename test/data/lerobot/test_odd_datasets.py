"""LeRobot datasets whose names, rows, times or numbers do not fit each other: said, or refused."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("av", reason="av is not installed")
import cv2
import pyarrow
import pyarrow.parquet

from wm_mpc.cli import import_lerobot
from wm_mpc.data.bag_config import ONLY_BAGS
from wm_mpc.data.episodes import Dataset

RECORDED = Path(__file__).parent / "recorded"
OPTIONS = "--min-steps 3 --frame-skip 1 --image-size 32"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run `import_lerobot` in an empty folder: exit code, output, last line of the errors."""
    monkeypatch.chdir(tmp_path)

    def run(path: Path, arguments: str = ""):
        code = import_lerobot.main(shlex.split(f"{path} {OPTIONS} {arguments}"))
        said = capsys.readouterr()
        return code, said.out, said.err.strip().split("\n")[-1]

    return run


@pytest.fixture
def odd(tmp_path):
    """Copies of a recorded dataset with other names, other columns, other entries of info.json."""
    made = []

    def make(names: Any = None, info: Any = None, **columns: Any) -> Path:
        path = tmp_path / f"odd_{len(made)}"
        made.append(path)
        shutil.copytree(RECORDED / "v21_image", path)
        table = json.loads((path / "meta/info.json").read_text())
        if names is not None:
            for key in ("action", "observation.state"):
                table["features"][key]["names"] = names
        (path / "meta/info.json").write_text(json.dumps(table | (info or {})))
        for file in sorted((path / "data").rglob("*.parquet")):
            rows = pyarrow.parquet.read_table(file)
            if len(made) > 1:  # another dataset, also where the rest is the same
                place = rows.column_names.index("index")
                moved = pyarrow.array([k + 1000 * len(made) for k in range(rows.num_rows)])
                rows = rows.set_column(place, "index", moved)
            for name, values in columns.items():
                key = name.replace("__", ".")
                made_of = pyarrow.array([values(k) for k in range(rows.num_rows)])
                rows = rows.set_column(rows.column_names.index(key), key, made_of)
            pyarrow.parquet.write_table(rows, file)
        return path

    return make


def dataset(path: str = "data/my_robot") -> Dataset:
    return Dataset(Path(path))


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("names", "ours"),
    [
        (["left/j1", "right/j1"], ("left/j1", "right/j1")),
        (["arm/j1.pos", "arm/j2.pos"], ("arm/j1", "arm/j2")),
        ({"arm": ["j1"], "gripper": ["finger"]}, ("j1", "finger")),
        ({"j2": 1, "j1": 0}, ("j1", "j2")),
    ],
)
def test_joints_keep_their_whole_names(run, odd, names, ours):
    code, out, error = run(odd(names), "--action-kind position")
    assert code == 0, error
    assert dataset().spec.action.names == dataset().spec.state.names == ours
    assert "numbers, but" not in out


@pytest.mark.parametrize("names", [["j1"], ["j1", "j2", "j3"], {"a": ["j1"], "b": ["j2", "j3"]}])
def test_names_that_do_not_fit_the_numbers_are_a_warning(run, odd, names):
    code, out, _ = run(odd(names), "--action-kind position")
    assert code == 0
    assert f"WARNING action has 2 numbers, but {1 if names == ['j1'] else 3} names (j1" in out
    assert dataset().spec.action.names == ("action_0", "action_1")
    assert "WARNING the state has no action_0, action_1. A robot moved by positions needs" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--action-names vy,other", "action has vx, vy, and no other"),
        ("--state-names x,yy", "observation.state has x, y, and no yy"),
        ("--state-names yy", "observation.state has x, y, and no yy"),
    ],
)
def test_a_mistyped_name_beside_a_known_one_is_no_new_name(run, odd, options, said):
    """It would rename columns in order, and give `vy` the numbers of `vx`."""
    code, _, error = run(odd(), f"{options} --action-kind velocity")
    assert code == 1
    assert said in error


def test_new_names_for_all_numbers_are_accepted(run, odd):
    assert run(odd(), "--action-names a,b --action-kind velocity")[0] == 0
    assert dataset().spec.action.names == ("a", "b")


# ------------------------------------------------------------------------------------- times


@pytest.mark.parametrize("period", [0.04, 0.05, 0.2])
def test_timestamps_count_more_than_fps(run, odd, period):
    code, out, _ = run(odd(timestamp=lambda k: k * period))
    assert code == 0
    assert dataset().spec.control_period == period
    assert [len(e.actions) for e in dataset()] == [11, 7, 9]
    assert f"WARNING info.json says 10 fps, but the frames are {period:g} s apart" in out


def test_timestamps_that_jitter_are_those_of_fps(run, odd):
    _, out, _ = run(odd(timestamp=lambda k: k * 0.1 + 0.0005 * (-1) ** k))
    assert "control period 0.1 s, from 10 fps" in out
    assert "WARNING" not in out


def test_timestamps_that_are_no_seconds_are_named(run, odd):
    code, _, error = run(odd(timestamp=lambda k: k * 100))
    assert code == 1
    assert "the frames are 100 s apart by their timestamps" in error
    assert "must be seconds" in error


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, None, 1e300])
def test_a_frame_without_a_usable_time_is_refused(run, odd, bad):
    code, _, error = run(odd(timestamp=lambda k: bad if k == 3 else k * 0.1))
    assert code == 1
    assert "timestamps of episode 0 do not ascend" in error


# ----------------------------------------------------------------------------------- numbers


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [1e39, -1e300, np.inf, np.nan, None])
@pytest.mark.parametrize("key", ["action", "observation__state"])
def test_a_number_that_float32_cannot_hold_leaves_its_frame_out(run, odd, key, bad):
    path = odd(**{key: lambda k: [bad if k == 3 else 0.1 * k, 0.1 * (k % 3)]})
    code, out, error = run(path)
    assert code == 0, error
    assert "3 frames: state or action is not finite, or beyond float32" in out
    assert all(np.isfinite(e.states).all() and np.isfinite(e.actions).all() for e in dataset())
    assert np.abs(dataset().spec.action.high).max() < 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (lambda k: [0.1 * k, 0.1, 9.0], "have 3 numbers; meta/info.json says 2"),
        (lambda k: [0.1 * k], "have 1 numbers; meta/info.json says 2"),
        (lambda k: [0.1 * k, 0.2][: 1 + k % 2], "have different lengths"),
        (lambda k: ["a", "b"], "are not numbers"),
        (lambda k: None if k == 3 else [0.1, 0.2], "have different lengths"),
    ],
)
def test_rows_of_another_size_are_refused(run, odd, row, said):
    code, _, error = run(odd(action=row))
    assert code == 1
    assert said in error


def test_joints_that_jump_by_a_turn_are_angles(run, odd):
    around = lambda k: (0.5 * k + 2.5 + np.pi) % (2 * np.pi) - np.pi  # noqa: E731
    path = odd(["j1", "j2"], observation__state=lambda k: [around(k), 0.1 * k])
    code, out, _ = run(path, "--action-kind velocity")
    assert code == 0
    assert dataset().spec.state.angles == ("j1",)
    assert "angles that wrap at +-pi: j1 (jumps by a turn 3 times)" in out
    turned = np.diff(dataset().read(0).states[:, 0])
    assert np.abs((turned + np.pi) % (2 * np.pi) - np.pi).max() < 0.51


def test_episodes_that_begin_elsewhere_make_no_angle(run, odd):
    """Between two episodes somebody moves the arm."""
    path = odd(["j1", "j2"], observation__state=lambda k: [-3.0 + 6.0 * (k > 5) * 0.1 * k, 0.1])
    assert run(path, "--action-kind velocity")[0] == 0
    assert dataset().spec.state.angles == ()


# ---------------------------------------------------------------------------- what is claimed


@pytest.mark.parametrize("copy", ["chunk-000/episode_000000 (copy).parquet", "chunk-001/a.parquet"])
def test_an_episode_in_two_files_is_refused(run, odd, copy):
    path = odd()
    (path / "data/chunk-001").mkdir()
    shutil.copy(path / "data/chunk-000/episode_000000.parquet", path / "data" / copy)
    code, _, error = run(path)
    assert code == 1
    assert "episode 0 is in data/chunk-000/episode_000000" in error
    assert "remove one of the files" in error


def test_files_that_a_file_manager_adds_do_not_matter(run, odd):
    path = odd()
    (path / "data/chunk-000/._episode_000000.parquet").write_bytes(b"\0\5\x16\7")
    assert run(path)[0] == 0


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"features": []}, "meta/info.json has features []; accepted: a table by key"),
        ({"features": {"action": 3}}, "is 3; accepted: a table with dtype and shape"),
        ({"features": {"action": None}}, "feature action in "),
        ({"features": {"action": {"shape": [2]}}}, "has no dtype; accepted: image, video, or"),
        ({"features": {"action": {"dtype": "float32"}}}, "has no shape; accepted: a list of whole"),
        ({"features": {"a": {"dtype": "int64", "shape": "2"}}}, "has shape '2'; accepted: a list"),
        ({"fps": "ten"}, "meta/info.json has fps 'ten'; accepted: a number above 0 and below"),
        ({"fps": None}, "meta/info.json has fps None; accepted: a number above 0 and below"),
        ({"total_episodes": 9}, "info.json claims 9 episodes, the files have 3"),
    ],
)
def test_an_odd_description_is_one_sentence(run, odd, info, said):
    code, _, error = run(odd(info=info))
    assert code == 1
    assert said in error


def test_a_description_without_fps_names_it(run, odd):
    path = odd()
    info = json.loads((path / "meta/info.json").read_text())
    del info["fps"]
    (path / "meta/info.json").write_text(json.dumps(info))
    code, _, error = run(path)
    assert code == 1
    assert "meta/info.json has no fps; accepted: a number above 0 and below" in error


def test_missing_texts_of_tasks_are_said(run, odd):
    path = odd()
    (path / "meta/tasks.jsonl").unlink()
    code, out, _ = run(path)
    assert code == 0
    assert "the texts of the tasks are missing (meta/tasks.parquet or meta/tasks.jsonl)" in out
    code, _, error = run(path, "--instruction push --dataset data/other")
    assert code == 1
    assert "no task is 'push'; the tasks are: none; the texts of the tasks are missing" in error


def test_velocities_along_two_axes_have_one_unit(run, odd):
    assert run(odd(names=["vx", "vy"]), "--no-state")[0] == 0
    assert dataset().spec.action.unit == "m/s"
    assert run(odd(names=["vx", "wz"]), "--no-state --dataset data/turns")[0] == 0
    assert dataset("data/turns").spec.action.unit == "m/s, rad/s"


def test_rows_without_an_episode_are_missing_frames(run, odd):
    path = odd(episode_index=lambda k: None if k == 3 else 0)
    for number in (1, 2):
        (path / f"data/chunk-000/episode_{number:06d}.parquet").unlink()
    code, _, error = run(path)
    assert code == 1
    assert "1 rows have no episode_index" in error


def test_an_episode_of_two_tasks_is_said(run, odd):
    code, out, _ = run(odd(task_index=lambda k: int(k > 4)))
    assert code == 0
    assert "the rows of episode 0 are of several tasks (push, pull); it counts as the first" in out


def test_an_episode_without_a_task_is_imported(run, odd):
    code, out, error = run(odd(task_index=lambda k: None if k else 0))
    assert code == 0, error
    assert "several tasks (push, unknown)" in out


def test_pictures_of_16_bits_take_a_stated_range(run, odd):
    png = cv2.imencode(".png", np.full((32, 32), 500, np.uint16))[1].tobytes()
    path = odd(observation__images__front=lambda k: {"bytes": png, "path": None})
    code, _, error = run(path)
    assert code == 1
    assert "--image-range" in error
    assert run(path, "--image-range 0,1000")[0] == 0
    assert dataset().spec.image.value_range == (0.0, 1000.0)
    assert (dataset().read(0).images == 128).all()


def test_limits_without_a_standstill_are_said(run, odd):
    code, out, _ = run(odd(), "--action-low=.2,-1 --action-high=1,1")
    assert code == 0
    assert "WARNING the limits of the actions exclude 0, so a hold commands vx 0.2" in out


# -------------------------------------------------------------------------------- extending


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--action-names vy,vx", "action.names is vy, vx, but vx, vy in the dataset"),
        ("--action-kind effort", "action.kind is effort, but velocity in the dataset"),
        ("--control-period 0.2", "control_period is 0.2, but 0.1 in the dataset"),
        ("--action-high=9,9", "action.high is 9.0, 9.0, but 0.94"),
        ("--history 3", "history is 3, but 1 in the dataset"),
        ("--no-state", "state.names is empty, but x, y in the dataset"),
        ("--image-range 0,9", "image.value_range is 0.0, 9.0, but not set in the dataset"),
    ],
)
def test_a_setting_that_contradicts_the_extended_dataset_is_refused(run, odd, options, said):
    path = odd()
    assert run(path)[0] == 0
    code, _, error = run(path, f"--append {options}")
    assert code == 1
    assert said in error
    assert len(dataset()) == 3
    assert run(odd(), "--append")[0] == 0
    assert len(dataset()) == 6


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b"], "action has a, b, and no vx, vy"),
        (["vx.torque", "vy.torque"], "of kind effort by their names"),
    ],
)
def test_another_robot_does_not_extend_a_dataset(run, odd, names, said):
    run(odd())
    code, _, error = run(odd(names), "--append --state-names x,y")
    assert code == 1
    assert said in error


def test_the_same_numbers_in_another_order_extend_a_dataset_by_name(run, odd):
    run(odd())
    code, _, error = run(odd(["vy", "vx"]), "--append --state-names x,y --action-low=-9,-9")
    assert code == 1, "limits contradict"
    names = odd()
    table = json.loads((names / "meta/info.json").read_text())
    table["features"]["action"]["names"] = ["vy", "vx"]
    (names / "meta/info.json").write_text(json.dumps(table))
    code, _, error = run(names, "--append")
    assert code == 0, error
    first, again = dataset().read(0).actions, dataset().read(3).actions
    low, high = dataset().spec.action.low, dataset().spec.action.high
    np.testing.assert_allclose(again, np.clip(first[:, ::-1], low, high), atol=1e-6)


# --------------------------------------------------------------------- settings of recordings

BAG_SETTINGS = {
    "stamps": ("receive", "stamps receive"),
    "stamp_offset": (0.5, "stamp_offset 0.5"),
    "split_at": (["/reset"], "split_at ['/reset']"),
    "split_pause": (0.6, "split_pause 0.6"),
    "image.topic": ("/camera", "image.topic /camera"),
    "state.topic": ("/odom", "state.topic /odom"),
    "action.topic": ("/cmd", "action.topic /cmd"),
    "action.points": ("at", "action.points at"),
    "action.timeout": (0.2, "action.timeout 0.2"),
    "action.max_silence": (5.0, "action.max_silence 5.0"),
}


def settings_file(path: Path, name: str, value: Any) -> Path:
    section, _, entry = name.rpartition(".")
    path.write_text(json.dumps({section: {entry: value}} if section else {entry: value}))
    return path


@pytest.mark.parametrize("name", BAG_SETTINGS)
def test_settings_that_only_recordings_have_are_said_to_count_for_nothing(run, tmp_path, name):
    value, said = BAG_SETTINGS[name]
    file = settings_file(tmp_path / "settings.yaml", name, value)
    code, output, _ = run(RECORDED / "v21_image", f"--task said --config {file}")
    assert code == 0
    warned = next(line for line in output.splitlines() if line.startswith("WARNING"))
    assert warned == (
        f"WARNING settings that count for nothing here: {said}; only import_bag reads them"
    )


def test_settings_that_count_are_not_said_to_count_for_nothing(run, tmp_path):
    file = settings_file(tmp_path / "settings.yaml", "image.feature", "observation.images.front")
    _, output, _ = run(RECORDED / "v21_image", f"--task said --config {file} --max-gap 1")
    assert "count for nothing" not in output


def test_all_settings_of_one_import_only_are_tried_here():
    assert tuple(BAG_SETTINGS) == ONLY_BAGS
