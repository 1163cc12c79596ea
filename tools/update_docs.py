"""Make what README.md, docs/ and launch files take from code and results.

    python tools/update_docs.py

Tables of parameters, launch arguments and options come from the code; figures come from
results/**/results.json. Launch files read wm_mpc/ros/parameters.json: importing the nodes' settings
would take them seconds. `--check` writes nothing, and ends with code 1 if a file is out of date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from docs_site import disturbed, measured, measured_speed, pages, sources, worlds

MAKERS = {
    **sources.MAKERS, **measured.MAKERS, **measured_speed.MAKERS, **worlds.MAKERS,
    **disturbed.MAKERS,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; code 1 if outdated")
    options = parser.parse_args(arguments)
    # First what launch files read, since the pages have tables of their arguments.
    path = sources.PARAMETERS_JSON
    outdated = replace(path, sources.parameters_json(), check=options.check)
    for path in pages.pages():
        new = pages.updated(path.read_text("utf-8"), MAKERS, str(path.relative_to(pages.ROOT)))
        outdated |= replace(path, new, check=options.check)
    return 1 if options.check and outdated else 0


def replace(path: Path, text: str, *, check: bool) -> bool:
    """Write a file that is out of date, or only say so; returns whether it is."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    print(f"{path.relative_to(pages.ROOT)} {'is out of date' if check else 'updated'}")
    if not check:
        path.write_text(text, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
