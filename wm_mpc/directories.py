"""Where a task's episodes and trainings go unless a command says otherwise."""

from __future__ import annotations

from pathlib import Path


def data_directory(task: str) -> Path:
    """Where a task's episodes go unless a command says otherwise."""
    return Path("data") / task


def runs_directory(task: str) -> Path:
    """Where a task's training goes unless a command says otherwise."""
    return Path("runs") / task
