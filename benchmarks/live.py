"""Measure the targets of live trading, and append the table to LIVE.md.

    python benchmarks/live.py [--quick] [--only latency,check] [--soak MINUTES]

Each part runs in a process of its own. A full run appends to `benchmarks/LIVE.md` and writes
`benchmarks/live.json`; `--quick` and `--only` write into `.cache/bench/live` instead. Figures are
worth something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import Row, machine, software
from live_common import WORK, Figure, Report, folder, median, quantile, sync_times_ns

HERE = Path(__file__).resolve().parent
PARTS = ("latency", "check", "events", "wire", "orders", "reuse", "memory", "recovery")
TRIALS = "trials"
"""A part that is measured where it is named, and not with the others."""
TITLE = "# Live benchmarks\n\nAppended to by `python benchmarks/live.py`; the newest run is last.\n"


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    known = (*PARTS, TRIALS)
    parser.add_argument("--only", default="", help=f"parts by name: {','.join(known)}")
    parser.add_argument("--soak", type=float, default=0.0, help="minutes of the memory soak")
    parser.add_argument("--json", action="store_true", help="print rows as JSON, write nothing")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    chosen = [name for name in asked.only.split(",") if name]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"--only was {unknown[0]}; expected some of {', '.join(known)}")
    asked.parts = [name for name in known if name in (chosen or PARTS)]
    asked.whole = not chosen and not asked.quick
    return asked


def here(part: str, asked: argparse.Namespace) -> Report:
    """Measure one part in this process."""
    module: Any = importlib.import_module(f"live_{part}")
    words = {"soak_minutes": asked.soak} if part == "memory" else {}
    report: Report = module.measure(asked.quick, **words)
    return report


def apart(part: str, asked: argparse.Namespace) -> Report:
    """Measure one part in a process of its own; report the reason if that fails."""
    words = ["--part", part, "--soak", str(asked.soak), *(["--quick"] if asked.quick else [])]
    done = subprocess.run(
        [sys.executable, str(HERE / "live.py"), *words], stdout=subprocess.PIPE, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return Report(notes=[f"**{part} was not measured: status {done.returncode}**"])
    return Report.of(json.loads(done.stdout.splitlines()[-1]))


def number(value: float) -> str:
    """Write a number so that it can be read."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def verdict(figure: Figure) -> str:
    """Return whether a target is met, or by how much it is missed."""
    if figure.met is None:
        return "-"
    return "met" if figure.met else f"**missed by {figure.missed_by:.0%}**"


def table(figures: list[Figure]) -> str:
    """Write figures as a table of Markdown."""
    lines = ["| part | figure | measured | target | |", "|---|---|---|---|---|"]
    for each in figures:
        target = ""
        if each.bound is not None:
            target = f"{'<=' if each.most else '>='} {number(each.bound)} {each.unit}"
        name = f"{each.name} ({each.note})" if each.note else each.name
        measured = f"{number(each.value)} {each.unit}"
        lines.append(f"| {each.part} | {name} | {measured} | {target} | {verdict(each)} |")
    return "\n".join(lines)


def rows(figures: list[Figure]) -> list[Row]:
    """Return figures as rows of the common runner."""
    found = []
    for each in figures:
        against, ratio = "", None
        if each.bound is not None:
            against = f"target {'<=' if each.most else '>='} {number(each.bound)} {each.unit}"
            pair = (each.bound, each.value) if each.most else (each.value, each.bound)
            ratio = pair[0] / pair[1] if pair[1] else None
        measured = f"{number(each.value)} {each.unit}"
        found.append(Row(f"live {each.part}", each.name, measured, against, ratio))
    return found


def write(reports: list[Report], asked: argparse.Namespace, before: str) -> str:
    """Append the table to its page and write the numbers beside it; return the section."""
    with folder() as place:
        syncs = [each / 1e3 for each in sync_times_ns(place)]
    figures = [each for report in reports for each in report.figures]
    notes = [note for report in reports for note in report.notes]
    now = datetime.now(UTC)
    sync = f"fdatasync of this disk: p50 {median(syncs):.0f} µs, p99 {quantile(syncs, 0.99):.0f} µs"
    state = "**Small sizes (`--quick`): these show that everything works, nothing else.**\n\n"
    text = (
        f"\n## {now:%Y-%m-%d %H:%M} UTC\n\n{state if asked.quick else ''}"
        f"{before}. {sync}. {software()}.\n\n{table(figures)}\n\n"
        + "".join(f"- {note}\n" for note in notes)
    )
    out = HERE if asked.whole else WORK
    out.mkdir(parents=True, exist_ok=True)
    page = out / "LIVE.md"
    known = page.read_text(encoding="utf-8") if page.exists() else TITLE
    page.write_text(known + text, encoding="utf-8")
    document = {
        "at": now.isoformat(), "machine": before, "sync_us": median(syncs), "notes": notes,
        "figures": [
            {**asdict(each), "met": each.met, "missed_by": each.missed_by} for each in figures
        ],
    }  # fmt: skip
    (out / "live.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return text + f"\nwritten to {page}"


def main() -> int:
    """Measure, write, print."""
    asked, before = options(), machine()
    if asked.part:
        print(json.dumps(here(asked.part, asked).document()))
        return 0
    reports = []
    for part in asked.parts:
        print(part, file=sys.stderr, flush=True)
        reports.append(apart(part, asked))
    if asked.json:
        found = rows([each for report in reports for each in report.figures])
        json.dump([asdict(row) for row in found], sys.stdout)
    else:
        print(write(reports, asked, before))
    return 0 if all(report.figures for report in reports) else 1


if __name__ == "__main__":
    raise SystemExit(main())
