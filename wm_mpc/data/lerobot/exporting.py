"""Write a dataset of ours as a LeRobot dataset (layout v3.0), with pictures as lossless PNG.

A LeRobot row has an observation and the action taken from it. Our episodes end with an observation,
so the last row repeats the action before it, and `next.done` marks it.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet

from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.data.lerobot.info import LeRobotError
from wm_mpc.data.lerobot.statistics import Statistics
from wm_mpc.messages.reading import ODOMETRY_FIELDS, TWIST_FIELDS
from wm_mpc.spec import RobotSpec

LEFT_OUT = {
    "simulator_states": "simulator states",
    "layout": "layouts of the simulator",
    "poses": "true poses",
    "seed": "seeds",
}  # arrays and numbers of our episodes that LeRobot has no place for
_CAMERAS = "observation.images."
_PICTURE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
_FILE_SIZE = 100e6  # bytes of pictures in a file
_SUFFIXES = {"/velocity": ".vel", "/effort": ".effort"}
_OF_KIND = {"position": ".pos", "velocity": ".vel", "effort": ".effort"}


def export(
    dataset: Dataset,
    path: Path,
    instruction: str,
    progress: Callable[[int], Any] = lambda _: None,
    left_out: Counter[str] | None = None,
) -> int:
    """Write a dataset to a new folder, completely or not at all.

    Args:
        dataset: The dataset; at least one episode.
        path: The folder; it must not exist.
        instruction: Text of the task.
        progress: Called with 1 after each episode.
        left_out: Receives what LeRobot has no place for, and how many episodes have it.

    Returns:
        Number of written rows.

    Raises:
        LeRobotError: The folder exists or cannot be written, or the dataset is empty.
    """
    if path.exists():
        raise LeRobotError(f"{path} exists; accepted: a new folder")
    numbers = dataset.indices()
    if not numbers:
        raise LeRobotError(f"dataset {dataset.path} has no episodes")
    unfinished = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        rows = _write(dataset, numbers, unfinished, instruction, progress, left_out)
        unfinished.rename(path)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise LeRobotError(f"{path} cannot be written: {error}") from None
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return rows


def _write(
    dataset: Dataset,
    numbers: list[int],
    path: Path,
    instruction: str,
    progress: Callable[[int], Any],
    left_out: Counter[str] | None,
) -> int:
    spec = dataset.spec
    features = _features(spec)
    (path / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    (path / "data" / "chunk-000").mkdir(parents=True)
    statistics = Statistics()
    book: list[dict[str, Any]] = []
    rows = 0
    for file, episodes in enumerate(_files(dataset, numbers)):
        tables = []
        for episode in episodes:
            table, images = _table(episode, spec, len(book), rows)
            statistics.add(table, images)
            book.append(
                {
                    "episode_index": len(book),
                    "tasks": [instruction],
                    "length": table.num_rows,
                    "data/chunk_index": 0,
                    "data/file_index": file,
                    "dataset_from_index": rows,
                    "dataset_to_index": rows + table.num_rows,
                    "meta/episodes/chunk_index": 0,
                    "meta/episodes/file_index": 0,
                }
            )
            if left_out is not None:
                left_out.update(text for name, text in LEFT_OUT.items() if _has(episode, name))
            rows += table.num_rows
            tables.append(table)
            progress(1)
        joined = pyarrow.concat_tables(tables).replace_schema_metadata(_hints(features))
        pyarrow.parquet.write_table(
            joined, path / "data" / "chunk-000" / f"file-{file:03d}.parquet"
        )
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(book),
        path / "meta" / "episodes" / "chunk-000" / "file-000.parquet",
    )
    _write_tasks(path / "meta" / "tasks.parquet", instruction)
    (path / "meta" / "stats.json").write_text(json.dumps(statistics.result(), indent=4))
    info = _info(spec, features, len(book), rows)
    (path / "meta" / "info.json").write_text(json.dumps(info, indent=4))
    return rows


def _has(episode: Episode, name: str) -> bool:
    return getattr(episode, name) is not None


def _files(dataset: Dataset, numbers: list[int]) -> Iterator[list[Episode]]:
    """Episodes by file, each file with about as many pictures as lerobot writes."""
    episodes: list[Episode] = []
    size = 0
    for number in numbers:
        episode = dataset.read(number)
        episodes.append(episode)
        size += episode.images.nbytes // 2  # PNG takes about half
        if size > _FILE_SIZE:
            yield episodes
            episodes, size = [], 0
    if episodes:
        yield episodes


def _table(
    episode: Episode, spec: RobotSpec, number: int, first: int
) -> tuple[pyarrow.Table, dict[str, np.ndarray]]:
    """The rows of an episode, and its pictures by feature."""
    count = len(episode) + 1
    actions = np.concatenate([episode.actions, episode.actions[-1:]])
    columns: dict[str, pyarrow.Array] = {}
    if spec.state.size:
        columns["observation.state"] = _rows(episode.states)
    columns["action"] = _rows(actions)
    pictures = {_CAMERAS + tile.name: tile.of(episode.images) for tile in spec.image.tiles}
    for key, images in pictures.items():
        columns[key] = pyarrow.array(
            _encoded(images),
            pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
        )
    columns["next.done"] = pyarrow.array(np.arange(count) == count - 1)
    times = (np.arange(count) * spec.control_period).astype(np.float32)
    columns["timestamp"] = pyarrow.array(times, pyarrow.float32())
    for name, values in {
        "frame_index": np.arange(count),
        "episode_index": np.full(count, number),
        "index": first + np.arange(count),
        "task_index": np.zeros(count),
    }.items():
        columns[name] = pyarrow.array(values.astype(np.int64))
    return pyarrow.table(columns), pictures


def _encoded(images: np.ndarray) -> list[dict[str, Any]]:
    encoded = []
    for k, image in enumerate(images):
        ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        assert ok
        encoded.append({"bytes": data.tobytes(), "path": f"frame-{k:06d}.png"})
    return encoded


def _rows(values: np.ndarray) -> pyarrow.Array:
    flat = pyarrow.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _features(spec: RobotSpec) -> dict[str, dict[str, Any]]:
    features: dict[str, dict[str, Any]] = {}
    if spec.state.size:
        features["observation.state"] = {
            "dtype": "float32",
            "shape": [spec.state.size],
            "names": [_state_name(name) for name in spec.state.names],
        }
    features["action"] = {
        "dtype": "float32",
        "shape": [spec.action.size],
        "names": [_action_name(name, spec.action.kind) for name in spec.action.names],
    }
    names = ["height", "width", "channels"]
    for camera in spec.images:
        shape = [camera.height, camera.width, 3]
        features[_CAMERAS + camera.name] = {"dtype": "image", "shape": shape, "names": names}
    features["next.done"] = {"dtype": "bool", "shape": [1], "names": None}
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    return features


def _state_name(name: str) -> str:
    for ours, suffix in _SUFFIXES.items():
        if name.endswith(ours):
            return name.removesuffix(ours) + suffix
    return name if name in ODOMETRY_FIELDS else f"{name}.pos"


def _action_name(name: str, kind: str) -> str:
    return name if name in TWIST_FIELDS else name + _OF_KIND[kind]


def _hints(features: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Types of the columns, as the library `datasets` stores them."""
    types: dict[str, Any] = {}
    for key, feature in features.items():
        if feature["dtype"] == "image":
            types[key] = {"_type": "Image"}
        elif key in ("observation.state", "action"):
            value = {"dtype": feature["dtype"], "_type": "Value"}
            types[key] = {"feature": value, "length": feature["shape"][0], "_type": "Sequence"}
        else:
            types[key] = {"dtype": feature["dtype"], "_type": "Value"}
    return {"huggingface": json.dumps({"info": {"features": types}})}


