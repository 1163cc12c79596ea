"""`ros2 run wm_mpc collect`: record exploration data of a simulated task."""

from __future__ import annotations

import argparse
import sys

from tqdm import tqdm

from wm_mpc.cli.common import (
    available_cores,
    code_version,
    data_directory,
    given_arguments,
    positive,
    seed,
)
from wm_mpc.data.collection import collect
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.sim.tasks import TASKS, make_task


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collect",
        description="Record exploration episodes of a simulated task. Running the same command "
        "again continues where it stopped.",
    )
    parser.add_argument("--task", default="wall", choices=sorted(TASKS))
    parser.add_argument("--episodes", type=positive, default=1000, help="default: 1000")
    parser.add_argument("--steps", type=positive, default=80, help="low-level steps an episode")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--dataset", help="where to put it; default: ./data/<task>")
    parser.add_argument(
        "--workers", type=positive, default=available_cores(), help="default: one per core"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    path = options.dataset or data_directory(options.task)
    provenance = {
        "command": " ".join(["collect", *given_arguments(arguments)]),
        "seed": options.seed,
        "steps": options.steps,
        "code": code_version(),
        "pose_names": make_task(options.task).pose_names,
    }
    try:
        dataset = Dataset.create(path, make_task(options.task).spec, provenance)
        recorded_with = {key: dataset.provenance.get(key) for key in ("seed", "steps")}
        wanted = {"seed": options.seed, "steps": options.steps}
        if recorded_with != wanted:
            raise DatasetError(
                f"dataset {path} was begun with {recorded_with}, not {wanted}; "
                "choose another --dataset"
            )
        present = len(set(dataset.indices()) & set(range(options.episodes)))
        with tqdm(total=options.episodes, initial=present, unit="episode", desc="collect") as bar:
            seconds = collect(
                dataset,
                episodes=options.episodes,
                steps=options.steps,
                seed=options.seed,
                workers=options.workers,
                progress=bar.update,
            )
    except DatasetError as error:
        print(f"collect: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncollect: interrupted; the same command continues", file=sys.stderr)
        return 130
    frames = (options.episodes - present) * (options.steps + 1)
    rate = f"  {frames / seconds:.0f} frames/s" if seconds else "  nothing left to do"
    print(f"{dataset.path}  episodes {len(dataset)}{rate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
