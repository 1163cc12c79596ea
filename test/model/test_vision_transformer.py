"""A frozen vision transformer as the encoder: keypoints, weights, checkpoints, and bad folders.

The transformers here are small and have random weights; no weights can be downloaded.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import types

import pytest
import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode

from wm_mpc.device.placed import Placed, place
from wm_mpc.model import vision_transformer
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, read_metadata, save_checkpoint
from wm_mpc.model.vit_description import KINDS, read_description
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_model, native_vision
from wm_mpc.spec import CameraSpec, ImageSpec, SpecError

from .conftest import make_spec

transformers = pytest.importorskip("transformers", reason="needs the extra vit")

PATCH = {"dinov2": 14, "dinov2_with_registers": 14, "dinov3_vit": 16}


@pytest.fixture(scope="module", params=KINDS)
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
        vit=read_description(folder), **sizes,
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


class NoUploads(TorchFunctionMode):
    """Refuses to make tensors from values on the host, which a graph cannot do again."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        assert getattr(function, "__name__", "") not in ("new_tensor", "tensor", "as_tensor")
        return function(*arguments, **(named or {}))


def test_a_copy_on_a_device_sees_the_same_and_needs_nothing_meanwhile(folder):
    model = make(folder)
    pixels = torch.randint(0, 255, (16, 20, 3), dtype=torch.uint8)
    expected = model.encode_scene(pixels[None])[0].detach()
    found = place(model, "cpu:0").encode_scene(pixels)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    # The device "meta" has no values, so nothing can be read back from it.
    there = Placed(model, torch.device("meta"), capture=False)
    image = pixels[None].to("meta")
    with NoUploads():
        assert there.model.encode_scene(image).device.type == "meta"


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


@pytest.mark.parametrize("there", [None, types.ModuleType("transformers")])
def test_without_the_package_the_error_names_it(folder, tmp_path, monkeypatch, there):
    save_checkpoint(make(folder), tmp_path / "m.safetensors", {})
    monkeypatch.setitem(sys.modules, "transformers", there)  # missing, or broken
    with pytest.raises(CheckpointError, match=r"transformers cannot be used: .*pip install .*vit"):
        load_checkpoint(tmp_path / "m.safetensors")


def test_an_old_package_is_named(folder, tmp_path, monkeypatch):
    save_checkpoint(make(folder), tmp_path / "m.safetensors", {})
    monkeypatch.setattr(vision_transformer, "version", lambda: "4.57.1")
    with pytest.raises(CheckpointError, match=r"transformers 4\.57\.1 is too old; install it: pip"):
        load_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers .* is '1000000000'; accepted: a whole"),
        ({"num_hidden_layers": 64}, "num_hidden_layers is 64; the file has"),
        ({"hidden_size": 10**12}, "accepted: a whole number from 1 to 4096"),
        ({"hidden_size": 33}, "cannot be made|tensor"),
        ({"hidden_size": 32.0}, "accepted: a whole number"),
        ({"patch_size": [14, 14]}, "patch_size .* accepted: a whole number"),
        ({"image_size": True}, "image_size .* accepted: a whole number"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps .* accepted: a number from"),
        ({"image_std": [0.2, 0.0, 0.2]}, "image_std .* accepted: three numbers from"),
        ({"model_type": "gpt2"}, "model_type 'gpt2'; accepted: dinov2"),
        ({"hidden_act": "no such thing"}, "hidden_act .* accepted: gelu"),
        ({"attn_implementation": "somebody/kernels"}, "unknown entry 'attn_implementation'"),
        ({"_attn_implementation": "somebody/kernels"}, "unknown entry"),
        ({"num_labels": 10**7}, "unknown entry 'num_labels'"),
        ({"return_dict": False}, "unknown entry"),
        ({"auto_map": {"AutoModel": "somebody.Model"}}, "unknown entry"),
    ],
)
def test_a_foreign_description_is_refused(folder, tmp_path, change, reason):
    path = tmp_path / "m.safetensors"
    save_checkpoint(make(folder), path, {})
    rewrite(path, lambda vit: {**vit, **change})
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(path)


def test_a_description_without_normalisation_is_refused(folder, tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(make(folder), path, {})
    rewrite(path, lambda vit: {k: v for k, v in vit.items() if k != "image_mean"})
    with pytest.raises(CheckpointError, match="image_mean of the vision transformer is missing"):
        load_checkpoint(path)


def test_other_names_of_weights_name_the_versions(folder, tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(make(folder), path, {})
    tensors, text = safetensors.torch.load_file(path), read_metadata(path)
    first = next(name for name in sorted(tensors) if name.startswith("encoder.vit."))
    tensors["encoder.vit.0"] = tensors.pop(first)
    text["transformers"] = "6.0.0"
    safetensors.torch.save_file(tensors, path, {"wm_mpc": json.dumps(text)})
    with pytest.raises(CheckpointError, match=r"made with transformers 6\.0\.0, here is"):
        load_checkpoint(path)


def rewrite(path, change):
    tensors, metadata = safetensors.torch.load_file(path), read_metadata(path)
    vit = change(json.loads(metadata["architecture"]["vit"]))
    metadata["architecture"]["vit"] = json.dumps(vit)
    safetensors.torch.save_file(tensors, path, {"wm_mpc": json.dumps(metadata)})


def test_entries_that_do_not_matter_never_leave_the_folder(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    more = {"_attn_implementation": "somebody/kernels", "return_dict": False, "num_labels": 10**7}
    (tmp_path / "config.json").write_text(json.dumps({**config, **more}))
    assert read_description(tmp_path) == read_description(folder)
    assert make(tmp_path).encoder.hash() == make(folder).encoder.hash()


def test_pictures_are_normalised_as_the_folder_says(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    other = {"image_mean": [0.430, 0.411, 0.296], "image_std": [0.213, 0.156, 0.143]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**other, "size": 224}))
    picture = torch.rand(1, 3, 16, 20)
    usual, changed = (
        make(path).encoder._patches_of(picture, (4, 5)) for path in (folder, tmp_path)
    )
    assert not torch.allclose(usual, changed)
    description = json.loads(read_description(tmp_path))
    assert {name: description[name] for name in other} == other


def test_too_many_patches_are_refused(folder):
    with pytest.raises(SpecError, match=r"64 x 2048 patches; accepted for a picture of 16 x 512"):
        WorldModel(
            dataclasses.replace(make_spec(), image=ImageSpec(16, 512)),
            Architecture(encoder="vit", vit=read_description(folder), vit_patches=64),
        )


def test_bad_folders_are_refused(folder, tmp_path):
    with pytest.raises(SpecError, match=r"config\.json cannot be read"):
        read_description(tmp_path)
    shutil.copy(folder / "config.json", tmp_path)
    model = make(folder)
    with pytest.raises(SpecError, match=r"there is no .*model\.safetensors; weights in several"):
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
        read_description(tmp_path)


def test_weights_that_are_not_finite_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(weights.values())).fill_(float("nan"))
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(SpecError, match="weights that are not finite"):
        make(tmp_path)


def test_weights_that_would_make_too_large_a_checkpoint_are_refused(folder, monkeypatch):
    monkeypatch.setattr(vision_transformer, "LARGEST_FILE", 1000)
    with pytest.raises(SpecError, match=r"has \d+ weights; accepted: at most 125"):
        make(folder)


def test_the_hash_knows_the_weights(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(weights.values())).add_(1e-3)
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    assert make(tmp_path).encoder.hash() != make(folder).encoder.hash()
