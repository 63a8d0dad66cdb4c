"""The parts of the report that are text and tables. Everything that comes from a run is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from septet._report.html_page import escaped, html_table, yaml_text
from septet._report.months import (
    MONTHS,
    PART_SIGN,
    gain_or_loss,
    month_text,
    returns_by_year,
    year_text,
)
from septet._report.trade_tables import holding_times, signed
from septet._results import statistics as st
from septet._results.number_texts import (
    UNDEFINED,
    count,
    date,
    duration,
    halt_figures,
    money,
    number,
    percent,
    times,
    when,
)
from septet._results.result import NOT_CLOSED

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = [
    "configuration",
    "costs",
    "findings",
    "halts",
    "months",
    "provenance",
    "rejected",
    "tiles",
    "verdict_table",
]


def tiles(run: Run) -> str:
    """Build the tiles of figures at the top."""
    summary, facts = run.summary, run.facts
    unit, table = facts.currency, run.table("equity", ["time", "equity"])
    underwater_ns = st.longest_underwater_ns(
        table.get_column("time").to_physical().to_numpy(),
        table.get_column("equity").to_numpy(),
        facts.initial_capital,
    )
    final = money(summary["final_equity"], unit)
    items = [
        ("Return", percent(summary["total_return"], signed=True), f"now {final}"),
        ("Buy and hold", percent(summary.get("buy_and_hold_return"), signed=True), _held(summary)),
        *_yearly(summary),
        (
            "Deepest drawdown",
            percent(summary["max_drawdown"]),
            f"longest {duration(underwater_ns / 1e9)}",
        ),
        ("Sharpe", number(summary["sharpe"]), f"Sortino {number(summary['sortino'])}"),
        *_relative(summary),
        ("Trades", count(summary["trades"]), f"{count(summary.get('open_trades', 0))} still open"),
        ("Win rate", percent(summary["win_rate"]), _round_trips(summary)),
        ("Profit factor", number(summary["profit_factor"]), "gains over losses"),
        *_held_for(run),
        ("Exposure", percent(summary["exposure"]), "mean, of equity"),
        ("Turnover", times(summary["turnover"]), "of equity, a year"),
        ("Costs", percent(_cost_share(run)), "fees, of the capital"),
    ]
    cells = "".join(
        f'<dl class="tile"><dt>{escaped(name)}</dt>'
        f"<dd>{_unbroken(value)}<small>{_unbroken(note)}</small></dd></dl>"
        for name, value, note in items
    )
    return f'<div class="tiles">{cells}</div>'


def _unbroken(text: str) -> str:
    """Escape a text; figures keep their percent sign when a narrow page breaks the line."""
    return escaped(text).replace(" %", "&nbsp;%")


def _round_trips(summary: Mapping[str, Any]) -> str:
    share = summary.get("round_trip_win_rate")
    return "after fees" if share is None else f"after fees; {percent(share)} of round trips"


def _held_for(run: Run) -> list[tuple[str, str, str]]:
    holding_s = holding_times(run.table("trades", ["entry_time", "exit_time", "exit_reason"]))
    if holding_s is None:
        return []
    return [("Held for", duration(holding_s[0]), f"median; longest {duration(holding_s[1])}")]


def _held(summary: Mapping[str, Any]) -> str:
    return f"{summary.get('benchmark') or 'all symbols equally'}, before costs"


def _yearly(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    if summary.get("cagr") is None:
        return []
    growth = percent(summary["cagr"], signed=True)
    return [("Return a year", growth, f"CAGR; Calmar {number(summary.get('calmar'))}")]


def _relative(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return alpha and beta, and the excess over holding the same exposure, if defined."""
    items = []
    if summary.get("beta") is not None:
        alpha = percent(summary["alpha"], signed=True)
        items.append(("Beta", number(summary["beta"]), f"to holding; alpha {alpha} a year"))
    if (excess := summary.get("excess")) is not None:
        share = percent(excess["exposure"])
        note = f"Sharpe {number(excess['sharpe'])}; a year, over holding {share} all the time"
        items.append(("Excess", percent(excess["cagr"], signed=True), note))
    return items


def _cost_share(run: Run) -> float | None:
    capital = run.facts.initial_capital
    return float(run.summary["fees"]) / capital if capital > 0 else None


