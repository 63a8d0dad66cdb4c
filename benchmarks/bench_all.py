"""Measure septet beside its peers and write RESULTS.md: what `make bench` runs.

    python benchmarks/bench_all.py [--quick] [--only w1,w2] [--rounds 5] [--no-peers]

A full run writes `benchmarks/RESULTS.md` and its plot. `--quick` takes small sizes and `--only` a
part of the work; both write into `.cache/bench` instead, and print the page. Figures are worth
something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import page
from common import ROOT, Row, machine, software
from contest import OWN
from contests import CONTESTS, Sizes, hold
from environments import NAMES, Environment, prepare
from targets import Findings

HERE = Path(__file__).resolve().parent
WORK = ROOT / ".cache" / "bench"
SCRIPTS = {
    "w1": "w1", "w3": "w3", "indicators": "indicators", "w4": "w4", "ml": "ml", "event": "event",
    "growth": "growth", "start": "startup", "edits": "edits", "demo": "demo", "live": "live",
}  # fmt: skip
"""The script that gives the rows of a section, beside its contest if it has one."""
SECTIONS = tuple(dict.fromkeys((*CONTESTS, *SCRIPTS)))
PLOT = "results.png"
FULL = "Full sizes."
HURRIED = "**Small sizes (`--quick`): these figures show that everything works, nothing else.**"


def log(message: str) -> None:
    """Show the progress on the terminal."""
    print(message, file=sys.stderr, flush=True)


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--only", default="", help=f"sections by name: {','.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each contestant")
    parser.add_argument("--no-peers", action="store_true", help="install nothing, measure septet")
    asked = parser.parse_args(words)
    chosen = [name for name in asked.only.split(",") if name]
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        parser.error(f"--only was {unknown[0]}; expected some of {', '.join(SECTIONS)}")
    if asked.rounds < 1:
        parser.error(f"--rounds was {asked.rounds}; expected at least 1")
    asked.sections = [name for name in SECTIONS if not chosen or name in chosen]
    asked.whole = not chosen and not asked.quick
    return asked


def rows_of(script: str, quick: bool) -> tuple[list[Row], bool]:
    """Run a script in a process of its own; its rows, and whether it went well."""
    path = HERE / f"{script}.py"
    if not path.exists():
        return [Row(script, "not measured", "", f"{path.name} is not there")], True
    words = ["--json", *(["--quick"] if quick else [])]
    done = subprocess.run(
        [sys.executable, str(path), *words], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        return [Row(script, "not measured", "", f"left with status {done.returncode}")], False
    return [Row(**row) for row in json.loads(done.stdout)], True


def _environments(no_peers: bool) -> tuple[dict[str, Path | None], list[str]]:
    made = [Environment(n, None) if no_peers else prepare(n, log) for n in NAMES]
    pythons: dict[str, Path | None] = {OWN: Path(sys.executable)}
    pythons |= {each.name: each.python for each in made}
    return pythons, [one for each in made for one in each.refused]


def _draw(findings: Findings, python: Path | None, out: Path) -> str:
    """Draw the plot; its name, or nothing where there is nothing to draw or to draw with."""
    panels = page.panels(findings)
    if python is None or not panels:
        return ""
    done = subprocess.run(
        [str(python), str(HERE / "plot.py"), str(out / PLOT)],
        input=json.dumps(panels), text=True, check=False,
    )  # fmt: skip
    return PLOT if done.returncode == 0 else ""


def main() -> int:
    """Measure, write, print."""
    asked = options()
    began, before = datetime.now(UTC), machine()
    pythons, refused = _environments(asked.no_peers)
    sizes = Sizes.quick() if asked.quick else Sizes()
    findings, well = Findings(), True
    for section in asked.sections:
        log(section)
        if section in CONTESTS:
            held = hold(CONTESTS[section], sizes, pythons, WORK, asked.rounds, log)
            findings.contests[section] = {each.contestant.key: each for each in held}
            findings.bars[section] = page.bars_of(section, sizes)
        if section in SCRIPTS:
            rows, fine = rows_of(SCRIPTS[section], asked.quick)
            findings.rows += rows
            well = well and fine
    out = HERE if asked.whole else WORK
    facts: dict[str, Any] = {
        "day": began.date(), "minutes": (datetime.now(UTC) - began).total_seconds() / 60.0,
        "rounds": asked.rounds, "machine": before, "software": software(),
        "state": HURRIED if asked.quick else FULL,
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    picture = _draw(findings, pythons["peers"], out)
    text = page.write(findings, sizes, facts, refused, picture)
    (out / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)
    log(f"written to {out / 'RESULTS.md'}")
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
