"""Datasets that the real lerobot wrote (0.3.2: v2.1, 0.4.3: v3.0), through `import_lerobot`."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("av", reason="av is not installed")
import pyarrow
import pyarrow.parquet

from wm_mpc.cli import export_lerobot, import_lerobot, train
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.spec import ActionSpec, CameraSpec, ImageSpec, RobotSpec, StateSpec

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
KINDS = ["v21_image", "v21_video", "v30_image", "v30_video"]
_spec = importlib.util.spec_from_file_location("make_recorded", HERE / "make_recorded.py")
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run `import_lerobot` in an empty folder: exit code, output, last line of the errors."""
    monkeypatch.chdir(tmp_path)

    def run(arguments: str, main: Any = import_lerobot.main):
        try:
            code = main(shlex.split(arguments))
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err.strip().split("\n")[-1]

    return run


@pytest.fixture
def changed(tmp_path):
    """A copy of a recorded dataset whose info.json is changed."""

    def change(kind: str, **values: Any) -> Path:
        path = tmp_path / f"changed_{kind}"
        shutil.copytree(RECORDED / kind, path)
        info = json.loads((path / "meta/info.json").read_text())
        (path / "meta/info.json").write_text(json.dumps(info | values))
        return path

    return change


def rewrite(path: Path, change: Any) -> None:
    """Change the first parquet file of the rows."""
    file = sorted((path / "data").rglob("*.parquet"))[0]
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(file)), file)


def column(table: Any, name: str, values: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, pyarrow.array(values))


# ------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_what_was_recorded(run, tmp_path, kind):
    code, out, _ = run(f"{RECORDED / kind} --task push --min-steps 5 --image-size 32")
    assert code == 0
    episodes = list(Dataset(tmp_path / "data" / "push"))
    assert [len(e) for e in episodes] == [n - 1 for n in made.LENGTHS]
    for number, episode in enumerate(episodes):
        np.testing.assert_array_equal(episode.states, made.states(number))
        np.testing.assert_array_equal(episode.actions, made.actions(number)[:-1])
        wanted = np.stack([made.frame(number, k) for k in range(made.LENGTHS[number])])
        away = np.abs(episode.images.astype(int) - wanted)
        if kind.endswith("image"):
            assert away.max() == 0
        else:  # a video is not exact, but shows no other frame or episode: they are 18 and 60 apart
            assert away[:, 4:28, [4, 8, 24, 28]].max() < 6
    assert "actions are of kind velocity" in out
    assert "state x, y; at run time mpc reads it from odom" in out
    assert "control period 0.1 s, from 10 fps" in out
    assert "task 'push': 2 episodes" in out
    assert out.rstrip().endswith("episodes 3")


def test_features_are_listed_and_nothing_is_made(run, tmp_path):
    code, out, _ = run(f"{RECORDED / 'v30_video'} --list")
    assert code == 0
    assert "observation.images.front  video    32x32x3" in out
    assert "action                    float32  2          vx, vy" in out
    assert "pull" in out
    assert not (tmp_path / "data").exists()


def test_one_task_of_several_is_chosen_by_its_text(run, tmp_path):
    code, out, _ = run(f"{RECORDED / 'v30_image'} --instruction pull --min-steps 5 --image-size 32")
    assert code == 0
    (episode,) = list(Dataset(tmp_path / "data" / "my_robot"))
    np.testing.assert_array_equal(episode.states, made.states(2))
    assert "20 frames: of another task" in out
    code, _, error = run(f"{RECORDED / 'v30_image'} --instruction lift --dataset other")
    assert code == 1
    assert "no task is 'lift'; the tasks are: 'push', 'pull'" in error
    assert not list((tmp_path / "other").glob("episodes/*"))


