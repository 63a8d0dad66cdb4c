"""The page that shows runs side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._app.compare import (
    MOST_COMPARED,
    ComparedRun,
    compared_run,
    differing,
    growth_still,
)
from septet._dashboard.listing import named_folder
from septet._dashboard.site import VIEW, Right
from septet._dashboard.stills import without_style
from septet._dashboard.views import View, Views
from septet._report.why import value_text
from septet._results.number_texts import count, number, percent
from septet._text import one_line, shortened
from septet.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ComparePages"]

_FIGURES: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("Mode", "mode", value_text), ("First decision", "first_decision", value_text),
    ("End", "end", value_text), ("Return", "total_return", percent),
    ("Return a year", "cagr", percent), ("Sharpe", "sharpe", number),
    ("Sortino", "sortino", number), ("Deepest drawdown", "max_drawdown", percent),
    ("Buy and hold", "buy_and_hold_return", percent), ("Trades", "trades", count),
    ("Win rate", "win_rate", percent), ("Profit factor", "profit_factor", number),
    ("Exposure", "exposure", percent), ("Turnover a year", "turnover", number),
    ("Fees", "fees", value_text), ("Slippage", "slippage", value_text),
)  # fmt: skip
_MOST_ROWS: Final = 200


class ComparePages:
    """Answers the comparison of two to six runs."""

    def __init__(self, show: Callable[..., Response], views: Views, root: Path) -> None:
        self.show, self.views, self.root = show, views, root

    def routes(self) -> list[tuple[str, str, Right, Callable[[Request], Response]]]:
        """Return path, method, right and answer of each."""
        return [("/compare", "GET", VIEW, self.compare)]

    def compare(self, request: Request) -> Response:
        """Answer the runs that the address names, side by side."""
        keys = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 2 <= len(keys) <= MOST_COMPARED:
            raise InputError(
                f"{len(keys)} runs are chosen, and two to {MOST_COMPARED} are compared",
                hint="choose them in the list of all runs",
            )
        runs = [self.views.ask(named_folder(self.root, key), _read) for key in keys]
        letters = "ABCDEF"[: len(runs)]
        rows = differing(runs)
        names = [
            f"{letter}: {shortened(one_line(each.summary['strategy']), 30)}"
            for letter, each in zip(letters, runs, strict=True)
        ]
        return self.show(
            request, "compare.html",
            runs=[
                {
                    "key": key, "letter": letter, "run_id": each.run_id,
                    "strategy": each.summary["strategy"], "verdict": each.summary.get("verdict"),
                    "tries": (each.summary.get("tries") or {}).get("text"),
                }
                for key, letter, each in zip(keys, letters, runs, strict=True)
            ],
            figures=[
                (label, [write(each.summary.get(name)) for each in runs])
                for label, name, write in _FIGURES
            ],
            settings=rows[:_MOST_ROWS], left_out=max(0, len(rows) - _MOST_ROWS),
            still=without_style(growth_still(runs, names)), gap=_gap(runs),
        )  # fmt: skip


def _read(view: View) -> ComparedRun:
    if view.run is None:
        raise InputError(f"a chosen run cannot be read: {view.damaged}")
    return compared_run(view.run)


def _gap(runs: list[ComparedRun]) -> str:
    """Return the command that explains the gap between a live run and its backtest."""
    if len(runs) != 2 or runs[0].live == runs[1].live:
        return ""
    live, past = runs if runs[0].live else reversed(runs)
    return f"septet runs diff {live.run_id} {past.run_id}"
