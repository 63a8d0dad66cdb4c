"""A stored run as HTML: one file that loads nothing from the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from septet._report import run_charts, sections, trade_tables
from septet._report.chart_data import chart_data
from septet._report.html_page import chart, document, escaped, replace_text, section
from septet._report.over_time import ROLLING_DAYS
from septet._report.weights import NAMED_SYMBOLS, is_portfolio
from septet._results.forward import forward_text
from septet._results.number_texts import count, date, duration, plural
from septet._results.over_time import WINDOW_DAYS
from septet._results.verdict import tone
from septet.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from septet._store.run_folder import Run

__all__ = ["render", "write_report"]


def _header(run: Run) -> str:
    facts, summary = run.facts, run.summary
    word = tone(str(summary["verdict"]), int(summary["trades"]))
    symbols_text = ", ".join(facts.symbols[:6]) + (
        f" and {len(facts.symbols) - 6} more" if len(facts.symbols) > 6 else ""
    )
    span = f"{date(facts.first_decision_ns)} to {date(facts.end_ns)}"
    sub = f"{facts.mode} · {symbols_text} · bars of {duration(facts.bar_ns / 1e9)} · {span} (UTC)"
    return (
        f'<header><h1>{escaped(facts.strategy)}</h1><p class="sub">{escaped(sub)}</p>'
        f"{_finding(run)}"
        f'<p class="verdict {word}">{escaped(str(summary["verdict"]))}</p>'
        f"{_tries(summary)}"
        f"{sections.tiles(run)}</header>"
    )


def _finding(run: Run) -> str:
    """Build the sentences on an unreliable journal, and on files that it does not record."""
    changed = run.files_finding
    texts = (run.doubt, "" if changed is None else f"{changed.what}; {changed.hint}")
    return "".join(
        f'<p class="verdict bad">{escaped(f"{text[:1].upper()}{text[1:]}.")}</p>'
        for text in texts if text
    )  # fmt: skip


def _tries(summary: Mapping[str, Any]) -> str:
    """Build the sentences on the tries before a run, and on the period after the first try."""
    tries = summary.get("tries") or {}
    texts = (str(tries.get("text") or ""), forward_text(summary))
    return "".join(f'<p class="note">{escaped(text)}</p>' for text in texts if text)


def _curve(data: dict[str, Any], body: str) -> str:
    drawn, rows = len(data["curve"]["t"]), data["curve"]["rows"]
    note = "Buy and hold puts the capital into the benchmark at the first decision, or equally "
    note += "into all symbols, before costs. Exposure is notional over equity, drawn as a mean: "
    note += "long above zero, short below."
    if drawn < rows:
        note += f" Drawn from {count(drawn)} of {count(rows)} rows, every extreme kept."
    if data["halts"]:
        note += " Halts are marked."
    return section("Equity, drawdown, exposure", body, note)


def _rolling(data: dict[str, Any]) -> str:
    rolling = data["rolling"]
    if not rolling["t"]:
        days = plural(rolling["days"], "daily return")
        text = f"The run has {days}; the chart needs {ROLLING_DAYS}."
        return section("Rolling Sharpe and beta", f'<p class="empty">{escaped(text)}</p>')
    if all(value is None for value in rolling["sharpe"]):
        text = "No window of the run has a Sharpe ratio: equity did not change."
        return section("Rolling Sharpe and beta", f'<p class="empty">{escaped(text)}</p>')
    note = (
        f"Sharpe ratio of the last {WINDOW_DAYS} daily returns, and their beta to the benchmark, "
        "or to all symbols equally."
    )
    if not rolling["beta"]:
        note = f"Sharpe ratio of the last {WINDOW_DAYS} daily returns. There is no beta: nothing "
        note += "that could be held moved."
    return section(
        "Rolling Sharpe and beta", chart("rolling", run_charts.rolling_still(data)), note
    )


def _weights(run: Run, data: dict[str, Any]) -> str:
    if not is_portfolio(run):
        return ""
    weights, title = data["weights"], "Weights"
    if not weights["names"]:
        return section(title, '<p class="empty">Nothing was asked for, and nothing held.</p>')
    note = "Shares of equity, long above zero, short below. Held is what the fills left, at the "
    note += "last closes. "
    drawn = len(weights["target"]["t"]) - 1
    if weights["rebalances"]:
        note += "Target is what a rebalance asked for, until the next. Stops, halts, limits, "
        note += "drift and lots keep the one from the other. "
    else:
        note += "The decisions are not there, so what was asked for is not drawn. "
    if drawn < weights["rebalances"]:
        note += f"Drawn are {count(drawn)} of {count(weights['rebalances'])} rebalances. "
    if weights["others"]:
        note += f"The {NAMED_SYMBOLS} largest symbols have a colour each, "
        note += f"{count(weights['others'])} others are drawn together. "
    return section(title, chart("weights", run_charts.weights_still(data)), note.strip())


def _price(data: dict[str, Any], body: str) -> str:
    prices = data["price"]
    if not prices:
        return section("Price", '<p class="empty">No bars were stored.</p>')
    options = "".join(
        f'<option value="{number}">{escaped(item["symbol"])}</option>'
        for number, item in enumerate(prices)
    )
    chosen = (
        f'<select id="symbol" aria-label="Symbol">{options}</select>' if len(prices) > 1 else ""
    )
    name = "" if len(prices) > 1 else f": {prices[0]['symbol']}"
    note = "An arrow up is a long entry or increase, an arrow down a short one; a circle on a bar "
    note += "is a reduction, one above it an exit with a gain, a square an exit with a loss."
    return section(f"Price, entries and exits{name}", body, note, chosen)


def _model(run: Run, data: dict[str, Any]) -> str:
    parts = []
    if data["calibration"]:
        parts.append(
            section(
                "Calibration",
                chart("calibration", run_charts.calibration_still(data)),
                "Out of sample. On the dashed line a probability means what it states; whiskers "
                "are 95 % intervals, size is the number of rows.",
            )
        )
    shares = data["importance"]
    if shares["features"]:
        drawn = len(shares["features"])
        note = f" The {drawn} largest of {shares['all']}." if drawn < shares["all"] else ""
        parts.append(
            section(
                "Feature importance",
                chart("importance", run_charts.importance_still(data)),
                f"Mean over {plural(shares['models'], 'model')}; whiskers from lowest to "
                f"highest.{note}",
            )
        )
    pair = f'<div class="pair">{"".join(parts)}</div>' if parts else ""
    return pair + _drift(data) + _health(run, data)


def _drift(data: dict[str, Any]) -> str:
    if not data["psi"]:
        return ""
    legend = "".join(
        f'<li class="{word}">{word}</li>' for word in ("ok", "warn", "retrain", "halt")
    )
    return section(
        "Drift from the training window",
        f'<ul class="legend">{legend}</ul>' + chart("psi", run_charts.drift_map(data)),
        "Population stability index (PSI) of features and predictions; 0 is the distribution of "
        "the training window. The colour and the sign are the verdict at that time.",
    )


def _health(run: Run, data: dict[str, Any]) -> str:
    if not (data["health"] or data["psi"]):
        return ""
    names = list(dict.fromkeys(item["metric"] for item in data["health"]))
    small = "".join(
        f"<div><h3>{escaped(name)}</h3>"
        f"{chart(f'health-{number}', run_charts.health_still(data, name))}</div>"
        for number, name in enumerate(names)
    )
    note = (
        "Each point at the time it would have been known. A triangle warns, a square "
        "blocks, a diamond asks for retraining, a cross halts; the dashed line is the threshold. "
        "No threshold: the window is not full yet."
    )
    if data["psi"] or data["calibration"]:  # of a model
        note += (
            " The dotted line is what is compared with it: the end of a 95 % interval towards the "
            "good side, in which labels of h bars that overlap count as one row in h. The "
            "threshold of a PSI is the larger of the setting and of what 99 of 100 blocks of the "
            "same length have inside training."
        )
    body = f'<div class="multiples">{small}</div>{sections.verdict_table(run)}'
    return section("Monitoring", body, note)


def _tables(run: Run) -> str:
    summary = run.summary
    pair = section(
        "Costs", sections.costs(run), "Slippage is measured from the decision price."
    ) + section(
        "Why decisions did not act",
        sections.rejected(summary),
        "Decisions by the rule or reason that rejected them.",
    )
    items = "".join(f"<li>{escaped(str(note))}</li>" for note in run.manifest.get("notes", []))
    notes = f'<ul class="run-notes">{items}</ul>' if items else ""
    return (
        section("Returns by month", sections.months(run), _whole_days(summary))
        + section("Deepest drawdowns", trade_tables.drawdowns(run), trade_tables.DRAWDOWN_NOTE)
        + section("Result by symbol", trade_tables.by_symbol(run), trade_tables.SYMBOL_NOTE)
        + section("Trades", trade_tables.trades(run), trade_tables.trade_note(run))
        + section("Round trips", trade_tables.round_trips(run), trade_tables.ROUND_TRIP_NOTE)
        + f'<div class="pair">{pair}</div>'
        + sections.halts(run)
        + section("Data", sections.findings(run))
        + (section("Read this with it", notes) if notes else "")
        + section("Configuration", sections.configuration(run) + sections.provenance(run))
    )


def _whole_days(summary: Mapping[str, Any]) -> str:
    days = plural(int(summary.get("days") or 0), "whole day")
    return (
        f"Percent of equity, after costs. The Sharpe and Sortino ratios are those of {days}; "
        "parts of a day at both ends are left out."
    )


def render(run: Run) -> str:
    """Return the page of a stored run, from its folder only."""
    data = chart_data(run)
    curve, curve_data = run_charts.curve_chart(data)
    price, prices = run_charts.price_chart(data) if data["price"] else ("", [])
    return document(
        f"{run.facts.strategy}: {run.run_id}",
        _header(run),
        f"{_curve(data, curve)}\n{_rolling(data)}\n{_weights(run, data)}\n{_price(data, price)}\n"
        f"{_model(run, data)}\n{_tables(run)}",
        {"chart-curve": [curve_data] if curve_data else [], "chart-price": prices},
        scripts=[("septet._report", "tables.js"), ("septet._report", "report.js")],
    )


def write_report(run: Run) -> Path:
    """Write the report again in the run's folder; the old file stays until the new one is complete.

    Raises
    ------
    RunError
        If it cannot be written: a full disk, or missing permissions.
    """
    path = run.folder / "report.html"
    try:
        return replace_text(path, render(run))
    except OSError as problem:
        raise RunError(
            f"the report could not be written to {path}: {problem.strerror}",
            hint="make room there and ask for it again; the run itself is as it was",
        ) from problem
