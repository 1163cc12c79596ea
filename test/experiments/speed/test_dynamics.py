"""What a transformer costs in place of a GRU."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from wm_mpc.experiments.speed import dynamics
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.library import library
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "transformer"])
@pytest.mark.parametrize("gate", [True, False])
def test_products_are_those_that_a_step_multiplies(kind, gate):
    spec = RobotSpec(
        "toy",
        ActionSpec(("a", "b"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0)),
        StateSpec(("x",), ("m",), "odom"),
        ImageSpec(16, 16),
        control_period=0.1,
        frame_skip=3,
        history=3,
    )
    sizes = Architecture(3, 4, 4, hidden=32, dynamics=kind, gate=gate, context=3, layers=3)
    model = WorldModel(spec, sizes).requires_grad_(False)
    carry = model.start(torch.randn(1, 3, model.latent_size), torch.randn(1, 2, 6))
    with FlopCounterMode(display=False) as counter:  # a product and a sum are two
        model.dynamics.step(carry, torch.randn(1, 6))
    assert dynamics.products(model) == counter.get_total_flops() / 2


@pytest.mark.skipif(library() is None, reason="no C++ compiler here")
def test_contenders_are_compared_with_the_compiled_gru(monkeypatch):
    monkeypatch.setattr(dynamics, "PLANNERS", ("adam",))
    monkeypatch.setattr(dynamics, "_TURNS", 2)
    measured = dynamics.measure("wall", [32], 0.01)
    assert [(row["dynamics"], row["backend"]) for row in measured["rows"]] == [
        ("gru", "native"), ("transformer", "native"), ("transformer", "torch"),
    ]  # fmt: skip
    assert measured["rows"][0]["ratio"] == 1.0
    assert all(row["processor_ms"]["count"] >= 2 for row in measured["rows"])
    assert measured["rows"][2]["ratio"] > measured["rows"][1]["ratio"]
    text = dynamics.report(measured)
    assert "at most x 3 is wanted" in text


def test_a_width_that_is_not_compiled_is_refused():
    with pytest.raises(RuntimeError, match="plans of gru with hidden 9 run on PyTorch"):
        dynamics.measure("wall", [9], 0.01)


def test_report_says_whether_the_ratio_holds():
    row = {
        "hidden": 64, "planner": "adam", "processor_ms": {"p50": 5.0, "count": 9},
        "ratio": 3.1, "products_ratio": 2.2, "dynamics": "transformer", "backend": "native",
    }  # fmt: skip
    text = dynamics.report({"task": "wall", "sizes": {"layers": 2}, "rows": [row]})
    assert text.endswith("at most x 3 is wanted: does not hold")
    assert "holds" in dynamics.report(
        {"task": "wall", "sizes": {}, "rows": [{**row, "ratio": 3.0}]}
    )
