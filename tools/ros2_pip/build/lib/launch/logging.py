"""Logging of the launch: screen format, log directory, output of processes.

Named like the module of the genuine package; the standard one is imported absolutely.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

DESTINATIONS = ("screen", "log", "own_log")
OUTPUT_MODES: dict[str, dict[str, set[str]]] = {
    "screen": {"both": {"screen"}},
    "log": {"both": {"log"}, "stderr": {"screen"}},
    "both": {"both": {"log", "screen"}},
    "own_log": {"both": {"own_log"}, "stdout": {"own_log"}, "stderr": {"own_log"}},
    "full": {
        "both": {"screen", "log", "own_log"},
        "stdout": {"own_log"},
        "stderr": {"own_log"},
    },
}


class _ScreenHandler(logging.StreamHandler):
    """Write to the present sys.stdout; launch messages with a prefix, process output bare."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self._prefixed = logging.Formatter("[{levelname}] [{name}]: {msg}", style="{")

    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg) if hasattr(record, "bare") else self._prefixed.format(record)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


class _FileHandler(logging.FileHandler):
    """Write to a log file; launch messages with time and level, process output with time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self._prefixed = logging.Formatter("{created:.7f} [{levelname}] [{name}]: {msg}", style="{")
        self._bare = logging.Formatter("{created:.7f} {msg}", style="{")

    def format(self, record: logging.LogRecord) -> str:
        return (self._bare if hasattr(record, "bare") else self._prefixed).format(record)


class LaunchConfig:
    """Where logs go; made on first use, so that importing launch creates no directory."""

    def __init__(self) -> None:
        self._log_dir: Path | None = None
        self._screen: _ScreenHandler | None = None
        self._files: dict[str, _FileHandler] = {}

    @property
    def level(self) -> int:
        """The least severe level that is logged."""
        return logging.root.getEffectiveLevel()

    @level.setter
    def level(self, level: int) -> None:
        logging.root.setLevel(level)

    @property
    def log_dir(self) -> str:
        """The directory of this launch below ROS_LOG_DIR, ROS_HOME/log or ~/.ros/log."""
        if self._log_dir is None:
            base = os.environ.get("ROS_LOG_DIR")
            if not base:
                base = os.path.join(os.environ.get("ROS_HOME") or "~/.ros", "log")
            stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
            name = f"{stamp}-{socket.gethostname()}-{os.getpid()}"
            self._log_dir = Path(os.path.normpath(os.path.expanduser(base))) / name
            self._log_dir.mkdir(parents=True, exist_ok=True)
            self._link_latest(self._log_dir)
        return str(self._log_dir)

    @staticmethod
    def _link_latest(log_dir: Path) -> None:
        latest = log_dir.parent / "latest"
        temporary = log_dir.parent / f".latest-{os.getpid()}"
        if latest.exists() and not latest.is_symlink():
            return
        try:
            temporary.symlink_to(log_dir, target_is_directory=True)
            temporary.replace(latest)
        except OSError as error:
            logging.getLogger("launch").debug("cannot link %s: %s", latest, error)

    def screen_handler(self) -> logging.Handler:
        """The handler that writes to the screen."""
        if self._screen is None:
            self._screen = _ScreenHandler()
        return self._screen

    def file_handler(self, name: str = "launch.log") -> logging.Handler:
        """The handler that writes to a file in the log directory."""
        if name not in self._files:
            self._files[name] = _FileHandler(Path(self.log_dir) / name)
        return self._files[name]


launch_config = LaunchConfig()


def log_launch_config(*, logger: logging.Logger) -> None:
    """Tell where the log files are and how much is logged."""
    logger.info(f"All log files can be found below {launch_config.log_dir}")
    level = logging.getLevelName(launch_config.level)
    logger.info(f"Default logging verbosity is set to {level}")


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger that writes to the screen and to the main log file."""
    logger = logging.getLogger(name)
    for handler in (launch_config.screen_handler(), launch_config.file_handler()):
        if handler not in logger.handlers:
            logger.addHandler(handler)
    logger.propagate = False
    return logger


def _destinations(config: str | dict) -> dict[str, set[str]]:
    if isinstance(config, str):
        if config not in OUTPUT_MODES:
            raise ValueError(
                f"{config} is not a valid standard output config; "
                f"expected one of {', '.join(OUTPUT_MODES)}"
            )
        return OUTPUT_MODES[config]
    result: dict[str, set[str]] = {}
    for source, names in config.items():
        if source not in ("both", "stdout", "stderr"):
            raise ValueError(f"{source} is not a valid output source: both, stdout or stderr")
        wanted = {names} if isinstance(names, str) else set(names)
        if not wanted <= set(DESTINATIONS):
            raise ValueError(f"{names} is not a valid output destination: {DESTINATIONS}")
        result[source] = wanted
    return result


def get_output_loggers(
    process_name: str, output_config: str | dict
) -> tuple[logging.LoggerAdapter, logging.LoggerAdapter]:
    """Return the loggers of a process's standard output and standard error.

    ``output_config`` is 'screen', 'log', 'both', 'own_log', 'full', or a dictionary of
    destinations ('screen', 'log', 'own_log') by source ('stdout', 'stderr', 'both').
    """
    config = _destinations(output_config)
    loggers = []
    for source in ("stdout", "stderr"):
        logger = logging.getLogger(f"{process_name}-{source}")
        logger.propagate = False
        logger.handlers.clear()
        for handler in _handlers(process_name, source, config):
            logger.addHandler(handler)
        loggers.append(logging.LoggerAdapter(logger, {"bare": True}))
    return loggers[0], loggers[1]


def _handlers(
    process_name: str, source: str, config: dict[str, set[str]]
) -> Iterable[logging.Handler]:
    wanted = config.get("both", set()) | config.get(source, set())
    if "screen" in wanted:
        yield launch_config.screen_handler()
    if "log" in wanted:
        yield launch_config.file_handler()
    if "own_log" in config.get(source, set()):
        yield launch_config.file_handler(f"{process_name}-{source}.log")
    if "own_log" in config.get("both", set()):
        yield launch_config.file_handler(f"{process_name}.log")
