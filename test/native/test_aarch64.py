"""The machine code of aarch64, compiled and run here: its numbers are those of PyTorch."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.familiarity import image_error
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native import compiler
from wm_mpc.native.dynamics import weights_of
from wm_mpc.native.kernel import NativeCost, _Descent
from wm_mpc.native.model import NativeModel
from wm_mpc.native.vision import NativeVision
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

CROSS, QEMU = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
LANES = 4
ROWS, HORIZON = 5, 4
OBJECTIVE = ObjectiveConfig(
    discount=0.5, state_weight=0.7, action_weight=0.1, action_rate_weight=0.3
)


class Library:
    """How the library for aarch64 wants weights packed; nothing of it runs in this process."""

    def __init__(self):
        self.wm_mpc_lanes = lambda: LANES
        self.wm_mpc_panel = lambda: 2 * LANES
        self.wm_mpc_vision_memory = lambda _: 0
        for name in ("memory", "costs", "slopes", "descend", "encode", "redraw", "redraw_error"):
            setattr(self, f"wm_mpc_{name}", lambda *_: 0)


def make_model(*, rounded, dynamics):
    spec = RobotSpec(
        "toy",
        ActionSpec(("a", "b"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0), (4.0, 2.0)),
        StateSpec(("x", "yaw"), ("m", "rad"), "odom", ("yaw",)),
        ImageSpec(17, 33),
        control_period=0.1,
        frame_skip=3,
        history=2,
    )
    torch.manual_seed(0)
    # A window of 3 slides along the plan, and heads of 5 numbers are no whole vectors.
    sizes = Architecture(5, 8, 4, hidden=20, dynamics=dynamics, context=3)
    model = WorldModel(spec, sizes).eval().requires_grad_(False)
    parts = (model.dynamics, model.embedding, model.encoder, model.decoder)
    for weight in (weight for part in parts for weight in part.parameters()):
        weight.add_(0.2 * torch.randn_like(weight))  # so that everything matters
    if rounded:
        model.dynamics.round_weights()
    return model


def bytes_of(block):
    """The address and the bytes of a tensor, or of a struct or an array of structs."""
    if isinstance(block, torch.Tensor):
        return block.data_ptr(), block.numpy().tobytes()
    return ctypes.addressof(block), bytes(block)


def written(blocks, words):
    """What driver.cpp reads."""
    parts = [struct.pack("<Q", len(blocks))]
    for block in blocks:
        address, content = bytes_of(block)
        holds_addresses = not isinstance(block, torch.Tensor)
        parts += [struct.pack("<QQQ", address, len(content), holds_addresses), content]
    return b"".join([*parts, struct.pack(f"<{len(words)}Q", *words)])


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """The library for aarch64, and what runs it."""
    if CROSS is None or QEMU is None:
        pytest.skip("aarch64-linux-gnu-g++ and qemu-aarch64 are not both here")
    folder = tmp_path_factory.mktemp("aarch64")
    compiler.build(folder / "planner.so", [CROSS], tuning=[()])
    source = Path(__file__).with_name("driver.cpp")
    command = [CROSS, "-O1", "-std=c++17", "-o", str(folder / "driver"), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return folder


@pytest.mark.parametrize("rounded", [False, True], ids=["float", "bfloat16"])
@pytest.mark.parametrize("dynamics", ["gru", "transformer"])
def test_plans_and_pictures_on_aarch64_are_those_of_torch(
    tools, dynamics, rounded, tmp_path, monkeypatch
):
    model, library = make_model(rounded=rounded, dynamics=dynamics), Library()
    packed = NativeModel(library, weights_of(model), model.embedding, model.spec.block_size)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(3, model.latent_size, generator=generator)
    executed = torch.rand(1, 1, model.spec.block_size, generator=generator) * 2 - 1
    carry = model.start(latents[None, :2], executed)
    fixed = torch.rand(2, 2, generator=generator)
    monkeypatch.setattr("wm_mpc.planning.objective.native_model", lambda _: packed)
    cost = GoalCost(model, OBJECTIVE, carry, latents[-1], fixed)
    by_torch = GoalCost(model, OBJECTIVE, carry, latents[-1], fixed, native=False)
    actions = torch.rand(ROWS, HORIZON, 6, generator=generator) * 2 - 1
    native = cost._native
    assert isinstance(native, NativeCost)
    ready, _ = native._ask(actions, OBJECTIVE.step_weights(HORIZON))
    descent = _Descent(20, 1, 0.05, 0.0, 1e9, None)
    vision = NativeVision(library, model)
    pixels = torch.from_numpy(
        np.random.default_rng(2).integers(0, 256, (17, 33, 3), np.uint8)
    ).contiguous()
    seen = torch.cat([model.encode_scene(pixels[None])[0], torch.randn(3, generator=generator)])

    blocks = [
        packed.struct, *packed._packer._kept, native._problem, *native._kept.values(), ready,
        descent, vision._struct, *vision._packer._kept, pixels, seen,
    ]  # fmt: skip
    words = [bytes_of(block)[0] for block in (packed.struct, native._problem, descent, ready)]
    words += [ROWS, HORIZON, model.latent_size, HORIZON * 6]
    words += [bytes_of(block)[0] for block in (vision._struct, pixels, seen)]
    (tmp_path / "in").write_bytes(written(blocks, [*words, model.scene_size]))
    subprocess.run(
        [QEMU, "-L", "/usr/aarch64-linux-gnu", tools / "driver", tools / "planner.so",
         tmp_path / "in", tmp_path / "out"],
        check=True, timeout=120,
    )  # fmt: skip
    numbers = torch.from_numpy(np.fromfile(tmp_path / "out", np.float32))
    sizes = [1, ROWS, ROWS * HORIZON * model.latent_size, actions.numel(), 1, actions.numel(),
             model.scene_size, 1]  # fmt: skip
    lanes, costs, path, slopes, done, best, scene, error = numbers.split(sizes)

    wanted = actions.clone().requires_grad_()
    expected = by_torch(wanted)
    (gradient,) = torch.autograd.grad(expected.sum(), wanted)
    assert int(lanes) == LANES
    torch.testing.assert_close(costs, expected.detach(), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        path.view(ROWS, HORIZON, -1), by_torch.predict(actions), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(slopes.view_as(actions), gradient, atol=1e-4, rtol=0)
    assert int(done) == 20
    assert (by_torch(best.view_as(actions)) < by_torch(actions)).all()
    torch.testing.assert_close(scene, model.encode_scene(pixels[None])[0], atol=1e-4, rtol=0)
    redrawn = float(image_error(model, pixels[None], seen[None])[0])
    assert float(error) == pytest.approx(redrawn, abs=1e-5)


def test_the_sources_name_no_instruction_of_one_processor():
    for name in compiler._SOURCES:
        text = Path(compiler.__file__).with_name(name).read_text()
        assert "immintrin" not in text
        assert "_mm" not in text.replace("__AVX", "")