def months(run: Run) -> str:
    """Build the table of returns by month and year."""
    years = returns_by_year(run)
    if not years:
        return '<p class="empty">No equity was recorded.</p>'
    returns = [row.value for year in years for row in year.months if row is not None]
    largest = max((abs(value) for value in returns if value), default=1.0)
    body = []
    for year in years:
        cells = "".join(_month_cell(row, largest) for row in year.months)
        total = f'<td class="year">{signed(year.value, year_text(year))}</td>'
        body.append(f'<tr><th scope="row">{year.year}</th>{cells}{total}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in (*MONTHS, "Year"))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Returns by month">'
        f'<table class="months"><thead><tr><th scope="col">%</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
        f'<p class="note">{PART_SIGN} the run covers a part of the month or of the year.</p>'
    )


def _month_cell(row: st.Month | None, largest: float) -> str:
    value = None if row is None else row.value
    if value is None:
        return f"<td>{month_text(row)}</td>"
    depth = 0.08 + 0.42 * min(abs(value) / largest, 1.0)
    return f'<td class="{gain_or_loss(value)}" style="--a:{depth:.2f}">{month_text(row)}</td>'


def rejected(summary: Mapping[str, Any]) -> str:
    """Build the bars of the reasons for which decisions were rejected."""
    reasons = summary.get("rejections") or {}
    if summary.get("rejections", {}) is None:
        return (
            '<p class="empty">The decisions were left out (--fast). The strategy run again '
            "without it gives the same result, and them.</p>"
        )
    if not reasons:
        return '<p class="empty">No decision was rejected.</p>'
    top = max(reasons.values())
    rows = "".join(
        f'<span class="name">{escaped(str(name))}</span>'
        f'<span class="bar"><i style="--w:{100 * often / top:.1f}"></i></span>'
        f'<span class="value">{count(often)}</span>'
        for name, often in list(reasons.items())[:16]
    )
    return f'<div class="meter">{rows}</div>'


def costs(run: Run) -> str:
    """Build the table of costs and of their share of the result."""
    import polars as pl

    summary, unit = run.summary, run.facts.currency
    closed = run.table("trades").filter(~pl.col("exit_reason").is_in(NOT_CLOSED))
    net, fees, funding, liquidation = (
        float(closed.get_column(name).sum()) for name in ("pnl", "fees", "funding", "liquidation")
    )
    gross = net + fees + funding + liquidation
    rows = [
        ("Closed trades before costs", money(gross, unit, signed=True)),
        ("Fees of closed trades", money(-fees, unit, signed=True)),
        ("Funding of closed trades", money(-funding, unit, signed=True)),
        ("Liquidation of closed trades", money(-liquidation, unit, signed=True)),
        ("Closed trades after costs", money(net, unit, signed=True)),
        ("All fees", money(summary["fees"], unit)),
        ("All funding", money(summary["funding"], unit)),
        ("All liquidation costs", money(summary["liquidation"], unit)),
        ("Slippage against the decision price", money(summary["slippage"], unit)),
    ]
    rows += [
        (f"Fees in {name}, not converted", money(value, str(name)))
        for name, value in (summary.get("fees_other") or {}).items()
    ]
    body = [(escaped(name), escaped(value)) for name, value in rows]
    return html_table(("Cost", "#Amount"), body, "Costs")


def findings(run: Run) -> str:
    """Build the table of defects in the data and the actions taken."""
    if not run.findings:
        return '<p class="empty">Nothing was found wrong with the data.</p>'
    rows = []
    for item in run.findings:
        examples = "".join(
            f"<small>{escaped(str(example))}</small>" for example in item.get("examples", [])[:3]
        )
        text = escaped(str(item.get("message", "")))
        rows.append(
            (
                escaped(str(item.get("symbol") or item.get("source", ""))),
                escaped(str(item.get("kind", ""))),
                count(int(item.get("count", 0))) if item.get("count") else "",
                escaped(str(item.get("policy", ""))),
                text + examples,
            )
        )
    head = ("Series", "Finding", "#Count", "Done", "What, and the first examples (UTC)")
    return html_table(head, rows, "Data findings", "notes")


def halts(run: Run) -> str:
    """Build the table of halts that tripped; empty text if none did."""
    if not run.halts:
        return ""
    rows = [
        (
            when(halt.time_ns),
            escaped(halt.rule),
            _halt_figure(halt),
            escaped(halt.then),
            when(halt.resumed_ns) if halt.resumed_ns is not None else "never",
        )
        for halt in run.halts
    ]
    table = html_table(("Time (UTC)", "Halt", "Figure", "Did", "Cleared"), rows, "Halts")
    return f"<section><h2>Halts</h2>{table}</section>"


