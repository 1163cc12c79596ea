"""What mkdocs does beside its own work: pages of the Python API, and files outside docs/.

A page links to a file of the repository as a repository browser does: `../results/wall/results.md`.
Below `results/` and `config/`, such files become part of the site; the links then lead there.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import yaml
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
API = Path(__file__).with_name("api.yaml")
# Where files of the repository are in the site
OUTSIDE = {"results": "measured", "config": "config"}
SUFFIXES = {".md", ".png", ".yaml", ".xml"}
_LINK = re.compile(r"(\]\()((?:\.\./)+)(results|config)/")


def on_config(config):
    """Put the pages of the Python API into the navigation."""
    for number, entry in enumerate(config.nav):
        if entry == {"Python API": "api/"}:
            pages = [{page["title"]: f"api/{name}.md"} for name, page in _api().items()]
            config.nav[number] = {"Python API": pages}
    return config


def on_files(files, config):
    """Add what is not in docs/."""
    for name, page in _api().items():
        files.append(File.generated(config, f"api/{name}.md", content=_api_page(page)))
    for folder, place in OUTSIDE.items():
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                where = f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
                if path.suffix == ".md":
                    files.append(File.generated(config, where, content=_report(path)))
                else:
                    files.append(File.generated(config, where, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Let links out of docs/ lead to where those files are in the site."""
    depth = len(PurePosixPath(page.file.src_uri).parts) - 1

    def inside(match):
        ups = match[2].count("../")
        if ups != depth + 1:
            return match[0]
        return f"{match[1]}{'../' * depth}{OUTSIDE[match[3]]}/"

    return _LINK.sub(inside, markdown)


def _api():
    return yaml.safe_load(API.read_text(encoding="utf-8"))


def _api_page(page):
    modules = "\n\n".join(f"::: {module}" for module in page["modules"])
    return f"# {page['title']}\n\n{page['about']}\n\n{modules}\n"


def _report(path):
    """A report as a page with a title and its picture."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).parent.as_posix()
    if not text.startswith("# "):
        text = f"# {name}\n\n{text}"
    if path.with_name("results.png").exists():
        text += f"\n\n![Picture of {name}](results.png)\n"
    return text
