"""How well a run does: its slippage, the age of its data, its monitors' last values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["health_rows", "monitor_rows"]


def monitor_rows(run: Run) -> list[dict[str, Any]]:
    """Return the last value of each metric of each symbol, those with a verdict first."""
    import polars as pl

    from septet._data.stamps import iso

    if not run.has("monitoring"):
        return []
    table = run.table("monitoring").sort("time", maintain_order=True)
    last = table.group_by(["metric", "symbol"], maintain_order=True).last()
    times = last.get_column("time").to_physical().to_list()
    rows = [
        {**row, "time": iso(time_ns), "verdict": row["verdict"] or "ok"}
        for row, time_ns in zip(last.with_columns(pl.all()).to_dicts(), times, strict=True)
    ]
    return sorted(rows, key=lambda row: row["verdict"] == "ok")


def health_rows(run: Run) -> list[tuple[str, str]]:
    """Return what is known of data and fills: name and words."""
    from septet._dashboard.order_delays import delay_words
    from septet._results.number_texts import count, money

    summary, rows = run.summary, list[tuple[str, str]]()
    rows.append(("Last bar", str(summary["end"])))
    if run.has("decisions"):
        late = run.table("decisions", ["late"]).get_column("late").sum()
        rows.append(("Decisions that came late", count(int(late or 0))))
    missing = sum(int(each.get("count") or 0) for each in run.findings)
    rows.append(("Findings in the data, alerts", count(missing)))
    rows.append(("Slippage of all fills", money(summary["slippage"], run.facts.currency)))
    rows.extend(delay_words(run.folder))
    return rows
