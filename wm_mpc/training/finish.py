"""The end of a training: measure the model, and write its checkpoint and reports."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from wm_mpc.atomic import write
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.model.familiarity import familiarity_notes
from wm_mpc.provenance import code_version, program
from wm_mpc.reports.page import save_page
from wm_mpc.training import summary
from wm_mpc.training.calibration import measure_familiarity
from wm_mpc.training.diagnostics import diagnostics, rounded
from wm_mpc.training.donor import donor_notes
from wm_mpc.training.drawing import verdict
from wm_mpc.training.gradient_quality import gradient_quality
from wm_mpc.training.preparation import data_notes, posture_notes
from wm_mpc.training.recorded_case import why_not_simulated
from wm_mpc.training.second_frame import second_frame, second_frame_notes
from wm_mpc.training.trainer import Trainer


def write_results(trainer: Trainer, run: Path, command: str) -> Path:
    """Measure a finished model, and write checkpoint, metrics.json, report.png, report.md,
    report.html and TensorBoard images.

    Args:
        trainer: The finished run.
        run: Directory for the files.
        command: Command line of the run.

    Returns:
        Path of the checkpoint.

    Raises:
        OSError: A file cannot be written.
    """
    from wm_mpc.training import report  # matplotlib is slow to import, and --help needs none of it

    recording, model, config = trainer.recording, trainer.model, trainer.config
    episodes = trainer.validation_episodes
    metrics = diagnostics(model, recording, episodes, horizon=10)
    metrics |= second_frame(model, recording, trainer.train_episodes, episodes)
    quality = gradient_quality(model, recording, episodes)
    if quality is not None and len(quality.cosines):
        metrics["gradient_cosine"] = rounded(quality.quartiles)
    provenance = {
        "command": command,
        "code": code_version(),
        **trainer.provenance(),
        "metrics": metrics,
    }
    model.familiarity = measure_familiarity(model, recording, episodes)
    checkpoint = run / f"{recording.spec.task}.safetensors"
    save_checkpoint(model, checkpoint, provenance)
    provenance["task"] = recording.spec.task
    write(run / "metrics.json", json.dumps(provenance, indent=2, default=_plain) + "\n")
    picture = run / "report.png"
    report.draw_report(
        model, recording, episodes, trainer.history, metrics, picture, config.horizon, quality
    )
    trainer.add_picture("report", picture)
    page = write_summary(run, picture)
    print(f"checkpoint  {checkpoint}\nreport      {page}")
    for name, value in metrics.items():
        print(f"{name:18}{value}")
    if model.familiarity is not None:
        print(f"{'place_weight':18}{model.familiarity.place_weight:.3g}")
    is_good, sentence = verdict(metrics)
    origin = provenance.get("representation")
    if origin is not None:
        sentence += f" (the encoder is that of {origin['checkpoint']}; its settings stay)"
    if is_good:
        print(f"{'representation':18}{sentence}")
    seen = [] if is_good else [sentence]
    notes = [
        *seen,
        *data_notes(recording),
        *posture_notes(model),
        *second_frame_notes(metrics, model.spec.history),
        *familiarity_notes(model.familiarity),
    ]
    if origin is not None:
        notes += donor_notes(origin, recording.spec.task, provenance["data"])
    if recording.simulator_states is not None and (why := why_not_simulated(recording)):
        notes.append(f"gradients and plans were not compared with the simulator: {why}")
    for line in notes:
        print(f"{program(command)}: WARNING: {line}", file=sys.stderr)
    return checkpoint


def write_summary(run: Path, picture: Path) -> Path:
    """Write report.md and report.html of a run from its metrics.json.

    Args:
        run: Directory of the run.
        picture: Figure of the run.

    Returns:
        Path of the page.

    Raises:
        OSError: A file cannot be read or written.
    """
    report = summary.report(json.loads((run / "metrics.json").read_text(encoding="utf-8")))
    write(run / "report.md", report.text + "\n")
    save_page(report, run / "report.html", picture)
    return run / "report.html"


def _plain(value: Any) -> Any:
    is_record = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if is_record else str(value)
