"""The charts of a run's page: markup with a still, and data that the browser asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from septet._charts import time_chart
from septet._dashboard.stills import without_style
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["MAX_BARS", "curve_figure", "document", "moment_of", "price_figure", "symbols_of"]

MAX_BARS: Final = 5_000
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?Z?")
_NS: Final = 1_000_000_000


def moment_of(text: str) -> int | None:
    """Return the UTC nanoseconds of a time as it is typed; None where nothing was typed.

    Raises
    ------
    InputError
        If it is no time.
    """
    from datetime import UTC, datetime

    text = text.strip()
    if not text:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        return int(moment.timestamp()) * _NS
    except ValueError:
        raise InputError(
            f"{text[:40]!r} is no time",
            hint="a date, or a date and a time in UTC: 2026-03-01 14:30",
        ) from None


def symbols_of(run: Run) -> list[str]:
    """Return the symbols that have bars, in the order of the run."""
    if not run.has("bars"):
        return []
    import polars as pl

    frame = run.scan("bars").select(pl.col("symbol").cast(pl.String)).unique(maintain_order=True)
    return [str(each) for each in run.collected("bars", frame).get_column("symbol")]


def price_figure(
    run: Run, symbol: str, start_ns: int | None = None, end_ns: int | None = None,
    lines: Sequence[Mapping[str, Any]] = (),
) -> tuple[str, dict[str, Any]] | None:  # fmt: skip
    """Return markup and data of the price of a symbol; None where there are no bars.

    `lines` are prices of what rests, each with `price` and `text`.
    """
    from septet._report.chart_data import price_data
    from septet._report.run_charts import price_chart

    data = price_data(run, symbol, most=MAX_BARS, start_ns=start_ns, end_ns=end_ns)
    if not data["price"]:
        return None
    if start_ns is not None or end_ns is not None:  # all of what was asked for is shown
        data["first_decision"] = data["price"][0]["t"][0]
    markup, charts = price_chart(data)
    chart = {**charts[0], "lines": list(lines), "logo": False}
    if start_ns is not None or end_ns is not None:  # what was before or comes after is not in it
        first, last = chart["span"]
        end = last if end_ns is None else end_ns // _NS
        chart["marks"] = [mark for mark in chart["marks"] if first <= mark["t"] <= end]
    return without_style(markup), chart


def curve_figure(run: Run) -> tuple[str, dict[str, Any]] | None:
    """Return markup and data of equity, drawdown and exposure; None where there is no equity."""
    from septet._report.chart_data import curve_data
    from septet._report.run_charts import curve_chart

    if not run.has("equity") or run.table("equity", ["time"]).height < 2:
        return None
    markup, chart = curve_chart(curve_data(run))
    return None if chart is None else (without_style(markup), {**chart, "logo": False})


def document(chart: Mapping[str, Any], after: float | None) -> dict[str, Any]:
    """Return a chart as the browser takes it; with `after` only the rows from that second on.

    Only the finest level has rows of their own: those that are coarser join its bars.
    """
    if after is None:
        return dict(chart)
    level = chart["levels"][0]["columns"]
    columns = {name: time_chart.unpack(packed) for name, packed in level.items()}
    first = int((columns["t"] < after).sum())
    tail = {name: values[first:].tolist() for name, values in columns.items()}
    rows = [
        {name: None if value != value else value for name, value in zip(tail, row, strict=True)}
        for row in zip(*tail.values(), strict=True)
    ]
    return {"rows": rows, "marks": chart["marks"], "lines": chart.get("lines", [])}
