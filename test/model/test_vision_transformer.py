"""A frozen vision transformer as the encoder: keypoints, weights, checkpoints, and bad folders.

The transformers here are small and have random weights; no weights can be downloaded.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil

import pytest
import safetensors.torch
import torch

from wm_mpc.model import vision_transformer
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, read_metadata, save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_model, native_vision
from wm_mpc.spec import CameraSpec, ImageSpec, SpecError

from .conftest import make_spec

transformers = pytest.importorskip("transformers", reason="needs the extra vit")

PATCH = {"dinov2": 14, "dinov2_with_registers": 14, "dinov3_vit": 16}


@pytest.fixture(scope="module", params=vision_transformer.KINDS)
def folder(request, tmp_path_factory):
    """A folder as a user has it, of each kind."""
    path, kind = tmp_path_factory.mktemp("vit"), request.param
    config = transformers.AutoConfig.for_model(
        kind, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=4 * PATCH[kind], patch_size=PATCH[kind],
    )  # fmt: skip
    torch.manual_seed(3)
    transformers.AutoModel.from_config(config).save_pretrained(path)
    return path


def make(folder, image=None, **sizes):
    spec = make_spec()
    spec = dataclasses.replace(spec, image=image or spec.image)
    torch.manual_seed(0)
    architecture = Architecture(
        3, 8, 4, hidden=16, encoder="vit", vit_patches=4,
        vit=vision_transformer.read_description(folder), **sizes,
    )  # fmt: skip
    model = WorldModel(spec, architecture)
    assert isinstance(model.encoder, vision_transformer.TransformerEncoder)
    model.encoder.take_weights(folder)
    return model.eval()


def test_keypoints_lie_in_the_picture(folder):
    model = make(folder)
    points = model.encoder(torch.rand(5, 3, 16, 20))
    assert points.shape == (5, 6)
    assert points.abs().max() <= 1
    assert points.std(0).min() > 0  # the picture matters


def test_the_weights_are_those_of_the_folder(folder):
    model = make(folder)
    given = safetensors.torch.load_file(folder / "model.safetensors")
    own = model.encoder.vit.state_dict()  # names may differ: files keep older ones
    sums = [sorted(w.double().sum().item() for w in ws.values()) for ws in (given, own)]
    assert sums[0] == sums[1]


def test_patches_are_those_of_transformers(folder):
    model = make(folder)
    image = torch.rand(2, 3, 16, 20)
    rows, columns = 4, 5
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    size = (rows * theirs.config.patch_size, columns * theirs.config.patch_size)
    seen = torch.nn.functional.interpolate(image, size, mode="bilinear")
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = (seen - mean[:, None, None]) / spread[:, None, None]
    with torch.no_grad():
        tokens = theirs(seen).last_hidden_state
    others = 1 + getattr(theirs.config, "num_register_tokens", 0)
    wanted = tokens[:, others:].view(2, rows, columns, -1).permute(0, 3, 1, 2)
    found = model.encoder._patches_of(image, (rows, columns))
    torch.testing.assert_close(found, wanted)


def test_only_the_head_is_trained(folder):
    model = make(folder).train()
    trained = model.encoder.trained()
    assert not any(weight.requires_grad for weight in model.encoder.vit.parameters())
    assert not model.encoder.vit.training
    model.encoder(torch.rand(2, 3, 16, 20)).square().sum().backward()
    assert all(weight.grad is not None for weight in trained)
    assert all(weight.grad is None for weight in model.encoder.vit.parameters())
    assert len(trained) + len(list(model.encoder.vit.parameters())) == len(
        list(model.encoder.parameters())
    )


def test_the_head_learns_where_a_dot_is(folder):
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")

    def batch(number, seed):
        place = torch.rand(number, 2, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6
        apart = (columns / 16 - 1 - place[:, 0, None, None]) ** 2
        apart = apart + (rows / 16 - 1 - place[:, 1, None, None]) ** 2
        return torch.exp(-30 * apart)[:, None].expand(-1, 3, -1, -1), place

    model = make(folder, ImageSpec(32, 32)).train()
    weights = model.encoder.trained()
    optimiser = torch.optim.AdamW(weights, 3e-3)
    for update in range(150):
        image, place = batch(16, update)
        points = model.encoder(image).view(-1, 2, 3).mean(-1)
        loss = (points - place).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    image, place = batch(64, 1000)
    with torch.no_grad():
        error = (model.encoder(image).view(-1, 2, 3).mean(-1) - place).abs().mean()
    assert error < 0.1  # of places that spread by 0.35


def test_all_cameras_share_the_transformer(folder):
    image = ImageSpec(24, 52, cameras=(CameraSpec("front", 24, 20), CameraSpec("wrist", 16, 32)))
    model = make(folder, image)
    assert len(model.encoder.heads) == 2
    pictures = torch.rand(3, 3, 24, 52)
    points = model.encoder(pictures)
    assert points.shape == (3, 12)
    pictures[..., :16, 20:] = torch.rand(3, 3, 16, 32)  # the wrist's
    found = model.encoder(pictures).chunk(4, -1)  # x of front, x of wrist, y of front, y of wrist
    front = [torch.equal(a, b) for a, b in zip(found, points.chunk(4, -1), strict=True)]
    assert front == [True, False, True, False]


def test_a_checkpoint_needs_no_folder(folder, tmp_path):
    model = make(folder).requires_grad_(False)
    save_checkpoint(model, tmp_path / "m.safetensors", {})
    assert read_metadata(tmp_path / "m.safetensors")["format"] == 5
    loaded, _ = load_checkpoint(tmp_path / "m.safetensors", exact=True)
    image = torch.randint(0, 256, (2, 16, 20, 3), dtype=torch.uint8)
    assert torch.equal(loaded.encode_scene(image), model.encode_scene(image))


def test_dynamics_are_compiled_and_the_eyes_are_not(folder):
    model = make(folder).requires_grad_(False)
    if (
        native_model(
            make_plain := WorldModel(make_spec(), Architecture(3, 8, 4, hidden=16)).requires_grad_(
                False
            )
        )
        is None
    ):
        pytest.skip("no compiled inner loop here")
    assert native_vision(make_plain) is not None
    assert native_model(model) is not None
    assert native_vision(model) is None


def test_without_the_package_the_error_names_it(folder, tmp_path, monkeypatch):
    save_checkpoint(make(folder), tmp_path / "m.safetensors", {})
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name)
    )
    with pytest.raises(CheckpointError, match=r"transformers is missing; .*pip install .*vit"):
        load_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"hidden_size": 10**12}, "hidden_size means at least"),
        ({"hidden_size": 33}, "cannot be made|tensor"),
        ({"model_type": "gpt2"}, "model_type 'gpt2'; accepted: dinov2"),
        ({"hidden_act": "no such thing"}, "cannot be made"),
        ({"patch_size": "large"}, "cannot be made|no usable robot"),
        ({"num_hidden_layers": 3}, r"missing or unknown \(it was made with transformers"),
    ],
)
def test_a_foreign_description_is_refused(folder, tmp_path, change, reason):
    path = tmp_path / "m.safetensors"
    save_checkpoint(make(folder), path, {})
    tensors = safetensors.torch.load_file(path)
    metadata = read_metadata(path)
    vit = {**json.loads(metadata["architecture"]["vit"]), **change}
    metadata["architecture"]["vit"] = json.dumps(vit)
    safetensors.torch.save_file(tensors, path, {"wm_mpc": json.dumps(metadata)})
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(path)


def test_bad_folders_are_refused(folder, tmp_path):
    with pytest.raises(SpecError, match=r"config\.json cannot be read"):
        vision_transformer.read_description(tmp_path)
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(SpecError, match=r"model\.safetensors cannot be read"):
        vision_transformer.hash_of(tmp_path)
    model = make(folder)
    with pytest.raises(SpecError, match=r"model\.safetensors cannot be used"):
        model.encoder.take_weights(tmp_path)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    name = next(iter(weights))
    safetensors.torch.save_file(
        {**weights, "more": weights[name].clone()}, tmp_path / "model.safetensors"
    )
    with pytest.raises(SpecError, match=r"does not fit its config\.json: unexpected more"):
        model.encoder.take_weights(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(SpecError, match="not a table"):
        vision_transformer.read_description(tmp_path)


def test_the_hash_knows_weights_and_description(folder, tmp_path):
    before = vision_transformer.hash_of(folder)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    assert vision_transformer.hash_of(tmp_path) == before
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(weights.values())).add_(1e-3)
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    assert vision_transformer.hash_of(tmp_path) != before
