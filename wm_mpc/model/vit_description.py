"""What a world model must know about its vision transformer: kind, sizes, and normalisation.

A description is JSON text in `architecture.vit`. It comes from the files beside the weights, and
later from a checkpoint, which may be anybody's. So only the entries below are ever used, each in
its range; nothing else of these files reaches the package that makes transformers.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from wm_mpc.spec import SpecError

KINDS = ("dinov2", "dinov2_with_registers", "dinov3_vit")  # `model_type` in config.json
_BOTH = ("dinov2", "dinov2_with_registers")
_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu")
# The largest numbers, by name; the least is 1.
_WHOLE = {
    "hidden_size": 4096, "num_hidden_layers": 64, "num_attention_heads": 64,
    "image_size": 2048, "patch_size": 64,
}  # fmt: skip
# Least and largest numbers, by name.
_NUMBERS = {"layer_norm_eps": (1e-12, 0.1), "layerscale_value": (0.0, 10.0)}
_OF_DINOV2: dict[str, tuple[float, float]] = {"mlp_ratio": (0.1, 16.0)}
_OF_DINOV3: dict[str, tuple[float, float]] = {"rope_theta": (1.0, 1e6)}
_SWITCHES = {
    **dict.fromkeys(_BOTH, ("qkv_bias", "use_swiglu_ffn")),
    "dinov3_vit": (
        "query_bias", "key_bias", "value_bias", "proj_bias", "mlp_bias", "use_gated_mlp"
    ),
}  # fmt: skip
_COUNTED = {"dinov2": {}, "dinov2_with_registers": {"num_register_tokens": 64},
            "dinov3_vit": {"num_register_tokens": 64, "intermediate_size": 16384}}  # fmt: skip
# Normalisation of pictures, in preprocessor_config.json; else that of ImageNet.
PICTURES = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}


def read_description(folder: Path) -> str:
    """Read what a folder says about its transformer.

    Args:
        folder: Folder with `config.json`, and `preprocessor_config.json` where there is one, as
            Hugging Face has them.

    Returns:
        The description.

    Raises:
        SpecError: A file is missing or damaged, or an entry is not accepted.
    """
    config = _table(folder / "config.json")
    pictures = folder / "preprocessor_config.json"
    shown = _table(pictures) if pictures.is_file() else {}
    known = {"model_type", *_accepted(str(config.get("model_type")))}
    found = {name: value for name, value in config.items() if name in known}
    found |= {name: shown.get(name, list(usual)) for name, usual in PICTURES.items()}
    text = json.dumps(found, sort_keys=True)
    described(text)
    return text


def described(text: str) -> dict[str, Any]:
    """Return the entries of a description.

    Args:
        text: As from `read_description`.

    Raises:
        SpecError: It is no description, or an entry is not accepted.
    """
    try:
        found = json.loads(text)
        kind = found["model_type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SpecError("architecture.vit is no description of a vision transformer") from None
    if kind not in KINDS:
        raise SpecError(
            f"the vision transformer is of model_type {str(kind)[:50]!r}; accepted: "
            f"{', '.join(KINDS)}"
        )
    accepted = _accepted(kind)
    for name in PICTURES:
        if name not in found:
            raise SpecError(f"{name} of the vision transformer is missing")
    for name, value in found.items():
        if name == "model_type":
            continue
        if name not in accepted:
            raise SpecError(f"the vision transformer has an unknown entry {name[:50]!r}")
        if not _fits(value, accepted[name]):
            raise SpecError(
                f"{name} of the vision transformer is {str(value)[:50]!r}; accepted: "
                f"{_in_words(accepted[name])}"
            )
    result: dict[str, Any] = found
    return result


def _accepted(kind: str) -> dict[str, Any]:
    """What each entry may be: a range of whole numbers or of numbers, choices, or a list."""
    if kind not in KINDS:
        return {}
    numbers = _NUMBERS | (_OF_DINOV3 if kind == "dinov3_vit" else _OF_DINOV2)
    return {
        **{name: range(1, most + 1) for name, most in _WHOLE.items()},
        **{name: range(most + 1) for name, most in _COUNTED[kind].items()},
        **numbers,
        **dict.fromkeys(_SWITCHES[kind], (True, False)),
        "hidden_act": _ACTIVATIONS,
        **{name: [1e-3, 1.0] for name in PICTURES},
    }


def _fits(value: Any, accepted: Any) -> bool:
    if isinstance(accepted, range):
        return type(value) is int and value in accepted
    if isinstance(accepted, list):
        return (
            isinstance(value, list)
            and len(value) == 3
            and all(_is_between(number, *accepted) for number in value)
        )
    if isinstance(accepted[0], float):
        return _is_between(value, *accepted)
    return any(type(value) is type(choice) and value == choice for choice in accepted)


def _is_between(value: Any, least: float, most: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and least <= value <= most


def _in_words(accepted: Any) -> str:
    if isinstance(accepted, range):
        return f"a whole number from {accepted.start} to {accepted.stop - 1}"
    if isinstance(accepted, list):
        return f"three numbers from {accepted[0]:g} to {accepted[1]:g}"
    if isinstance(accepted[0], float):
        return f"a number from {accepted[0]:g} to {accepted[1]:g}"
    return ", ".join(str(choice) for choice in accepted)


def _table(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise SpecError(f"{path} is not a table of settings")
    return found
