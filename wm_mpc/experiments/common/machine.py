"""The machine of an experiment; plan times mean nothing without it."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any

import torch

from wm_mpc.native.library import why_not


def describe_machine() -> dict[str, Any]:
    """Return CPU model, usable cores, system, Python, torch, and whether planning is compiled
    here ("yes", or why not)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_model(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "native": why_not() or "yes",
    }


def today() -> str:
    """Return the date, UTC, such as "2025-01-31"."""
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in text.splitlines()
             if line.startswith("model name")]  # fmt: skip
    return names[0] if names else platform.processor() or "unknown"
