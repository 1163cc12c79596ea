"""The one file that carries a world model: exact, complete, and refused when anything is wrong."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F

from wm_mpc.model.checkpoint import (
    FORMAT,
    FORMATS,
    CheckpointError,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)

SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints" / "wall.safetensors"
PROVENANCE = {"command": "train --seed 3", "seed": 3, "metrics": {"probe_r2": [0.5, 0.25]}}


@pytest.fixture
def checkpoint(tmp_path, make_model):
    path = tmp_path / "toy.safetensors"
    save_checkpoint(make_model(), path, PROVENANCE)
    return path


def rewrite(path, change):
    """Store the checkpoint again after `change(tensors, metadata)`."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["wm_mpc"])
    tensors = safetensors.torch.load_file(path)
    change(tensors, metadata)
    safetensors.torch.save_file(tensors, path, {"wm_mpc": json.dumps(metadata)})


ROUNDED = {
    "dynamics.cell.weight_ih", "dynamics.cell.weight_hh", "dynamics.head.0.weight",
    *(f"dynamics.blocks.{block}.{layer}.weight"
      for block in (0, 1) for layer in ("project", "merge", "network.1", "network.3")),
}  # fmt: skip


def test_round_trip_is_exact_but_for_large_weights(checkpoint, make_model):
    saved = make_model()
    loaded, metadata = load_checkpoint(checkpoint)
    assert loaded.spec == saved.spec
    assert loaded.architecture == saved.architecture
    assert metadata["provenance"] == PROVENANCE
    assert loaded.state_dict().keys() == saved.state_dict().keys()
    for name, tensor in saved.state_dict().items():
        if name in ROUNDED:
            tensor = tensor.bfloat16().float()
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_what_is_trained_further_is_read_as_it_was_written(checkpoint, make_model):
    loaded, _ = load_checkpoint(checkpoint, exact=True)
    for name, tensor in make_model().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_saved_again_nothing_more_is_lost(checkpoint, tmp_path):
    first, _ = load_checkpoint(checkpoint)
    save_checkpoint(first, tmp_path / "again.safetensors", PROVENANCE)
    second, _ = load_checkpoint(tmp_path / "again.safetensors")
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


def test_loaded_model_predicts_the_same(checkpoint, make_model):
    image = torch.randint(0, 256, (2, 16, 20, 3), dtype=torch.uint8)
    state, actions = torch.randn(2, 3), torch.randn(2, 4, 4)
    predictions = []
    saved = make_model()
    saved.dynamics.round_weights()
    for model in (saved, load_checkpoint(checkpoint)[0]):
        latent = model.encode(image, state)
        carry = model.start(latent[:, None].expand(-1, 2, -1), actions[:, :1])
        predictions.append(model.rollout(carry, actions[:, 1:]))
    assert torch.equal(*predictions)


def test_loaded_model_wants_no_gradients(checkpoint):
    model, _ = load_checkpoint(checkpoint)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*none\.safetensors"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0.0, 0.0005, 0.01, 0.5, 0.999])
def test_truncated_file_is_refused(checkpoint, keep):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(CheckpointError, match=r"toy\.safetensors is damaged"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_refused(tmp_path, seed):
    path = tmp_path / "noise.safetensors"
    path.write_bytes(np.random.default_rng(seed).bytes(3000))
    with pytest.raises(CheckpointError, match=r"noise\.safetensors is damaged or not"):
        load_checkpoint(path)


def test_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"other\.safetensors .*not a wm_mpc checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("entry", ["{", "[1, 2]", "{}", "7"])
def test_damaged_entry_is_refused(tmp_path, entry):
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, {"wm_mpc": entry})
    with pytest.raises(CheckpointError, match="damaged wm_mpc entry"):
        read_metadata(path)


@pytest.mark.parametrize("version", [FORMAT - 1, FORMATS[-1] + 1], ids=["older", "newer"])
def test_other_format_is_refused_with_both_versions(checkpoint, version):
    rewrite(checkpoint, lambda _, metadata: metadata.update(format=version, wm_mpc="99.0"))
    reads = r"this wm_mpc \S+ reads formats 2, 3, 4 and 5$"
    message = rf"format {version}, made by wm_mpc 99\.0; {reads}"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(checkpoint)


def test_checkpoint_of_before_the_embedding_is_refused_by_its_format(checkpoint):
    """Not by the first tensor or entry that is another."""

    def age(tensors, metadata):
        for name in [name for name in tensors if name.startswith("embedding.")]:
            del tensors[name]
        tensors["scene_weight"] = torch.ones(6)
        del metadata["architecture"]["embedding"]
        metadata["format"] = 1

    rewrite(checkpoint, age)
    with pytest.raises(CheckpointError, match=r"format 1, .* reads formats 2, 3, 4 and 5$"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("control_period", -1.0, "control_period is -1"),
        ("control_period", "soon", "wrong kind of value"),
        ("action", {}, "action: "),
        ("architecture", {"depth": 3}, r"unknown setting architecture\.depth"),
        ("architecture", {"dynamics": "magic"}, "dynamics is 'magic'; accepted: gru"),
        ("architecture", {"hidden": "big"}, "no usable robot"),
    ],
)
def test_description_that_contradicts_itself_is_refused(checkpoint, name, value, message):
    rewrite(checkpoint, lambda _, metadata: metadata.update({name: value}))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(checkpoint)