def _write_tasks(path: Path, instruction: str) -> None:
    """A table that pandas reads with the text as its index."""
    index = "__index_level_0__"
    table = pyarrow.table({"task_index": pyarrow.array([0], pyarrow.int64()), index: [instruction]})
    entries = [("task_index", "int64", "int64"), (index, "unicode", "object")]
    columns = [
        {"name": None if field == index else field, "field_name": field, "pandas_type": kind,
         "numpy_type": stored, "metadata": None}
        for field, kind, stored in entries
    ]  # fmt: skip
    labels = [{"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
               "metadata": {"encoding": "UTF-8"}}]  # fmt: skip
    pandas = {
        "index_columns": [index], "column_indexes": labels, "columns": columns,
        "creator": {"library": "pyarrow", "version": pyarrow.__version__},
        "pandas_version": "2.0.0",
    }  # fmt: skip
    pyarrow.parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def _info(
    spec: RobotSpec, features: dict[str, dict[str, Any]], episodes: int, rows: int
) -> dict[str, Any]:
    fps = 1.0 / spec.control_period
    return {
        "codebase_version": "v3.0",
        "robot_type": spec.task,
        "total_episodes": episodes,
        "total_frames": rows,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": round(fps) if abs(fps - round(fps)) < 1e-6 * fps else fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }
