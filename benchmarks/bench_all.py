"""Run every benchmark, each in a process of its own, and write RESULTS.md beside this file.

    python benchmarks/bench_all.py [--quick]

`--quick` takes small sizes and prints the table instead: it shows that the scripts work. Figures
are worth something on a machine that does nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import Row, arguments, machine, software

HERE = Path(__file__).resolve().parent
SCRIPTS = ("startup", "demo", "w1", "w3", "w4", "event")
ROW_TARGET_US, EXACT = 20.0, 1e-5
HEAD = """# Speed

Made by `make bench` on {day} in {minutes:.0f} minutes.
{machine}.
{software}.

Medians of warm runs in processes of their own, answers checked before times. *Ratio* is how many
times better than the right column: 2 is twice as fast, below 1 is a target missed.

| workload | figure | measured | ratio | against | target |
|---|---|---:|---:|---|---|
"""
TAIL = """
The workloads: **W1** an SMA 20/100 cross over the synthetic walk `series: w1`, next-open fills,
10 bps a side. **W3** log return, RSI 14, Bollinger width 20, volatility 10, volume z-score 20 and
five lags. **W4** serving a forest of 300 trees of depth 6 over ten features, and histogram
boosting, beside scikit-learn. **event** W1 one bar at a time, as live runs take it.
"""


def _output(script: str, *words: str) -> Any:
    command = [sys.executable, str(HERE / f"{script}.py"), "--json", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{script}.py failed with status {done.returncode}")
    return json.loads(done.stdout)


def _serving(quick: bool) -> list[Row]:
    """Rows of W4, whose script gives figures by name."""
    count = 50_000 if quick else 1_000_000
    rows = []
    for name, seen in _output("w4", "--rows", str(count)).items():
        what = name.replace("_", " ")
        one, many, gap = seen["one_row_us"], seen["rows_s"], seen["largest_difference"]
        must = name == "forest"
        if gap > EXACT:
            raise SystemExit(f"W4 is wrong: {what} differs from scikit-learn by {gap:.3g}")
        rows += [
            Row("W4", f"{what}: one row", f"{one:.1f} µs", "target 20 µs", ROW_TARGET_US / one),
            Row("W4", f"{what}: one row, scikit-learn", f"{seen['sklearn_one_row_us']:.0f} µs",
                "septet against scikit-learn", seen["sklearn_one_row_us"] / one, must=False),
            Row("W4", f"{what}: {count:,} rows", f"{many:.2f} s",
                f"scikit-learn, two threads, {seen['sklearn_rows_s']:.2f} s",
                seen["sklearn_rows_s"] / many, must=must),
            Row("W4", f"{what}: largest difference", f"{gap:.1e}", f"bound {EXACT:g}"),
        ]  # fmt: skip
    return rows


def collect(quick: bool) -> list[Row]:
    """Run everything and return the table's rows."""
    rows: list[Row] = []
    for script in SCRIPTS:
        print(f"{script} ...", file=sys.stderr)
        if script == "w4":
            rows += _serving(quick)
        else:
            rows += [Row(**row) for row in _output(script, *(["--quick"] if quick else []))]
    return rows


def table(rows: list[Row]) -> str:
    """Write rows as a Markdown table's body."""
    lines = []
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f}"
        cells = (row.workload, row.figure, row.measured, ratio, row.against, row.verdict)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, then write or print."""
    quick = arguments(__doc__).quick
    began = datetime.now(UTC)
    before = machine()
    rows = collect(quick)
    spent = (datetime.now(UTC) - began).total_seconds()
    head = HEAD.format(day=began.date(), minutes=spent / 60.0, machine=before, software=software())
    text = head + table(rows) + TAIL
    if quick:
        print(text)
        return
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
