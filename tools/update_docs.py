"""Make what README.md and docs/ take from code and results: `python tools/update_docs.py`.

Tables of parameters, launch arguments and options come from the code; figures come from
results/**/results.json. `--check` writes nothing, and ends with code 1 if a page is out of date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from docs_site import measured, measured_speed, pages, sources

MAKERS = {**sources.MAKERS, **measured.MAKERS, **measured_speed.MAKERS}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; code 1 if outdated")
    options = parser.parse_args(arguments)
    outdated = 0
    for path in pages.pages():
        text = path.read_text(encoding="utf-8")
        new = pages.updated(text, MAKERS, str(path.relative_to(pages.ROOT)))
        if new != text:
            outdated += 1
            print(
                f"{path.relative_to(pages.ROOT)} {'is out of date' if options.check else 'updated'}"
            )
            if not options.check:
                path.write_text(new, encoding="utf-8")
    return 1 if options.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
