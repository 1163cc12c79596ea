"""LeRobot datasets with missing columns, files, frames or places: said, and summed up."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("av", reason="av is not installed")
import pyarrow
import pyarrow.parquet

from wm_mpc.cli import import_lerobot
from wm_mpc.data.episodes import Dataset
from wm_mpc.data.lerobot.summaries import few, spans

RECORDED = Path(__file__).parent / "recorded"
OPTIONS = "--min-steps 3 --frame-skip 1 --image-size 32"
CAMERA = "observation.images.front"


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
def copied(tmp_path):
    """Copy a recorded dataset."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(RECORDED / kind, tmp_path / kind))

    return copy


def rewrite(file: Path, change: Any) -> None:
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(file)), file)


def many(path: Path, count: int) -> list[Path]:
    """Give a dataset of layout v2.1 as many episodes, all like the first; return their rows."""
    first = path / "data/chunk-000/episode_000000.parquet"
    files = [first.with_name(f"episode_{n:06d}.parquet") for n in range(count)]
    for number, file in enumerate(files):
        shutil.copy(first, file) if number else None
        for video in path.rglob("episode_000000.mp4"):
            shutil.copy(video, video.with_name(f"episode_{number:06d}.mp4")) if number else None

        def renumber(table: Any, number: int = number) -> Any:
            place = table.column_names.index("episode_index")
            numbers = pyarrow.array([number] * table.num_rows)
            return table.set_column(place, "episode_index", numbers)

        rewrite(file, renumber)
    lines = [{"episode_index": n, "tasks": ["push"], "length": 12} for n in range(count)]
    (path / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    info = json.loads((path / "meta/info.json").read_text())
    info |= {"total_episodes": count, "total_frames": 12 * count}
    (path / "meta/info.json").write_text(json.dumps(info))
    return files


# ------------------------------------------------------------------------- columns and files


@pytest.mark.parametrize("name", ["timestamp", "episode_index", "frame_index", CAMERA])
@pytest.mark.parametrize("kind", ["v21_image", "v30_image"])
def test_a_column_that_is_missing_is_named_with_those_that_are_there(run, copied, kind, name):
    path = copied(kind)
    file = sorted((path / "data").rglob("*.parquet"))[0]
    rewrite(file, lambda table: table.drop_columns([name]))
    code, _, error = run(path)
    assert code == 1
    there = ", ".join(pyarrow.parquet.read_schema(file).names)
    said = f"{file.relative_to(path)} has no column {name}; it has: {there}"
    assert error == f"import_lerobot: {said}"


@pytest.mark.parametrize("options", ["", "--accept-damaged"])
def test_a_torn_file_is_said_to_be_unreadable_and_not_empty(run, copied, options):
    path = copied("v30_image")
    (file,) = sorted((path / "data").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    code, _, error = run(path, options)
    assert code == 1
    assert error.startswith(f"import_lerobot: {file.relative_to(path)} cannot be read: ")
    assert " frames" not in error


def test_many_torn_files_are_summed_up(run, copied):
    path = copied("v21_image")
    for file in many(path, 30)[1:]:
        file.write_bytes(b"PAR1")
    code, _, error = run(path)
    assert code == 1
    assert error.count("data/chunk-000/episode_0000") == 5
    assert "24 more files cannot be read" in error
    assert error.count("of 12 frames") == 5
    assert (
        "24 more episodes have fewer frames than meta/ says (all such episodes: 1 to 29; 348 "
        "frames are missing). --accept-damaged uses what there is" in error
    )


def test_a_column_of_pictures_that_is_damaged_is_not_accepted_unasked(run, copied, monkeypatch):
    """The import reads it after the numbers, and so after the first check."""
    path = copied("v21_image")
    read = pyarrow.parquet.read_table

    def damaged(file: Path, columns: Any = None) -> Any:
        if columns and CAMERA in columns and "000001" in file.name:
            raise OSError("page is damaged")
        return read(file, columns=columns)

    monkeypatch.setattr(pyarrow.parquet, "read_table", damaged)
    code, _, error = run(path)
    assert code == 1
    assert "episode_000001.parquet cannot be read: page is damaged" in error
    assert "--accept-damaged uses what there is" in error
    assert not Path("data/my_robot/dataset.json").exists()
    code, out, error = run(path, "--accept-damaged")
    assert code == 0, error
    assert "8 frames: missing in the files, though meta/ claims them" in out


# ------------------------------------------------------------------------- places of videos


def test_a_place_of_a_video_that_is_missing_is_named(run, copied):
    path = copied("v30_video")
    (file,) = (path / "meta/episodes").rglob("*.parquet")
    name = f"videos/{CAMERA}/chunk_index"
    rewrite(file, lambda table: table.drop_columns([name]))
    code, _, error = run(path)
    assert code == 1
    assert f"{file} has no column {name}, so the video is not found; it has: episode_index" in error


def test_an_episode_whose_place_is_empty_is_named(run, copied):
    path = copied("v30_video")
    (file,) = (path / "meta/episodes").rglob("*.parquet")
    name = f"videos/{CAMERA}/from_timestamp"

    def empty(table: Any) -> Any:
        place = table.column_names.index(name)
        values = [0.0, *[None] * (table.num_rows - 1)]
        return table.set_column(place, name, pyarrow.array(values))

    rewrite(file, empty)
    code, _, error = run(path)
    assert code == 1
    assert f"{file} has {name} None for episode 1; accepted: a number" in error


def test_an_episode_that_meta_does_not_have_is_named(run, copied):
    path = copied("v30_video")
    (file,) = (path / "meta/episodes").rglob("*.parquet")
    rewrite(file, lambda table: table.slice(0, 2))
    code, _, error = run(path)
    assert code == 1
    assert f"{path / 'meta/episodes'} has no row for episode 2" in error


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"video_path": None}, "has video_path None; accepted: a path with the places {video_key}"),
        ({"video_path": "videos/{camera}.mp4"}, "has video_path 'videos/{camera}.mp4'; accepted"),
        ({"chunks_size": "many"}, "has chunks_size 'many'; accepted: a whole number above 0"),
    ],
)
def test_an_odd_path_of_videos_is_named(run, copied, entry, said):
    path = copied("v21_video")
    info = json.loads((path / "meta/info.json").read_text())
    (path / "meta/info.json").write_text(json.dumps(info | entry))
    code, _, error = run(path)
    assert code == 1
    assert f"meta/info.json {said}" in error