def _halt_figure(halt: Any) -> str:
    """Return the figure of a halt: a monitor's reading, else a share of equity."""
    if halt.rule == "operator_halt":
        return "by a person"
    return escaped(halt_figures(halt))


def verdict_table(run: Run) -> str:
    """Build the table of the last verdict of each health metric, and the count of each verdict."""
    table = run.table("monitoring")
    rows = []
    for (metric, symbol), part in table.group_by(["metric", "symbol"], maintain_order=True):
        last = part.sort("time").row(-1, named=True)
        verdicts = part.get_column("verdict").to_list()
        word = str(last["verdict"] or "ok")
        rows.append(
            (
                escaped(str(metric)),
                escaped(str(symbol or "all")),
                _figure(last["value"]),
                _figure(last["compared"] if last["compared"] is not None else last["value"]),
                _figure(last["threshold"]),
                f'<span class="badge {escaped(word)}">{escaped(word)}</span>',
                *(count(verdicts.count(name)) for name in ("warn", "block", "retrain", "halt")),
            )
        )
    head = (
        "Metric",
        "Symbol",
        "#Last",
        "#Compared",
        "#Threshold",
        "Verdict",
        "#Warn",
        "#Block",
        "#Retrain",
        "#Halt",
    )
    return html_table(head, rows, "Monitoring")


def _figure(value: float | None) -> str:
    return UNDEFINED if value is None or value != value else f"{value:.4g}"


def configuration(run: Run) -> str:
    """Build the effective configuration and the original file."""
    resolved = run.manifest.get("resolved") or {}
    parts = [("The strategy file", run.strategy_text)] if run.strategy_text else []
    parts.append(("Every effective value", yaml_text(resolved)))
    return "".join(
        f"<details><summary>{escaped(name)}</summary><pre>{escaped(text)}</pre></details>"
        for name, text in parts
    )


def provenance(run: Run) -> str:
    """Build the list of versions, hashes and settings that the result depends on."""
    manifest, facts = run.manifest, run.facts
    machine = manifest.get("environment", {})
    rows = [
        ("Run", run.run_id),
        ("Created", str(manifest.get("created", UNDEFINED))),
        ("septet", str(manifest.get("septet", UNDEFINED))),
        ("Engine", f"{facts.engine}, seed {facts.seed}"),
        (
            "Time",
            f"{duration(facts.seconds)} computing, {duration(facts.seconds_total)} with loading",
        ),
        ("First decision", f"{when(facts.first_decision_ns)} UTC"),
        ("Bars", f"{count(facts.bars)}, {date(facts.start_ns)} to {date(facts.end_ns)}"),
        ("Machine", f"{machine.get('cpu', '')}, {machine.get('libm', '')}"),
        ("Compiler", f"LLVM {machine.get('llvm', UNDEFINED)}"),
    ]
    rows += [(f"Plugin {name}", str(text)) for name, text in manifest.get("plugins", {}).items()]
    rows += [
        (f"Source of {name}", str(text)[:16])
        for name, text in manifest.get("plugin_sources", {}).items()
    ]
    rows += [
        (f"Check of {each['plugin']}", "; ".join(_check_lines(each)))
        for each in manifest.get("plugin_checks", ())
    ]
    rows += [(name, str(text)) for name, text in manifest.get("libraries", {}).items()]
    rows += [(f"Data {name}", text[:16]) for name, text in manifest.get("data_hashes", {}).items()]
    rows += [(f"Model {name}", text[:16]) for name, text in _first(manifest, "model_hashes")]
    body = [(escaped(name), escaped(text)) for name, text in rows]
    table = html_table(("What", "Value"), body, "Provenance")
    return f"<details><summary>What this result depends on</summary>{table}</details>"


def _check_lines(check: Mapping[str, Any]) -> list[str]:
    """Return the result of the check of a plugin, and what was not proved or not checked."""
    return [
        check["state"],
        *check["not_tried"],
        *check.get("watched", ()),
        *check.get("doubts", ()),
    ]


def _first(manifest: Mapping[str, Any], key: str, limit: int = 12) -> list[tuple[str, str]]:
    return list(manifest.get(key, {}).items())[:limit]
