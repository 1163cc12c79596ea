"""`ros2 run wm_mpc import_bag`: make a training dataset from recordings of a real robot."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from wm_mpc.cli.bars import advancing
from wm_mpc.cli.import_bag_options import parser, settings
from wm_mpc.data.bag_config import ONLY_LEROBOT, BagConfig, BagConfigError
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.directories import data_directory
from wm_mpc.interrupts import one_interrupt
from wm_mpc.provenance import code_version, program, recorded_command

# Rules from streams to episodes and steps, of which the dataset's description says nothing.
_RULES = (
    "stamps", "stamp_offset", "split_at", "split_pause", "action.rule", "action.points",
    "action.timeout", "action.max_silence",
)  # fmt: skip
# Makes a progress bar of (total, what, unit); yields the function that advances it.
Bar = Callable[[int | None, str, str], contextlib.AbstractContextManager[Callable[[int], Any]]]


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    return run(parser().parse_args(arguments), recorded_command("import_bag", arguments), advancing)


def run(options: argparse.Namespace, command: str, bar: Bar) -> int:
    """Run the command with parsed options.

    Args:
        options: Parsed options of `parser`.
        command: Command line that the dataset records.
        bar: Makes the progress bars.

    Returns:
        Exit code.
    """
    name = program(command)  # import_bag, or learn
    try:
        from wm_mpc.data.bag import Bag, BagError
    except ImportError as error:
        print(f"{name}: {error}; install it: pip install rosbags", file=sys.stderr)
        return 1
    try:
        if options.list:
            from wm_mpc.data.bag_report import found

            for path in options.bags:
                with Bag(path) as bag:
                    print(found(bag))
            return 0
        from wm_mpc.data.dataset_lock import writing

        config = settings(options)
        if unused := config.unused(ONLY_LEROBOT):
            print(f"WARNING {unused}; only import_lerobot reads them")
        with writing(options.dataset or data_directory(config.task), name):
            _import(options, config, command, bar)
    except (BagError, BagConfigError, DatasetError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        return 130
    return 0


def _import(options: argparse.Namespace, config: BagConfig, command: str, bar: Bar) -> None:
    from wm_mpc.data import bag_accounts, import_journal
    from wm_mpc.data import bag_report as report
    from wm_mpc.data.bag import Bag
    from wm_mpc.data.bag_import import draft_episodes, write_episodes
    from wm_mpc.data.bag_spec import describe
    from wm_mpc.data.bag_streams import read_streams
    from wm_mpc.data.extending import check_extends

    path = options.dataset or data_directory(config.task)
    dataset = import_journal.present(path, append=options.append)
    if dataset is not None:
        check_extends(config, dataset.spec)
    provenance = {
        "command": command,
        "code": code_version(),
        "bags": [bag.name for bag in options.bags],
        "pose_names": (),
    }
    rules = config.stated(_RULES)
    if dataset is not None:
        for line in import_journal.differing(dataset, rules):
            print(f"WARNING {line}")
    with contextlib.ExitStack() as whole:
        for number, bag_path in enumerate(options.bags):
            with Bag(bag_path) as bag, tempfile.TemporaryFile(prefix="wm_mpc_import_") as spool:
                print(report.found(bag))
                description = describe(bag, config, None if dataset is None else dataset.spec)
                if dataset is not None:
                    import_journal.refuse_repeated(dataset, bag_accounts.identity(bag))
                if description.notes:
                    print(report.inferred(description))
                names = [topic.name for topic in description.topics.values()]
                accepted = bag_accounts.check(bag, names, accept=options.accept_damaged)
                total = sum(topic.count for topic in description.topics.values())
                with bar(total, "read", "message") as advance:
                    streams = read_streams(
                        bag, description.spec, description.topics, config, spool, advance
                    )
                drafts = draft_episodes(streams, description.spec, config)
                if dataset is None:
                    dataset = Dataset.create(path, description.spec, provenance)
                if number == 0:
                    whole.enter_context(import_journal.whole_import(dataset))
                first = max(dataset.indices(), default=-1) + 1
                with bar(len(drafts.episodes), "write", "episode") as advance:
                    write_episodes(streams, drafts, dataset, advance)
                found = bag_accounts.settle(bag, streams.of_topics(description.topics))
                entry = {**bag_accounts.entry(bag, found, command), "settings": rules}
                import_journal.enter(dataset, first, entry)
                print(report.added_up(found, accepted))
                print(report.outcome(bag, description, streams, drafts, config))
    assert dataset is not None
    print(f"{dataset.path}  task {dataset.spec.task}  episodes {len(dataset)}")


if __name__ == "__main__":
    sys.exit(main())