def test_description_without_an_entry_is_refused(checkpoint):
    rewrite(checkpoint, lambda _, metadata: metadata.pop("image"))
    with pytest.raises(CheckpointError, match="no entry 'image'"):
        load_checkpoint(checkpoint)


def test_wrong_tensor_shape_is_named_with_both_shapes(checkpoint):
    rewrite(checkpoint, lambda tensors, _: tensors.update(state_mean=torch.zeros(5)))
    with pytest.raises(CheckpointError, match=r"'state_mean' has shape \(5,\).*wants \(3,\)"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(checkpoint, value):
    rewrite(checkpoint, lambda tensors, _: tensors["pose_weight"][0].fill_(value))
    with pytest.raises(CheckpointError, match="'pose_weight' contains NaN or infinity"):
        load_checkpoint(checkpoint)


def test_missing_tensor_is_named(checkpoint):
    rewrite(checkpoint, lambda tensors, _: tensors.pop("state_std"))
    with pytest.raises(CheckpointError, match="'state_std' is missing or unknown"):
        load_checkpoint(checkpoint)


def test_shipped_wall_model_is_the_gru_its_file_says():
    """The arithmetic written out with the names in the file: neither may ever change."""
    model, _ = load_checkpoint(SHIPPED)
    tensors = safetensors.torch.load_file(SHIPPED)
    w = {
        name.removeprefix("dynamics."): tensor.bfloat16().float() if name in ROUNDED else tensor
        for name, tensor in tensors.items()
    }
    latent, action = torch.randn(4, model.latent_size), torch.randn(4, model.spec.block_size)
    hidden = torch.tanh(latent @ w["initial.0.weight"].T + w["initial.0.bias"])
    inputs = torch.cat([latent, action], 1)
    x = F.silu(inputs @ w["embed.0.weight"].T + w["embed.0.bias"])
    a = (x @ w["cell.weight_ih"].T + w["cell.bias_ih"]).chunk(3, 1)
    b = (hidden @ w["cell.weight_hh"].T + w["cell.bias_hh"]).chunk(3, 1)
    reset, update = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
    hidden = (1 - update) * torch.tanh(a[2] + reset * b[2]) + update * hidden
    change = F.silu(hidden @ w["head.0.weight"].T + w["head.0.bias"]) @ w["head.2.weight"].T
    change, gate = (change + w["head.2.bias"]).tensor_split([-1], 1)
    change = change + inputs @ w["linear.weight"].T
    change[:, : model.scene_size] *= torch.sigmoid(gate)
    expected = latent + change
    carry = model.start(latent[:, None], torch.zeros(4, 0, model.spec.block_size))
    predicted = model.rollout(carry, action[:, None])[:, 0]
    torch.testing.assert_close(predicted, expected, atol=1e-5, rtol=1e-5)


def test_unknown_tensor_is_named(checkpoint):
    rewrite(checkpoint, lambda tensors, _: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(CheckpointError, match="'extra' is missing or unknown"):
        load_checkpoint(checkpoint)


def test_failed_save_leaves_the_old_file_and_nothing_else(checkpoint, make_model, monkeypatch):
    before = checkpoint.read_bytes()

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(make_model(seed=1), checkpoint, {})
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_save_that_cannot_begin_leaves_the_old_file_and_nothing_else(checkpoint, make_model):
    before = checkpoint.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(make_model(seed=1), checkpoint, {"not for JSON": object()})
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_save_replaces_the_old_file(checkpoint, make_model):
    model = make_model(seed=1)
    save_checkpoint(model, checkpoint, {})
    loaded, _ = load_checkpoint(checkpoint)
    assert torch.equal(loaded.encoder.features[-1].weight, model.encoder.features[-1].weight)  # type: ignore[index, union-attr]


def test_saved_file_has_the_permissions_of_any_new_file(checkpoint):
    other = checkpoint.with_name("other")
    other.touch()
    assert stat.S_IMODE(checkpoint.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@pytest.mark.slow
def test_loading_imports_no_compiler_and_no_algebra(checkpoint):
    """TorchDynamo and SymPy: a second before a node can plan. `torch.eye` of the device "meta" and
    `to_empty` import them."""
    program = (
        "import sys; from wm_mpc.model.checkpoint import load_checkpoint\n"
        f"load_checkpoint({str(checkpoint)!r})\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr
