"""`ros2 run wm_mpc train`: train a world model with data synthesis; writes a checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from wm_mpc.cli.common import (
    available_cores,
    code_version,
    data_directory,
    given_arguments,
    positive,
    runs_directory,
    seed,
)
from wm_mpc.data.episodes import Dataset, DatasetError, Recording
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.resources import share_directory
from wm_mpc.training.config import SYNTHESIS, ConfigError, TrainConfig
from wm_mpc.training.trainer import Trainer, TrainingError


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train",
        description="Train a world model on recorded episodes, closing the train-test gap of "
        "gradient planning by data synthesis. A run that was stopped, however abruptly, continues "
        "when the same command is given again.",
        epilog="example: train --task wall --synthesis random,adversarial --seed 1",
    )
    parser.add_argument("--task", default="wall", help="names the default directories")
    parser.add_argument("--dataset", type=Path, help="recorded episodes; default: ./data/<task>")
    parser.add_argument("--run", type=Path, help="where results go; default: ./runs/<task>")
    parser.add_argument(
        "--config", type=Path, help="settings (YAML); default: the installed config/train.yaml"
    )
    parser.add_argument("--seed", type=seed, help="overrides the settings' seed")
    parser.add_argument(
        "--synthesis",
        help=f"comma-separated out of {', '.join(SYNTHESIS)}, or none; overrides the settings",
    )
    parser.add_argument(
        "--workers", type=positive, default=available_cores(), help="simulators at once"
    )
    return parser


class _Bars:
    """One progress bar with time left per stage of the run."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if stage != self._stage:
            self.close()
            self._stage, self._bar = stage, tqdm(total=total, desc=stage, initial=0)
        self._bar.n = done
        if values:
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()}, False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    bars = _Bars()
    try:
        overrides: dict[str, Any] = {}
        if options.seed is not None:
            overrides["seed"] = options.seed
        if options.synthesis is not None:
            names = [] if options.synthesis == "none" else options.synthesis.split(",")
            overrides["synthesis"] = tuple(names)
        settings = options.config or share_directory() / "config" / "train.yaml"
        config = TrainConfig.from_yaml(settings, **overrides)
        recording = Recording(Dataset(options.dataset or data_directory(options.task)))
        run = options.run or runs_directory(options.task)
        trainer = Trainer(recording, config, run, workers=options.workers, progress=bars)
        trainer.run()
    except (ConfigError, DatasetError, TrainingError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntrain: interrupted; the same command continues", file=sys.stderr)
        return 130
    finally:
        bars.close()
    _write_results(trainer, run, ["train", *given_arguments(arguments)])
    return 0


def _write_results(trainer: Trainer, run: Path, command: list[str]) -> None:
    from wm_mpc.training import report  # matplotlib is slow to import, and --help needs none of it

    recording, model, config = trainer.recording, trainer.model, trainer.config
    episodes = trainer.validation_episodes
    metrics = report.diagnostics(model, recording, episodes, horizon=10)
    provenance = {
        "command": " ".join(command),
        "seed": config.seed,
        "data": {
            "hash": recording.dataset.content_hash(),
            "episodes": len(recording.indices),
            **recording.dataset.provenance,
        },
        "code": code_version(),
        "synthesis": list(config.synthesis),
        "config": config.to_dict(),
        "training_seconds": round(trainer.seconds),
        "metrics": metrics,
    }
    checkpoint = run / f"{recording.spec.task}.safetensors"
    save_checkpoint(model, checkpoint, provenance)
    (run / "metrics.json").write_text(json.dumps(provenance, indent=2, default=_plain) + "\n")
    picture = run / "report.png"
    report.draw_report(
        model, recording, episodes, trainer.history, metrics, picture, config.horizon
    )
    print(f"checkpoint  {checkpoint}\nreport      {picture}")
    for name, value in metrics.items():
        print(f"{name:18}{value}")


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)


if __name__ == "__main__":
    sys.exit(main())
