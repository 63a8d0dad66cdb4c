"""A stored run on a terminal: the verdict first, then one screen of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from septet._host.monitoring import figures_text
from septet._results.forward import forward_text
from septet._results.number_texts import (
    UNDEFINED,
    count,
    duration,
    money,
    number,
    percent,
    plural,
    times,
)  # fmt: skip
from septet._results.result import TABLES
from septet._results.verdict import tone

if TYPE_CHECKING:
    from rich.console import Console

    from septet._store.run_folder import Run

__all__ = ["show", "show_list"]

_STYLES: Final = {"bad": "bold red", "caution": "bold yellow", "plain": "bold"}
_FINDINGS: Final = 8


def _figures(summary: Mapping[str, Any]) -> Table:
    unit = str(summary.get("currency", ""))
    first = [
        ("Return", percent(summary["total_return"], signed=True)),
        ("Buy and hold", percent(summary.get("buy_and_hold_return"), signed=True)),
        ("Return a year", percent(summary.get("cagr"), signed=True)),
        ("Deepest drawdown", percent(summary["max_drawdown"])),
        ("Sharpe", number(summary["sharpe"])),
        ("Sortino", number(summary["sortino"])),
        ("Calmar", number(summary.get("calmar"))),
        ("Final equity", money(summary["final_equity"], unit)),
    ]
    second = [
        ("Trades", count(summary["trades"])),
        ("Beta to holding", number(summary.get("beta"))),
        ("Alpha a year", percent(summary.get("alpha"), signed=True)),
        ("Win rate", percent(summary["win_rate"])),
        ("Profit factor", number(summary["profit_factor"])),
        ("Exposure", percent(summary["exposure"])),
        ("Turnover a year", times(summary["turnover"])),
        ("Fees", money(summary["fees"], unit)),
    ]
    for name in ("funding", "liquidation"):  # spot has neither
        if summary[name]:
            second.append((name.capitalize(), money(summary[name], unit)))
    first += [("", "")] * (len(second) - len(first))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    for is_right in (False, True, False, False, True):
        table.add_column(justify="right" if is_right else "left", no_wrap=True)
    for (name, value), (other, other_value) in zip(first, second, strict=True):
        table.add_row(Text(name, "dim"), value, "   ", Text(other, "dim"), other_value)
    return table


def _findings(run: Run) -> list[str]:
    subjects: dict[str, list[str]] = {}  # one line for all symbols with the same finding
    for item in run.findings:
        often = int(item.get("count", 0))
        described = f"{item.get('kind')} {count(often)}, {item.get('policy')}"
        text = described if often else str(item.get("message") or item.get("kind"))
        subjects.setdefault(text, []).append(str(item.get("symbol") or item.get("source")))
    lines = [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in subjects.items()]
    unlisted = len(lines) - _FINDINGS
    return (
        [*lines[:_FINDINGS], f"and {unlisted} more kinds, see the report"]
        if unlisted > 0
        else lines
    )


def _health(run: Run) -> str:
    """Return critical alerts, the last reading of every metric that is not ok, and the AUC."""
    table = run.table("monitoring", list(TABLES["monitoring"]))
    critical = [each for each in run.findings if each.get("policy") == "critical"]
    alerts = [f"{each.get('kind')} {count(int(each.get('count', 0)))}" for each in critical]
    if table.height == 0:
        return "; ".join(alerts)
    last = table.sort("time").group_by(["metric", "symbol"], maintain_order=True).last()
    failing = [row for row in last.iter_rows(named=True) if row["verdict"] not in ("ok", "", None)]
    unlisted = [f"and {len(failing) - 4} more"] if failing[4:] else []
    texts = [*alerts, *(_reading(row) for row in failing[:4]), *unlisted]
    auc_rows = [
        row for row in last.iter_rows(named=True) if row["metric"] == "auc" and row not in failing
    ]
    return "; ".join([*(texts or ["ok"]), *map(_reading, auc_rows)])


def _reading(row: Mapping[str, Any]) -> str:
    """Return a row of monitoring.parquet as text: value, compared value, bound and verdict."""
    name = f"{row['metric']} {row['symbol'] or ''}".strip()
    figures = figures_text(row["metric"], row["value"], row["threshold"], row["compared"])
    return f"{name} {figures}: {row['verdict']}"


def _open_positions(run: Run) -> str:
    """Return the number of open positions of a backtest, and their result at the last close."""
    if run.facts.mode != "backtest":
        return ""
    trades = run.table("trades", ["exit_reason", "pnl"])
    results = trades.filter(trades.get_column("exit_reason") == "open").get_column("pnl")
    if not len(results):
        return ""
    unit = str(run.summary.get("currency", ""))
    return (
        f"{plural(len(results), 'position')} at the end, not counted as trades: "
        f"{money(float(results.sum()), unit)} at the last close"
    )


def _speed(summary: Mapping[str, Any]) -> str:
    rate = summary.get("bars_per_second")
    rate_text = f", {number(rate, 0)} bars a second" if rate else ""
    return (
        f"{duration(summary['seconds'])} computing{rate_text}; "
        f"{duration(summary['seconds_total'])} in all"
    )


def _lines(run: Run) -> list[tuple[str, Sequence[str]]]:
    summary = run.summary
    rejected = [
        f"{name} {count(often)}" for name, often in (summary.get("rejections") or {}).items()
    ]
    return [
        ("Data", _findings(run)),
        ("Open", [text] if (text := _open_positions(run)) else []),
        ("Did not act", [", ".join(rejected[:5])] if rejected else []),
        ("Decisions", ["left out (--fast)"] if "decisions" in run.left_out else []),
        ("Ratios", [f"of {count(summary.get('days', 0))} whole days; parts of days are left out"]),
        ("Tries", [tries["text"]] if (tries := summary.get("tries")) else []),
        ("Forward", [text] if (text := forward_text(summary)) else []),
        ("Health", [text] if (text := _health(run)) else []),
        ("Time", [_speed(summary)] if run.facts.mode == "backtest" else []),
    ]


def show(run: Run, console: Console) -> None:
    """Print a run with at most 80 columns; colour adds no information."""
    summary, facts = run.summary, run.facts
    span = f"{summary['first_decision'][:10]} to {summary['end'][:10]}"
    symbols = ", ".join(facts.symbols[:4]) + (", ..." if len(facts.symbols) > 4 else "")
    console.print()
    console.print(Text(f"{facts.strategy}  {facts.mode}  {symbols}  {span}", "dim"))
    console.print()
    word = tone(str(summary["verdict"]), int(summary["trades"]))
    console.print(Text(str(summary["verdict"]), _STYLES[word]))
    console.print()
    console.print(Padding(_figures(summary), (0, 0, 0, 2)))
    console.print()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=16)
    table.add_column(overflow="fold")
    for name, lines in _lines(run):
        if lines:
            table.add_row(Text(name, "dim"), Group(*map(Text, lines)))
    console.print(Padding(table, (0, 0, 0, 2)))
    report = run.folder / "report.html"
    # Paths stay on one line, whatever the width: they are there to be copied.
    for name, path in (("Folder", run.folder), ("Report", report)):
        if path.exists():
            line = Text(f"  {name:<18}", "dim").append(str(path), "default not dim")
            console.print(line, soft_wrap=True)


def show_list(runs: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print one line for each run, the latest last."""
    widest = max((len(str(item["strategy"])) for item in runs), default=8)
    strategy_width = min(max(widest, 8), 20)
    live = [("State", False, 7)] if any("state" in item for item in runs) else []
    verdict_width = max(console.width - 27 - strategy_width - 7 - 9 - 8 - 9 * len(live), 12)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, is_right, width in (
        ("Run", False, 27),
        ("Strategy", False, strategy_width),
        *live,
        ("Trades", True, 7),
        ("Return", True, 9),
        ("Verdict", False, verdict_width),
    ):
        table.add_column(
            name,
            justify="right" if is_right else "left",
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for item in runs:
        if "damaged" in item:
            row = (UNDEFINED, UNDEFINED, Text(str(item["damaged"]), "red"))
        else:
            gain = percent(item.get("total_return"), signed=True)
            row = (count(item.get("trades")), gain, Text(str(item.get("verdict", ""))))
        state = [Text(str(item.get("state", "")))] if live else []
        table.add_row(str(item["run_id"]), Text(str(item["strategy"])), *state, *row)
    console.print(table)