@pytest.mark.parametrize("kind", ["v21_video", "v30_video"])
def test_a_longer_control_period_takes_every_second_frame(run, tmp_path, kind):
    run(f"{RECORDED / kind} --control-period 0.2 --min-steps 3 --image-size 32")
    episodes = list(Dataset(tmp_path / "data" / "my_robot"))
    np.testing.assert_allclose(episodes[0].states, made.states(0)[::2], atol=1e-6)
    shown = episodes[0].images[:, 16, 28, 0].astype(int)
    np.testing.assert_allclose(
        shown, [made.frame(0, k)[16, 28, 0] for k in range(0, 12, 2)], atol=6
    )


@pytest.mark.slow
def test_train_takes_it(run, tmp_path):
    run(f"{RECORDED / 'v30_video'} --min-steps 3 --frame-skip 1 --image-size 32")
    (tmp_path / "tiny.yaml").write_text(
        "horizon: 2\nrepresentation_updates: 2\nrepresentation_batch: 2\nembedding_updates: 2\n"
        "proposals_updates: 2\ndynamics_updates: 2\ndynamics_batch: 4\nthreads: 1\n"
        "architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}\n"
    )
    code, _, error = run(
        "--dataset data/my_robot --config tiny.yaml --workers 1 --synthesis none", train.main
    )
    assert code == 0, error


# ------------------------------------------------------------------------- what is inferred


def joints(path: Path, names: list[str], scale: float, lag: int, kind: str = "v21_image") -> Path:
    """A copy whose actions are where the joints are `lag` frames later."""
    shutil.copytree(RECORDED / kind, path)
    info = json.loads((path / "meta/info.json").read_text())
    for key in ("action", "observation.state"):
        info["features"][key]["names"] = names
    (path / "meta/info.json").write_text(json.dumps(info))
    for file in (path / "data").rglob("*.parquet"):
        table = pyarrow.parquet.read_table(file)
        count = table.num_rows
        phase = 0.3 * np.arange(count + lag)[:, None] + [0.0, 1.0]
        turned = scale * np.sin(phase)
        table = column(table, "observation.state", turned[:count].astype(np.float32).tolist())
        table = column(table, "action", turned[lag:].astype(np.float32).tolist())
        pyarrow.parquet.write_table(table, file)
    return path


def test_an_arm_whose_actions_are_near_its_state_is_moved_by_positions(run, tmp_path):
    path = joints(tmp_path / "arm", ["pan.pos", "lift.pos"], 20.0, 1)
    code, out, error = run(f"{path} --degrees --min-steps 3 --image-size 32")
    assert code == 0, error
    spec = Dataset(tmp_path / "data" / "my_robot").spec
    assert spec.action.kind == "position"
    assert spec.action.names == spec.state.names == ("pan", "lift")
    assert (spec.action.unit, spec.state.unit) == ("rad", ("rad", "rad"))
    assert spec.state.source == "joint_states"
    first = Dataset(tmp_path / "data" / "my_robot").read(0)
    stored = pyarrow.parquet.read_table(sorted((path / "data").rglob("*.parquet"))[0])
    degrees = np.array(stored.column("observation.state").to_pylist())
    np.testing.assert_allclose(first.states, np.deg2rad(degrees), atol=1e-6)
    low, high = np.array(spec.action.low), np.array(spec.action.high)
    assert (first.states >= low - 1e-6).all()
    assert (first.states <= high + 1e-6).all()
    assert "WARNING" not in out


def test_units_that_nobody_states_are_a_warning(run, tmp_path):
    path = joints(tmp_path / "arm", ["pan.pos", "lift.pos"], 20.0, 1)
    _, out, _ = run(f"{path} --min-steps 3 --image-size 32")
    assert "WARNING the dataset does not state units" in out
    assert "--degrees" in out


def test_actions_of_unknown_kind_are_refused(run, tmp_path):
    path = joints(tmp_path / "arm", ["pan", "lift"], 20.0, 0)
    rewrite_all = np.random.default_rng(5)
    for file in (path / "data").rglob("*.parquet"):
        table = pyarrow.parquet.read_table(file)
        noise = rewrite_all.normal(0, 50, (table.num_rows, 2)).astype(np.float32)
        pyarrow.parquet.write_table(column(table, "action", noise.tolist()), file)
    code, _, error = run(f"{path} --min-steps 3")
    assert code == 1
    assert "do not show whether they are positions, velocities or efforts" in error
    assert "--action-kind" in error
    assert run(f"{path} --min-steps 3 --action-kind effort --image-size 32")[0] == 0


