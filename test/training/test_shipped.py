"""Shipped checkpoints: the settings here make them, and results/TASK is of the same training.

Files may differ, because a checkpoint was calibrated again; so provenances are compared.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from wm_mpc.model.checkpoint import load_checkpoint, read_metadata
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks import make_task
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.donor import CheckpointDonor

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = sorted((ROOT / "checkpoints").glob("*.safetensors"))
# Settings that are younger than some checkpoints, with the value of the time before them.
BEFORE = {
    "representation_starts": 1,
    "motion_weight": 0.0,
    "augmentation.share": 0.0,
    "architecture.robot_from_state": True,
    "architecture.encoder": "keypoints",
    "architecture.vit": "",
    "vit_folder": "",
    "online.goals": "task",
}


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names; lists in place of tuples, as in JSON."""
    found = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found


def has_effect(name: str, settings: dict[str, Any]) -> bool:
    part = name.partition(".")[0]
    if part in ("random", "online", "adversarial"):
        return part in settings["synthesis"]
    if part == "augmentation" and name != "augmentation.share":
        return settings["augmentation.share"] > 0
    if name == "architecture.vit_patches":
        return settings["architecture.encoder"] == "vit"
    if name == "representation_start_updates":
        return settings["representation_starts"] > 1
    return True


def provenance_of(path: Path) -> dict[str, Any]:
    return read_metadata(path)["provenance"]


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_settings_in_the_repository_are_those_that_made_the_checkpoint(path):
    own = ROOT / "config" / f"train_{path.stem}.yaml"
    now = flat(dataclasses.asdict(TrainConfig.from_yaml(own)))
    used = BEFORE | flat(provenance_of(path)["config"])
    mine = {name: value for name, value in now.items() if has_effect(name, now)}
    assert mine == {name: used.get(name, "unknown") for name in mine}


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_dynamics_of_shipped_models_can_be_trained_again_with_their_settings(path):
    config = TrainConfig.from_yaml(ROOT / "config" / f"train_{path.stem}.yaml")
    model = load_checkpoint(path, exact=True)[0]
    spec = dataclasses.replace(make_task(path.stem).spec, history=model.spec.history)
    names = model.architecture.pose_names
    wanted = WorldModel(spec, dataclasses.replace(config.architecture, pose_names=names))
    assert CheckpointDonor(path, wanted).take()["model"]


def results_of(task: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for file in sorted((ROOT / "results" / task).rglob("results.json")):
        for checkpoint in json.loads(file.read_text()).get("checkpoints", []):
            if checkpoint["file"] == f"{task}.safetensors":
                found.append((str(file.parent.relative_to(ROOT)), checkpoint["provenance"]))
    return found


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_results_are_those_of_the_shipped_training(path):
    keys = ("command", "code", "data", "config", "updates")
    shipped = {key: provenance_of(path)[key] for key in keys}
    results = results_of(path.stem)
    assert results
    others = [where for where, own in results if {key: own[key] for key in keys} != shipped]
    assert others == []
