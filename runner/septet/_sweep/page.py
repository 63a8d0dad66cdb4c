"""The page of a sweep: one file without network access; selection bias comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._report.html_page import (
    chart,
    document,
    escaped,
    html_table,
    replace_text,
    section,
    yaml_text,
)
from septet._results.number_texts import chance, count, number, percent, plural
from septet._sweep import sweep_charts
from septet._sweep.axes import mapped
from septet._sweep.chart_data import chart_data
from septet._sweep.size_caps import SIZE_CAP
from septet._sweep.sweep_findings import GOAL_WORDS, Findings, findings_of, goal_text
from septet._sweep.verdict import paragraphs, tone

if TYPE_CHECKING:
    import polars as pl

__all__ = ["render", "write_page"]

BEST_SHOWN: Final = 20
PROBLEMS_SHOWN: Final = 20
_EXAMPLES: Final = 3
_NARROW_PX: Final = 340.0
_MOST_ACROSS_NARROW: Final = 16
"""Columns of a map that narrow windows show in full; a wider map scrolls."""
# Keys of the manifest that are not listed as details, since the page shows them elsewhere.
_SHOWN_ELSEWHERE: Final = ("space", "strategy_text", "resolved")
_MEANINGS: Final = (
    (
        "Probabilistic Sharpe ratio (PSR)",
        "The probability that the true Sharpe ratio of this setting is above zero, given how many "
        "days there were, and their skewness and kurtosis, if it were the only one ever tried "
        "(Bailey and Lopez de Prado, 2012). Where no rule can open a short, all three figures here "
        "are of the daily returns minus those of holding the setting's mean exposure all the time: "
        "a rise that holding makes as well is no merit of a setting.",
    ),
    (
        "Deflated Sharpe ratio (DSR)",
        "The same probability against what the best of all tried settings would reach by chance if "
        "every one of them were worthless (Bailey and Lopez de Prado, 2014). Settings count as "
        "independent, which is strict where neighbours are alike; but the luck of the best is "
        "taken from how far the ratios of the settings lie apart, and alike ones lie close: with "
        "few different settings the figure is mild. It knows only of this sweep, not of what was "
        "tried before it.",
    ),
    (
        "Overfitting probability",
        "The days are cut into sixteen blocks. For each of the 12,870 ways to choose eight of "
        "them, the setting that was best in the chosen half is ranked in the other half. The "
        "probability is the share of splits in which it did not come out above the middle: about "
        "50 % is what pure chance gives (Bailey, Borwein, Lopez de Prado and Zhu, 2015).",
    ),
)


def _header(findings: Findings, manifest: Mapping[str, Any], name: str) -> str:
    space = manifest.get("space") or {}
    facts = [
        str(space.get("method") or ""),
        plural(len(findings.axes), "key"),
        f"seed {space['seed']}" if space.get("method") != "grid" and "seed" in space else "",
        f"where {space['where']}" if space.get("where") else "",
        f"first decision {manifest['first_decision']}" if manifest.get("first_decision") else "",
    ]
    sub = " · ".join(fact for fact in facts if fact)
    texts = (escaped(text).replace(" %", "&nbsp;%") for text in paragraphs(findings))
    verdict = "".join(f"<p>{text}</p>" for text in texts)
    return (
        f'<header><h1>{escaped(name)}</h1><p class="sub">{escaped(sub)}</p>'
        f'<div class="verdict {tone(findings)}">{verdict}</div>{_tiles(findings)}</header>'
    )


def _tiles(findings: Findings) -> str:
    best, seen = findings.best or {}, findings.overfitting
    year = findings.a_year
    chosen = None if seen.chosen_daily is None or year is None else seen.chosen_daily * year
    elsewhere = (
        None if seen.elsewhere_daily is None or year is None else seen.elsewhere_daily * year
    )
    items = [
        ("Settings", count(findings.table.height), f"{count(findings.count('failed'))} failed"),
        (
            "Best Sharpe over holding" if findings.over_holding else "Best Sharpe",
            number(best.get("excess_sharpe" if findings.over_holding else "sharpe")),
            f"by chance {number(findings.expected_best)}",
        ),
        ("Seen alone (PSR)", chance(best.get("psr")), "true Sharpe above zero"),
        (
            "Best of many (DSR)",
            chance(best.get("dsr")),
            f"one of {count(findings.chosen_from)}",
        ),
        (
            "Overfitting",
            chance(seen.probability),
            "nothing to compare"
            if chosen is None
            else f"Sharpe {number(chosen)}, elsewhere {number(elsewhere)}",
        ),
    ]
    cells = "".join(
        f'<div class="tile"><dt>{escaped(name)}</dt><dd>{escaped(value)}'
        f"<small>{escaped(more)}</small></dd></div>"
        for name, value, more in items
    )
    return f'<dl class="tiles">{cells}</dl>'


def _select(names: list[str]) -> str:
    options = "".join(
        f'<option value="{place}">{escaped(name)}</option>' for place, name in enumerate(names)
    )
    return f'<label class="pick">keys<select id="pick-pair">{options}</select></label>'


def _maps(data: dict[str, Any], shown: Sequence[str]) -> str:
    return "".join(
        f'<div data-map="{place}" data-value="{show}"'
        f"{'' if place == 0 and show == 'best' else ' hidden'}>"
        f"{_map_at_both_widths(data, item, show)}</div>"
        for place, item in enumerate(data["maps"])
        for show in shown
    )


def _map_at_both_widths(data: dict[str, Any], item: dict[str, Any], show: str) -> str:
    """Return a map for wide windows, and one for narrow windows that shows all, if possible."""
    wide = sweep_charts.map_still(data, item, show)
    if len(data["axes"][item["x"]]["labels"]) > _MOST_ACROSS_NARROW:
        return wide
    narrow = sweep_charts.map_still(data, item, show, width=_NARROW_PX)
    return f'<div class="wide-still">{wide}</div><div class="narrow-still">{narrow}</div>'


def _map(findings: Findings, data: dict[str, Any]) -> str:
    goal = GOAL_WORDS[findings.goal]
    title = f"{goal[0].upper()}{goal[1:]} over the settings"
    if data["line"] is not None:
        note = "Every point is one setting; the diamond is the best. Gaps have no result."
        shown = len(data["line"]["x"])
        if shown < data["line"]["rows"]:
            note += f" Drawn from {count(shown)} of {count(data['line']['rows'])}, extremes kept."
        return section(title, chart("line", sweep_charts.line_still(data)), note)
    if not data["maps"]:
        none = "No setting has a result." if findings.best is None else "No key has two values."
        return section(title, f'<p class="empty">{none}</p>')
    keys = mapped(findings.axes)
    called = {axis.key: axis.name for axis in keys}
    names = [f"{called[item['x']]} across, {called[item['y']]} up" for item in data["maps"]]
    many = any(size > 1 for item in data["maps"] for row in item["of"] for size in row)
    note = "The ring is the best setting. Gaps were not tried, or have no result."
    aside = ""
    if len(keys) > 2:
        aside += _select(names)
    if many:
        note = (
            "Where several settings share a place, the best of them or the middle one is shown: "
            "a plain where the best is high and the middle low is chance more often than merit. "
            + note
        )
        aside += (
            '<span class="buttons">'
            '<button type="button" data-show="best" aria-pressed="true">best</button>'
            '<button type="button" data-show="middle" aria-pressed="false">middle</button></span>'
        )
    if len(keys) < sum(len(axis.values) > 1 for axis in findings.axes):
        note += f" The {len(keys)} keys with most values can be chosen."
    return section(
        title, chart("map", _maps(data, ("best", "middle") if many else ("best",))), note, aside
    )


def _spreads(findings: Findings, data: dict[str, Any]) -> str:
    parts = []
    if data["spread"] is not None:
        note = "How many settings made how much."
        if data["expected_maximum"] is not None:
            note += " Chance: what the best of as many worthless settings would reach."
        shown = chart("spread", sweep_charts.spread_still(data))
        parts.append(section(f"All settings by {GOAL_WORDS[findings.goal]}", shown, note))
    if data["ranks"]:
        loss = percent(findings.overfitting.loss)
        parts.append(
            section(
                "The best of one half, in the other half",
                chart("ranks", sweep_charts.ranks_still(data)),
                "Share of splits by where the chosen setting stood among all on the days it was "
                f"not chosen by. There it lost money in {loss} of the splits.",
            )
        )
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ""


def _best(findings: Findings) -> str:
    if findings.best is None:
        return section("The best", '<p class="empty">No setting has a result.</p>')
    rows = []
    for place, row in enumerate(findings.ranked.head(BEST_SHOWN).iter_rows(named=True), 1):
        figures = [
            chance(row["psr"]),
            chance(row["dsr"]),
            percent(row["total_return"], signed=True),
            percent(row["max_drawdown"]),
            count(row["trades"]),
            percent(row["win_rate"]),
            number(row["profit_factor"]),
            percent(row["exposure"]),
        ]
        keys = [axis.text(row[axis.key]) for axis in findings.axes]
        front = [str(place), count(row["setting"]), *keys]
        own = [] if findings.goal != "sortino" else [goal_text("sortino", row["sortino"])]
        cap = [percent(row[SIZE_CAP]) if row[SIZE_CAP] is not None else ""] * findings.has_caps
        cells = (*front, *cap, *own, number(row["sharpe"]), *figures)
        rows.append([escaped(text) for text in cells])
    head = ["#Rank", "#Setting", *(f"#{axis.name}" for axis in findings.axes)]
    head += ["#Capped at"] if findings.has_caps else []
    head += ["#Sortino"] if findings.goal == "sortino" else []
    head += ["#Sharpe", "#PSR", "#DSR", "#Return", "#Drawdown", "#Trades"]
    head += ["#Win rate", "#Profit factor", "#Exposure"]
    shown = len(rows)
    note = (
        f"{shown} of {plural(findings.ranked.height, 'setting')}, the best "
        f"{GOAL_WORDS[findings.goal]} first; settings.parquet holds all. "
        "PSR is each setting seen alone, DSR as one chosen from "
        f"{count(findings.chosen_from)}."
    )
    return section("The best", html_table(head, rows, "The best settings"), note)


def _failed(findings: Findings) -> str:
    """Group failures by problem: a thousand settings often fail for one reason."""
    import polars as pl

    failed = findings.table.filter(pl.col("status") == "failed")
    if failed.height == 0:
        return ""
    groups = (
        failed.with_columns(pl.col("problem").fill_null("no reason was stored"))
        .group_by("problem", maintain_order=True)
        .agg(pl.len().alias("times"), pl.all().exclude("problem").head(_EXAMPLES))
        .sort("times", descending=True, maintain_order=True)
    )
    rows = []
    for row in groups.head(PROBLEMS_SHOWN).iter_rows(named=True):
        examples = "".join(
            f"<small>{count(number_)}: {escaped(_values(findings, row, place))}</small>"
            for place, number_ in enumerate(row["setting"])
        )
        rows.append((count(row["times"]), escaped(row["problem"]) + examples))
    note = "By problem, with the first settings of each."
    if groups.height > PROBLEMS_SHOWN:
        note += f" {PROBLEMS_SHOWN} of {count(groups.height)} problems are shown."
    head = ("#Settings", "Problem, and the first settings")
    table = html_table(head, rows, "Failed settings", "notes")
    return section(f"{plural(failed.height, 'setting')} failed", table, note)


def _values(findings: Findings, row: Mapping[str, Any], place: int) -> str:
    return ", ".join(f"{axis.name} {axis.text(row[axis.key][place])}" for axis in findings.axes)


def _reading() -> str:
    body = "".join(f"<p><b>{escaped(name)}.</b> {escaped(text)}</p>" for name, text in _MEANINGS)
    return section("How to read this", f'<div class="meaning">{body}</div>')


def _details(manifest: Mapping[str, Any]) -> str:
    parts = []
    if manifest.get("strategy_text"):
        parts.append(("The strategy file", str(manifest["strategy_text"])))
    if manifest.get("space"):
        parts.append(("What was swept", yaml_text(manifest["space"])))
    if manifest.get("resolved"):
        parts.append(("Every effective value", yaml_text(manifest["resolved"])))
    rest = {name: value for name, value in manifest.items() if name not in _SHOWN_ELSEWHERE}
    if rest:
        parts.append(("What this result depends on", yaml_text(rest)))
    body = "".join(
        f"<details><summary>{escaped(name)}</summary><pre>{escaped(text)}</pre></details>"
        for name, text in parts
    )
    return section("Configuration", body) if body else ""


def render(findings: Findings, manifest: Mapping[str, Any]) -> str:
    """Return the page of a sweep."""
    data = chart_data(findings)
    strategy = str(manifest.get("strategy") or "strategy")
    title = f"{strategy}: sweep {manifest.get('sweep_id') or ''}".rstrip()
    main = (
        _map(findings, data),
        _spreads(findings, data),
        _best(findings),
        _failed(findings),
        _reading(),
        _details(manifest),
    )
    return document(
        title,
        _header(findings, manifest, f"{strategy}: {plural(findings.table.height, 'setting')}"),
        "\n".join(part for part in main if part),
        {},
        scripts=[("septet._sweep", "sweep.js")],
    )


def write_page(
    folder: Path, table: pl.DataFrame, manifest: Mapping[str, Any], findings: Findings | None = None
) -> Path:
    """Write ``sweep.html`` to the sweep's folder; the old file stays until the new one is complete.

    Parameters
    ----------
    folder : Path
        The folder of the sweep; it exists.
    table : polars.DataFrame
        The result table, one row a setting; `psr` and `dsr` are worked out anew.
    manifest : mapping
        Every part may be missing: `strategy` (name), `sweep_id`, `goal`, `space` (document of
        the space), `first_decision` (text), `strategy_text`, `resolved`. Whatever else is in
        it is shown as small print.
    findings : Findings, optional
        Result of `findings_of` for this table and manifest; computed here if it is left out.
    """
    return replace_text(
        folder / "sweep.html",
        render(findings_of(table, manifest) if findings is None else findings, manifest),
    )