def test_names_that_end_in_vel_are_velocities(run, tmp_path):
    path = joints(tmp_path / "arm", ["pan.vel", "lift.vel"], 0.1, 1)
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 0, error
    spec = Dataset(tmp_path / "data" / "my_robot").spec
    assert (spec.action.kind, spec.action.names) == ("velocity", ("pan", "lift"))
    assert spec.state.names == ("pan/velocity", "lift/velocity")


def test_numbers_without_names_get_names_that_fit_each_other(run, tmp_path):
    path = joints(tmp_path / "arm", None, 1.0, 1)
    assert run(f"{path} --min-steps 3 --image-size 32")[0] == 0
    spec = Dataset(tmp_path / "data" / "my_robot").spec
    assert spec.action.names == spec.state.names == ("state_0", "state_1")
    assert spec.action.kind == "position"


def test_names_nested_by_an_older_lerobot_are_read(run, tmp_path):
    path = joints(tmp_path / "arm", {"motors": ["pan", "lift"]}, 1.0, 1)
    assert run(f"{path} --min-steps 3 --image-size 32")[0] == 0
    assert Dataset(tmp_path / "data" / "my_robot").spec.action.names == ("pan", "lift")


# ------------------------------------------------------------------ what is refused, or said


@pytest.mark.parametrize(
    ("version", "said"),
    [("v1.6", "has layout 'v1.6'; accepted: v2.0, v2.1, v3.0"), ("", "without a version")],
)
def test_other_layouts_are_refused(run, changed, version, said):
    code, _, error = run(f"{changed('v21_image', codebase_version=version)}")
    assert code == 1
    assert said in error


