"""`ros2 run wm_mpc learn`: from a recording of a robot to a checkpoint, in one command."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from wm_mpc.arguments import seed
from wm_mpc.atomic import write
from wm_mpc.cli import import_bag, import_bag_options, import_lerobot
from wm_mpc.cli.bars import advancing, bar
from wm_mpc.cli.import_options import settings_of
from wm_mpc.data.bag_config import BagConfigError
from wm_mpc.data.episodes import Dataset, DatasetError, Recording
from wm_mpc.directories import data_directory, runs_directory
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.provenance import recorded_command
from wm_mpc.reports.page import save_page
from wm_mpc.training import command as training
from wm_mpc.training.config import ConfigError
from wm_mpc.training.preparation import split_episodes

_DESCRIPTION = """\
Learn to drive a robot from recordings of it: import them, judge the recording, train a world
model, and judge again by what it learned. The result is a checkpoint and a report that says what
to record more of.

  learn my_bag                           a rosbag2 directory or file, or several
  learn my_dataset                       a LeRobot dataset: a folder with meta/info.json
  learn my_bag --task arm --state joint_states

The options of import_bag or import_lerobot are accepted, too. After an interruption, the same
command continues.
"""
# Parts of the whole, by their usual time.
_PARTS = {
    "import": 6, "representation": 50, "encode": 2, "embedding": 16, "proposals": 6,
    "dynamics": 18, "measure": 2,
}  # fmt: skip
_REFRESH = 0.2  # s between two updates of the bar
_IMPORTED = "learn.json"
_OWN = ("train_config", "synthesis", "seed", "run")  # options of the training


class _Whole:
    """One progress bar for everything, with the remaining time."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._bar = bar(
            sum(_PARTS.values()), "", "%",
            bar_format="{desc:16}{percentage:3.0f} %|{bar}| {elapsed}, {remaining} left{postfix}",
        )  # fmt: skip

    def training(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        """Show how far a stage of the training is."""
        if values:
            shown = {name: f"{value:.4f}" for name, value in values.items()}
            self._bar.set_postfix(shown, refresh=False)
        self.at(stage, done / max(1, total))

    def at(self, part: str, share: float) -> None:
        """Show that a share of a part is done, and all parts before it."""
        if part in _PARTS:
            names = list(_PARTS)
            before = sum(_PARTS[name] for name in names[: names.index(part)])
            self._bar.n = max(self._bar.n, before + _PARTS[part] * min(1.0, share))
        self._bar.set_description_str(part, refresh=False)
        if time.monotonic() - self._shown > _REFRESH:
            self._bar.refresh()
            self._shown = time.monotonic()

    @contextlib.contextmanager
    def importing(self, total: int | None, what: str, unit: str) -> Iterator[Callable[[int], Any]]:
        """Stand in for a bar of the import."""
        done = 0

        def advance(count: int = 1) -> None:
            nonlocal done
            done += count
            if done % 100 == 0:
                self.at("import", 0.9 * done / total if total else 0.5)

        yield advance

    def close(self) -> None:
        self._bar.close()


class _Lines(io.TextIOBase):
    """Prints lines above the bar, and keeps them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.kept = ""
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            tqdm.write(line, file=self._out)
            self.kept += line + "\n"
        return len(text)


def parser(
    of_import: Callable[[], argparse.ArgumentParser] = import_bag_options.parser,
) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        of_import: Makes the parser of the import, whose options are accepted, too.
    """
    parser = of_import()
    parser.prog, parser.usage = "learn", "learn RECORDING [RECORDING ...] [options]"
    parser.description = _DESCRIPTION
    add = parser.add_argument_group("training").add_argument
    add("--train-config", type=Path, metavar="FILE",
        help="settings of the training (YAML); default: the installed train.yaml")  # fmt: skip
    add("--synthesis", default="adversarial", metavar="LIST",
        help="methods of data synthesis; default: adversarial, the only one that needs no "
        "simulator")  # fmt: skip
    add("--seed", type=seed, metavar="N", help="seed of all random numbers")
    add("--run", type=Path, metavar="DIR", help="where results go; default: ./runs/<task>")
    return parser


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    started = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    is_lerobot = any((Path(word) / "meta" / "info.json").is_file() for word in words)
    module: Any = import_lerobot if is_lerobot else import_bag
    of_import = import_lerobot.parser if is_lerobot else import_bag_options.parser
    options = parser(of_import).parse_args(arguments)
    own = argparse.Namespace(**{name: vars(options).pop(name) for name in _OWN})
    command = recorded_command("learn", arguments)
    if options.list:
        return int(module.run(options, command, advancing))
    try:
        task = settings_of(options, {"bags", "folder", "instruction", "degrees"}).task
    except BagConfigError as error:
        print(f"learn: {error}", file=sys.stderr)
        return 1
    options.dataset = options.dataset or data_directory(task)
    run = own.run or runs_directory(task)
    settings = training.parser().parse_args(
        ["--dataset", str(options.dataset), "--run", str(run), "--synthesis", own.synthesis]
    )
    settings.config, settings.seed = own.train_config, own.seed
    try:
        training.settings(settings)  # before the import, which may take long
    except (ConfigError, OSError) as error:
        print(f"learn: {error}", file=sys.stderr)
        return 1
    given = {name: str(value) for name, value in vars(options).items()}
    given["recordings"] = str([str(path.resolve()) for path in _recordings(options)])
    lines, complaints = _Lines(sys.stdout), _Lines(sys.stderr)
    with (
        contextlib.closing(_Whole()) as whole,
        contextlib.redirect_stdout(lines),
        contextlib.redirect_stderr(complaints),
    ):
        if _is_imported(options.dataset, given):
            print(f"already imported to {options.dataset}")
        else:
            whole.at("import", 0.0)
            if code := module.run(options, command, whole.importing):
                return int(code)
            write(options.dataset / _IMPORTED, json.dumps({**given, "printed": lines.kept}))
        from wm_mpc.cli import train  # PyTorch and Lightning are slow to import

        try:
            _judge_before_training(options.dataset)
            if code := train.run(settings, command, whole.training):
                return code
            whole.at("measure", 0.0)
            _judge(settings, run, started, _next_import(module, words, options))
        except (OSError, DatasetError, ConfigError, CheckpointError) as error:
            print(f"learn: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nlearn: interrupted; the same command continues", file=sys.stderr)
            return 130
        whole.at("measure", 1.0)
    return 0


def _recordings(options: argparse.Namespace) -> list[Path]:
    return list(options.bags) if "bags" in options else [options.folder]


def _is_imported(path: Path, given: dict[str, str]) -> bool:
    """Whether this command has made the dataset already, from the same recordings."""
    try:
        before = json.loads((path / _IMPORTED).read_text(encoding="utf-8"))
        return bool(len(Dataset(path))) and all(before[name] == given[name] for name in given)
    except (OSError, ValueError, KeyError, TypeError, DatasetError):
        return False


def _printed(dataset: Path) -> tuple[str, list[str]]:
    """What the import printed, and its warnings."""
    text = json.loads((dataset / _IMPORTED).read_text(encoding="utf-8"))["printed"]
    return text, [line.strip() for line in text.splitlines() if "WARNING" in line]


def _print(findings: Sequence[Any]) -> None:
    for each in findings:
        print(f"{'good' if each.holds else 'POOR'}  {each.name}: {each.value}")
        if each.advice:
            print(f"      {each.advice}")


def _judge_before_training(dataset: Path) -> None:
    """Print what the recording alone shows, so that nobody waits for a model of a poor one."""
    from wm_mpc.training.suitability import assess_recording
    from wm_mpc.training.suitability_report import verdict

    recording = Recording(Dataset(dataset))
    findings = assess_recording(recording, _printed(dataset)[1])
    print("the recording, before the training:")
    _print(findings)
    if len(recording.indices) < 2:
        print(f"learn: {verdict(findings)}")
        raise DatasetError(
            f"{dataset} has one episode, and the training holds out whole episodes; accepted: two "
            "or more. Record more and add it (--append), or cut it: remove the dataset, and lower "
            "--max-steps"
        )
    is_good = all(each.holds for each in findings)
    then = (
        "The training shows the rest." if is_good
        else "The training goes on all the same. Ctrl-C stops it, so that you can record again."
    )  # fmt: skip
    print(f"learn: {verdict(findings)} {then}")


def _next_import(module: Any, words: Sequence[str], options: argparse.Namespace) -> str:
    """The command that adds a recording, with the options of this import."""
    own = {f"--{name.replace('_', '-')}" for name in _OWN}
    recordings = {str(path) for path in _recordings(options)}
    kept, rest = [], iter(words)
    for word in rest:
        if word in own:
            next(rest, None)
        elif word.partition("=")[0] not in own and word not in {*recordings, "--append"}:
            kept.append(word)
    name = module.__name__.rpartition(".")[2]
    return shlex.join(["ros2", "run", "wm_mpc", name, "MORE", "--append", *kept])


def _judge(options: argparse.Namespace, run: Path, started: float, more: str) -> None:
    """Judge the recording and write learned.html."""
    from wm_mpc.training.suitability import assess
    from wm_mpc.training.suitability_report import report, verdict

    training.settle_task(options)
    config = training.settings(options)
    recording = Recording(Dataset(options.dataset))
    checkpoint = run / f"{recording.spec.task}.safetensors"
    model, _ = load_checkpoint(checkpoint)
    results = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    results["checkpoint"] = str(checkpoint)
    imported, warnings = _printed(options.dataset)
    held_out = split_episodes(recording, config)[1]
    findings = assess(recording, model, held_out, results["metrics"], warnings)
    page = run / "learned.html"
    save_page(
        report(findings, imported, results, time.monotonic() - started, more),
        page,
        run / "report.png",
    )
    _print(findings)
    print(f"{verdict(findings)}\nreport      {page}")


if __name__ == "__main__":
    sys.exit(main())