# ------------------------------------------------------------------------- what is accepted


def test_missing_frames_are_dropped_frames(run, copied):
    path = copied("v21_image")
    rewrite(path / "data/chunk-000/episode_000000.parquet", lambda table: table.slice(0, 9))
    code, out, error = run(path, "--accept-damaged")
    assert code == 0, error
    assert "dropped\n  3 frames: missing in the files, though meta/ claims them\n" in out
    assert "accepted as it is: episode 0 has 9 of 12 frames" in out


def test_a_file_whose_frames_nobody_counts_is_not_nothing(run, copied):
    path = copied("v21_image")
    info = json.loads((path / "meta/info.json").read_text())
    del info["total_frames"]
    (path / "meta/info.json").write_text(json.dumps(info))
    (path / "meta/episodes.jsonl").write_text("")
    (path / "data/chunk-000/episode_000001.parquet").write_bytes(b"PAR1")
    code, out, error = run(path, "--accept-damaged")
    assert code == 0, error
    assert "dropped\n  nothing of what can be read\n" in out


def test_many_episodes_without_pictures_are_summed_up(run, copied):
    path = copied("v21_video")
    many(path, 12)
    for number in (*range(8), 10):
        next(path.rglob(f"episode_{number:06d}.mp4")).unlink()
    code, out, error = run(path, "--accept-damaged")
    assert code == 0, error
    assert len(Dataset(Path("data/my_robot"))) == 3
    assert out.count("accepted as it is: episode ") == 5
    assert (
        "accepted as it is: 4 more episodes are left out, since their pictures cannot be read (all "
        "such episodes: 0 to 7, 10)" in out
    )
    assert "108 frames: of episodes whose pictures cannot be read" in out


def test_an_import_without_any_picture_says_why(run, copied):
    path = copied("v21_video")
    for video in path.rglob("*.mp4"):
        video.unlink()
    code, _, error = run(path, "--accept-damaged")
    assert code == 1
    assert "30 frames of episodes whose pictures cannot be read; episode 0 is left out" in error
    assert "--min-steps" not in error


def test_few_reasons_are_said_one_by_one():
    assert few(["a", "b"], "files") == ["a", "b"]
    assert few([str(n) for n in range(7)], "files") == [*"01234", "2 more files"]
    assert spans([]) == ""
    assert spans([7, 1, 2, 3]) == "1 to 3, 7"
