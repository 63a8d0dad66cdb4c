"""Build the site: stage its pages, generate the reference, and run zensical strictly.

    python docs/site/site_build.py [--out FOLDER]

Pages are the documents of the repository and the files that they link to (site_links.py), and the
reference, which is made of the code at each build and kept nowhere (site_keys.py, site_tables.py,
site_reference.py). The build fails for a link that leads nowhere, an anchor that does not exist, a
public name without a docstring, and a column without a description.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from site_keys import KEYS_PAGE, Keys
from site_links import BrokenLink, Pages
from site_reference import MODULES, commands_page, module_page, plugin_pages, undocumented
from site_tables import tables_page

__all__ = ["build", "main", "stage"]

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
SOURCES: Final = [ROOT / name for name in ("runner", "plugins", "schemas")]
PROJECT: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
MEASURED: Final = ("benchmarks/RESULTS.md", "benchmarks/LIVE.md")


def _generated() -> dict[str, str]:
    """Return the pages that are made of the code, by their path."""
    from septet._config.json_schema import schema_text
    from septet._host.plugin_registry import Host

    keys = Keys(json.loads(schema_text(Host())))
    pages = {KEYS_PAGE: keys.page(), "reference/commands.md": commands_page()}
    pages |= {"reference/tables.md": tables_page(), **plugin_pages(keys)}
    for module in MODULES:
        names = list(importlib.import_module(module).__all__)
        pages[f"reference/python/{module}.md"] = module_page(module, names)
    return pages


def stage(out: Path, documents: list[Path], generated: dict[str, str]) -> None:
    """Write the folder that zensical builds: pages, assets and its settings."""
    pages = out / "pages"
    made = Pages(ROOT, pages)
    for each in documents:
        made.add(each)
    for name, text in generated.items():
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
        (pages / name).write_text(text, encoding="utf-8")
    (pages / "assets").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "site.css", pages / "assets" / "site.css")
    shutil.copyfile(HERE / "home.markdown", pages / "index.md")
    settings = (HERE / "zensical.toml").read_text(encoding="utf-8")
    listed = re.findall(r'= "([^"]+\.md)"', settings)
    absent = [name for name in listed if not (pages / name).is_file()]
    if absent:
        raise ValueError(f"docs/site/zensical.toml lists pages that are not there: {absent}")
    paths = json.dumps([str(path) for path in SOURCES])
    settings = settings.replace(
        "[project.plugins.mkdocstrings.handlers.python.options]",
        f"[project.plugins.mkdocstrings.handlers.python]\npaths = {paths}\n\n"
        "[project.plugins.mkdocstrings.handlers.python.options]",
    )
    (out / "zensical.toml").write_text(settings, encoding="utf-8")


def build(out: Path) -> int:
    """Run zensical over a staged folder; return its exit status, after printing what it found."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(
        [*command, "--config-file", str(out / "zensical.toml")],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        printed = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        print(printed, file=sys.stderr)
    return done.returncode


def main() -> int:
    """Build the site; return the exit status."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "site")
    out: Path = parser.parse_args().out
    missing = undocumented(SOURCES)
    if missing:
        print("public names without a docstring:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    documents = sorted((ROOT / "docs").rglob("*.md"))
    documents += [ROOT / name for name in (*PROJECT, *MEASURED)]
    try:
        stage(out, documents, _generated())
    except (BrokenLink, ValueError) as error:
        print(f"the site was not built: {error}", file=sys.stderr)
        return 1
    if build(out):
        return 1
    print(f"the site: {out / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