def test_a_folder_without_a_dataset_is_refused_with_a_hint(run):
    code, _, error = run(str(RECORDED))
    assert code == 1
    assert "has no meta/info.json; there are some in it: v21_image, v21_video" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--image wrist", "image.feature is 'wrist'; the cameras are: observation.images.front"),
        ("--state pose", "no feature 'pose' for the state; it has: observation.state, action"),
        ("--action next.reward", "no feature 'next.reward' for the action"),
        ("--action-names a,b,c", "action.names is a, b, c; action has vx, vy"),
        ("--image-size 64 --min-steps 3", "is 32x32; the model wants 64x64 or larger"),
        (
            "--min-steps 50",
            "no episode of 50 steps is left: 30 frames in episodes of fewer than 50",
        ),
        ("--action-kind position --action-rule integrate", "accepted for positions: hold"),
        ("--config nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(run, tmp_path, options, said):
    code, _, error = run(f"{RECORDED / 'v30_image'} {options}")
    assert code == 1
    assert said in error
    assert not (tmp_path / "data" / "my_robot" / "dataset.json").exists()


def test_two_cameras_need_a_choice(run, changed, tmp_path):
    path = changed("v21_image")
    info = json.loads((path / "meta/info.json").read_text())
    info["features"]["observation.images.wrist"] = info["features"][made.CAMERA]
    (path / "meta/info.json").write_text(json.dumps(info))
    code, _, error = run(str(path))
    assert code == 1
    assert "2 cameras (observation.images.front, observation.images.wrist)" in error
    assert run(f"{path} --image {made.CAMERA} --min-steps 3 --image-size 32")[0] == 0


def test_frames_that_are_missing_are_refused_unless_accepted(run, changed, tmp_path):
    path = changed("v21_image")
    rewrite(path, lambda table: table.slice(0, 9))
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 1
    assert "episode 0 has 9 of 12 frames" in error
    assert "--accept-damaged" in error
    assert not (tmp_path / "data" / "my_robot" / "dataset.json").exists()
    code, out, _ = run(f"{path} --min-steps 3 --image-size 32 --accept-damaged")
    assert code == 0
    assert "accepted as it is: episode 0 has 9 of 12 frames" in out


def test_a_torn_file_is_named(run, changed):
    path = changed("v21_image")
    file = sorted((path / "data").rglob("*.parquet"))[1]
    file.write_bytes(file.read_bytes()[:-100])
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 1
    assert f"{file.name} cannot be read" in error


@pytest.mark.parametrize("kind", ["v21_video", "v30_video"])
def test_a_video_that_is_torn_or_missing_is_named(run, changed, tmp_path, kind):
    path = changed(kind)
    video = sorted(path.rglob("*.mp4"))[0]
    video.unlink()
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 1
    assert video.name in error
    assert "--accept-damaged leaves out episodes whose pictures cannot be read" in error
    assert not (tmp_path / "data" / "my_robot" / "dataset.json").exists()


def test_episodes_whose_pictures_cannot_be_read_may_be_left_out(run, changed, tmp_path):
    path = changed("v21_video")
    videos = sorted(path.rglob("*.mp4"))
    videos[0].unlink()
    videos[1].write_bytes(videos[1].read_bytes()[: videos[1].stat().st_size // 2])
    code, out, error = run(f"{path} --min-steps 3 --image-size 32 --accept-damaged")
    assert code == 0, error
    assert "20 frames: of episodes whose pictures cannot be read" in out
    for number, video in enumerate(videos[:2]):
        assert f"accepted as it is: episode {number} is left out: video" in out
        assert video.name in out
    assert len(Dataset(tmp_path / "data" / "my_robot")) == 1
    for video in videos[2:]:
        video.unlink()
    code, _, error = run(f"{path} --min-steps 3 --image-size 32 --accept-damaged --task none")
    assert code == 1
    assert "30 frames of episodes whose pictures cannot be read" in error
    assert not (tmp_path / "data" / "none" / "dataset.json").exists()


def test_a_dataset_is_imported_once(run, changed, tmp_path):
    path, options = changed("v21_image"), "--min-steps 3 --image-size 32"
    shutil.copytree(path, tmp_path / "copy")
    assert run(f"{path} {options} --instruction push")[0] == 0
    before = len(Dataset(tmp_path / "data" / "my_robot"))
    for again in (path, tmp_path / "copy"):
        for task in ("", "--instruction push"):
            code, _, error = run(f"{again} {options} --append {task}")
            assert code == 1
            assert "this recording is in dataset data/my_robot already" in error
    assert len(Dataset(tmp_path / "data" / "my_robot")) == before
    assert run(f"{path} {options} --append --instruction pull")[0] == 0
    assert run(f"{path} {options} --append --instruction pull")[0] == 1


def test_a_picture_in_a_row_that_cannot_be_decoded_leaves_its_episode_out(run, changed):
    path = changed("v21_image")

    def spoil(table):
        name = next(n for n in table.column_names if "images" in n)
        rows = table.column(name).to_pylist()
        rows[3] = {"bytes": b"junk", "path": None}
        return column(table, name, rows)

    rewrite(path, spoil)
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 1
    assert "frame 3 of observation.images" in error
    assert "--accept-damaged leaves out" in error
    code, out, error = run(f"{path} --min-steps 3 --image-size 32 --accept-damaged")
    assert code == 0, error
    assert "accepted as it is: episode 0 is left out: frame 3 of" in out


def test_a_state_that_is_not_finite_is_left_out_and_counted(run, changed, tmp_path):
    path = changed("v21_image")

    def break_one(table):
        states = table.column("observation.state").to_pylist()
        states[5] = [float("nan"), 0.0]
        return column(table, "observation.state", states)

    rewrite(path, break_one)
    code, out, _ = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 0
    assert "1 frames: state or action is not finite" in out
    assert all(np.isfinite(e.states).all() for e in Dataset(tmp_path / "data" / "my_robot"))


def test_timestamps_that_do_not_ascend_are_refused(run, changed):
    path = changed("v21_image")
    rewrite(path, lambda table: column(table, "timestamp", [0.0] * table.num_rows))
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 1
    assert "the timestamps of episode 0 do not ascend" in error


def test_a_gap_between_frames_begins_an_episode(run, changed, tmp_path):
    path = changed("v21_image")

    def pause(table):
        times = np.array(table.column("timestamp").to_pylist())
        times[6:] += 2.0
        return column(table, "timestamp", times.astype(np.float32).tolist())

    rewrite(path, pause)
    _, out, _ = run(f"{path} --min-steps 3 --image-size 32")
    assert [len(e) for e in Dataset(tmp_path / "data" / "my_robot")] == [5, 5, 7, 9]
    assert "new episode: gap between two frames (1 times)" in out


def test_a_path_out_of_the_dataset_is_refused(run, changed, tmp_path):
    path = changed("v21_image")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")

    def point_outside(table):
        rows = [{"bytes": None, "path": "../secret.png"}] * table.num_rows
        return column(table, made.CAMERA, rows)

    rewrite(path, point_outside)
    code, _, error = run(f"{path} --min-steps 3 --image-size 32")
    assert code == 1
    assert "is outside the dataset: ../secret.png" in error


def test_missing_packages_are_one_sentence(run, monkeypatch):
    import builtins

    original = builtins.__import__

    def refuse(name, *rest, **more):
        if name.startswith("wm_mpc.data.lerobot"):
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    code, _, error = run(str(RECORDED / "v21_image"))
    assert code == 1
    assert "No module named 'pyarrow'; install it: pip install" in error


# ------------------------------------------------------------------------------- there and back


def arm_dataset(path: Path) -> Dataset:
    spec = RobotSpec(
        "arm",
        ActionSpec(("a", "b"), "position", "rad", (-1.0, -1.0), (1.0, 1.0)),
        StateSpec(("a", "b", "a/velocity"), ("rad", "rad", "rad/s"), "joint_states"),
        ImageSpec(20, 24),
        0.05,
        2,
    )
    rng = np.random.default_rng(0)
    dataset = Dataset.create(path, spec)
    for number, steps in enumerate((7, 9)):
        dataset.append(
            number,
            Episode(
                rng.integers(0, 256, (steps + 1, 20, 24, 3), dtype=np.uint8),
                rng.uniform(-1, 1, (steps + 1, 3)).astype(np.float32),
                rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
            ),
        )
    return dataset


def test_what_is_exported_comes_back_bit_for_bit(run, tmp_path):
    dataset = arm_dataset(tmp_path / "arm")
    code, out, _ = run("arm out --instruction 'turn around'", export_lerobot.main)
    assert code == 0
    assert "episodes 2  frames 18" in out
    assert "not exported" not in out
    code, out, error = run(
        "out --task back --min-steps 3 --image-size 20x24 --action-kind position"
    )
    assert code == 0, error
    assert "task 'turn around': 2 episodes" in out
    back = Dataset(tmp_path / "data" / "back")
    assert back.spec.state.names == dataset.spec.state.names
    assert back.spec.action.names == dataset.spec.action.names
    for mine, theirs in zip(dataset, back, strict=True):
        np.testing.assert_array_equal(mine.images, theirs.images)
        np.testing.assert_array_equal(mine.states, theirs.states)
        np.testing.assert_array_equal(mine.actions, theirs.actions)


def test_what_an_export_of_simulated_episodes_lacks_is_said(run, tmp_path):
    dataset = arm_dataset(tmp_path / "arm")
    states = np.zeros((5, 3))
    first = dataclasses.replace(next(iter(dataset)))
    short = dataclasses.replace(
        first, images=first.images[:5], states=first.states[:5], actions=first.actions[:4],
        simulator_states=states, seed=(3, 0),
    )  # fmt: skip
    simulated = Dataset.create(tmp_path / "simulated", dataset.spec, {})
    simulated.append(0, short)
    simulated.append(1, dataclasses.replace(short, seed=(3, 1)))
    code, out, _ = run("simulated out", export_lerobot.main)
    assert code == 0
    assert (
        "not exported: simulator states (2 episodes), seeds (2 episodes); random and online "
        "synthesis need the dataset itself" in out
    )


def test_what_an_export_of_later_episodes_lacks_is_said_too(run, tmp_path):
    """The first episode is from before the poses were recorded."""
    dataset = arm_dataset(tmp_path / "arm")
    first = next(iter(dataset))
    dataset.append(2, dataclasses.replace(first, poses=np.zeros((len(first) + 1, 3))))
    code, out, _ = run("arm out", export_lerobot.main)
    assert code == 0
    assert "not exported: true poses (1 episodes)\n" in out


def test_statistics_of_an_export_are_those_of_its_rows(run, tmp_path):
    dataset = arm_dataset(tmp_path / "arm")
    run("arm out", export_lerobot.main)
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    states = np.concatenate([episode.states for episode in dataset])
    np.testing.assert_allclose(stats["observation.state"]["mean"], states.mean(0), atol=1e-5)
    np.testing.assert_allclose(stats["observation.state"]["std"], states.std(0), atol=1e-5)
    assert np.shape(stats["observation.images.camera"]["mean"]) == (3, 1, 1)
    assert stats["action"]["count"] == [18]


@pytest.mark.parametrize("what", ["exists", "empty"])
def test_an_export_that_cannot_be_made_is_refused(run, tmp_path, what):
    if what == "exists":
        arm_dataset(tmp_path / "arm")
        (tmp_path / "out").mkdir()
    else:
        Dataset.create(tmp_path / "arm", arm_dataset(tmp_path / "other").spec)
    code, _, error = run("arm out", export_lerobot.main)
    assert code == 1
    assert {"exists": "out exists; accepted: a new folder", "empty": "has no episodes"}[
        what
    ] in error
    assert not (tmp_path / "out.unfinished").exists()


def test_cameras_of_a_dataset_survive_the_way_out_and_back(run, tmp_path):
    image = ImageSpec.of(CameraSpec("front", 20, 24), CameraSpec("side", 16, 32))
    robot = RobotSpec(
        "two", ActionSpec(("vx",), "velocity", "m/s", (-1.0,), (1.0,)),
        StateSpec(("vx",), ("m/s",), "odom"), image, 0.1, 2,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (13, image.height, image.width, 3), dtype=np.uint8)
    pictures[:, 16:, 24:] = 0
    states, actions = rng.random((13, 1), np.float32), rng.random((12, 1), np.float32)
    dataset = Dataset.create(tmp_path / "ours", robot)
    dataset.append(0, Episode(pictures, states, actions))
    code, _, said = run(f"{tmp_path / 'ours'} theirs", export_lerobot.main)
    assert code == 0, said
    features = json.loads(Path("theirs/meta/info.json").read_text())["features"]
    assert features["observation.images.front"]["shape"] == [20, 24, 3]
    assert features["observation.images.side"]["shape"] == [16, 32, 3]
    assert run("theirs --min-steps 3")[0] != 0
    cameras = [
        {"name": "front", "height": 20, "width": 24},
        {"name": "side", "height": 16, "width": 32},
    ]
    Path("rules.yaml").write_text(json.dumps({"image": {"cameras": cameras}}))
    code, _, said = run("theirs --config rules.yaml --min-steps 3 --dataset back")
    assert code == 0, said
    back = Dataset(Path("back"))
    assert [camera.name for camera in back.spec.images] == ["front", "side"]
    np.testing.assert_array_equal(np.concatenate([e.images for e in back]), pictures)


def test_a_camera_that_a_dataset_lacks_is_named(run):
    cameras = [{"name": "front"}, {"name": "top"}]
    Path("rules.yaml").write_text(json.dumps({"image": {"cameras": cameras}}))
    code, _, said = run(f"{RECORDED / 'v30_image'} --config rules.yaml --min-steps 3")
    assert code != 0
    assert "camera top has the feature 'observation.images.top'; the cameras are: " in said
