"""How a result was made: command, seed, versions of code and data, machine and settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Measured values, which the tables show; all else is a setting.
_MEASURED = (
    "cells", "comparisons", "sections", "faults", "samples", "claims", "rounds", "metrics",
    "nominal", "disturbed", "load", "seconds_each", "failures",
)  # fmt: skip
_LABELS = {"sha256": "SHA-256"}


def facts(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a reader must know to repeat a result, as names and values.

    Args:
        results: Contents of results.json, or of metrics.json.
    """
    found = [("command", f"`{results['command']}`")] if results.get("command") else []
    for name in ("date", "code", "task", "goals", "seed", "episodes", "threads", "workers"):
        value = results.get(name)
        if isinstance(value, (str, int, float)) and value != "":
            found.append((name, str(value)))
    if machine := results.get("machine"):
        found.append(("machine", _sentence(machine)))
    if data := results.get("data"):
        found.append(("data", _data(data)))
    for name, checkpoint in _checkpoints(results):
        found.append((f"checkpoint {name}", _checkpoint(checkpoint)))
    return found


def settings(results: Mapping[str, Any]) -> str:
    """Return all settings as JSON.

    Args:
        results: Contents of results.json, or of metrics.json.
    """
    kept = {name: value for name, value in results.items() if name not in _MEASURED}
    return json.dumps(kept, indent=2, default=str)


def _checkpoints(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = results.get("checkpoints") or {}
    if isinstance(found, Mapping):
        yield from found.items()
    else:
        for entry in found:
            seed = entry.get("training_seed")
            yield f"{entry['variant']}, training seed {seed}", entry


def _checkpoint(entry: Mapping[str, Any]) -> str:
    parts = [f"`{entry['file']}`", f"SHA-256 `{entry['sha256'][:16]}`"]
    provenance = entry.get("provenance") or {}
    if provenance.get("code"):
        parts.append(f"code {provenance['code']}")
    if isinstance(provenance.get("data"), Mapping):
        parts.append(f"data {_data(provenance['data'])}")
    return ", ".join(parts)


def _data(data: Any) -> str:
    if not isinstance(data, Mapping):
        return str(data)
    parts = [f"`{data['hash']}`"] if data.get("hash") else []
    if data.get("episodes") is not None:
        parts.append(f"{data['episodes']} episodes")
    if data.get("command"):
        parts.append(f"`{data['command']}`")
    return ", ".join(parts) or _sentence(data)


def _sentence(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{_LABELS.get(name, name)} {_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(entry) for entry in value)
    return str(value)
