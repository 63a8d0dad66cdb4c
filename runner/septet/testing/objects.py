"""Checks of plugins that are no steps: sources, models, monitors, alert channels, venues."""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from septet._data.source import Request
from septet._host.declare import Factory
from septet._host.guards import StepError, located
from septet._host.models import Untrainable, Window
from septet._host.monitoring import MONITOR_VERDICTS, FillRows, Reading, RunView, TradeRows
from septet.testing.bars import HOUR_NS

__all__ = ["NotTried", "OBJECTS", "sample_run", "sample_window", "try_object"]

START_NS: Final = 1_640_995_200_000_000_000
ROWS: Final = 600
VENUE: Final = (
    "open", "submit", "amend", "cancel", "cancel_all", "query", "open_orders", "fills", "holdings",
    "skew", "refresh_markets", "close",
)  # fmt: skip


class NotTried(Exception):
    """Why the kit cannot exercise a component; it is then neither kept nor failed."""


def try_object(declaration: Factory, config: Any, *, names: Sequence[str] = ()) -> None:
    """Build a component and try what it does, without reaching out.

    `names` are the features a model reads.

    Raises
    ------
    StepError
        With what is wrong.
    NotTried
        If it cannot be exercised here: it downloads, reads a file, or needs more than is here.
    """
    try:
        built = declaration.build(config)
    except Exception as error:  # a stranger's class may raise anything
        raise located(error) from error
    OBJECTS[declaration.kind](built, names)


def _called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a stranger's method; what it raises says where."""
    try:
        return function(*arguments, **named)
    except (NotTried, Untrainable):
        raise
    except Exception as error:  # a stranger's method may raise anything
        raise located(error) from error


def _takes(built: Any, method: str, *arguments: str, **named: str) -> Any:
    """Require a method that takes these arguments."""
    found = getattr(built, method, None)
    if not callable(found):
        raise StepError(f"{type(built).__name__} has no {method}({', '.join(arguments)})")
    try:
        inspect.signature(found).bind(*arguments, **named)
    except TypeError as error:
        raise StepError(f"{type(built).__name__}.{method}: {error}") from None
    return found


# ---------------------------------------------------------------------------- sources


def _source(built: Any, names: Sequence[str]) -> None:
    """Read the same rows twice, and fewer of them: what is there does not depend on the end."""
    read = _takes(built, "read", "request")
    if hasattr(built, "fetch"):
        raise NotTried("it downloads, and the kit does not reach out")
    with tempfile.TemporaryDirectory() as folder:
        end_ns = START_NS + 400 * HOUR_NS
        asked = Request(("BTC/USDT",), HOUR_NS, START_NS, end_ns, Path(folder), now_ns=end_ns)
        try:
            first = _frames(read(asked))
        except Exception as error:  # a stranger's source may raise anything
            raise NotTried(f"it cannot be read without what the file says: {error}") from None
        if not any(len(each) for each in first):
            raise NotTried("it has no rows of its own")
        if not _equal(first, _frames(_called(read, asked))):
            raise StepError(f"{type(built).__name__}.read gives other rows the second time")
        shorter = replace(asked, end_ns=end_ns - 100 * HOUR_NS)
        for whole, cut in zip(first, _frames(_called(read, shorter)), strict=True):
            count = min(len(whole), len(cut))
            if not whole.head(count).equals(cut.head(count)):
                raise StepError(
                    f"{type(built).__name__}.read gives other rows when fewer are asked for"
                )


def _frames(answer: Any) -> list[Any]:
    rows = answer if isinstance(answer, list | tuple) else [answer]
    return [each.frame for each in rows]


def _equal(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(a.equals(b) for a, b in zip(some, others, strict=True))


# ---------------------------------------------------------------------------- models


def sample_window(names: Sequence[str] = ("a", "b", "c"), *, seed: int = 5) -> Window:
    """Make the rows of one training window: the first feature says something, the rest nothing."""
    random = np.random.default_rng(seed)
    x = np.ascontiguousarray(random.normal(0.0, 1.0, (ROWS, max(1, len(names)))))
    y = (x[:, 0] + random.normal(0.0, 1.5, ROWS) > 0.0).astype(np.int64)
    time_ns = START_NS + np.arange(ROWS, dtype=np.int64) * HOUR_NS
    return Window(x, y, time_ns, time_ns + HOUR_NS, tuple(names), seed)


def _model(built: Any, names: Sequence[str]) -> None:
    """Fit the same window twice, ask rows alone and together, store and read back."""
    from septet._learn.fitting import check_served
    from septet._learn.trainer import complete
    from septet.errors import InputError, RunError

    if not hasattr(built, "estimator") and not hasattr(built, "fit"):
        raise NotTried("it fits nothing")
    window = sample_window(names or ("a", "b", "c"))
    try:
        trainer = complete(built, "none", "none")
        models = [_called(trainer.fit, window).model for _ in range(2)]
        check_served(trainer.name, models[0], window.x)
    except Untrainable as error:
        raise NotTried(f"the kit's window gives no model: {error}") from None
    except InputError as error:
        raise NotTried(error.message) from None
    except RunError as error:
        raise StepError(error.message) from None
    before = _predicted(models[0], window)
    if before != _predicted(models[1], window):
        raise StepError(
            f"{trainer.name} fits another model to the same window; chance comes from window.seed"
        )
    restore = getattr(built, "restore", None)
    if restore is not None:
        arrays = {name: np.array(each) for name, each in models[0].arrays().items()}
        if _predicted(_called(restore, arrays), window) != before:
            raise StepError(f"{trainer.name}.restore gives a model that answers otherwise")


def _predicted(model: Any, window: Window) -> bytes:
    return np.ascontiguousarray(_called(model.predict, window.x)).tobytes()


# ---------------------------------------------------------------------------- monitoring


def sample_run(*, count: int = 1_500, seed: int = 3) -> RunView:
    """Make a run of two symbols: a curve, fills, and trades, as a monitor is shown them."""
    random = np.random.default_rng(seed)
    time_ns = START_NS + np.arange(1, count + 1, dtype=np.int64) * HOUR_NS
    equity = 10_000.0 * np.exp(np.cumsum(random.normal(0.0, 0.003, count)))
    exposure = random.random(count)
    opens = np.sort(random.choice(count - 10, 60, replace=False))
    closes = opens + random.integers(1, 9, len(opens))
    order = np.argsort(closes, kind="stable")
    opens, closes = opens[order], closes[order]
    symbol = random.integers(0, 2, len(opens))
    price = 100.0 * np.exp(random.normal(0.0, 0.1, len(opens)))
    out = price * np.exp(random.normal(0.0, 0.01, len(opens)))
    quantity = random.uniform(1.0, 9.0, len(opens))
    fees = quantity * (price + out) * 0.001
    trades = TradeRows(
        time_ns[opens], time_ns[closes], symbol, np.ones(len(opens), np.int64), quantity, price,
        out, quantity * (out - price) - fees, fees, fees * 0.0, fees * 0.0,
    )  # fmt: skip
    at = np.concatenate((time_ns[opens], time_ns[closes]))
    by_time = np.argsort(at, kind="stable")
    both = np.concatenate((price, out))[by_time]
    fills = FillRows(
        at[by_time], np.concatenate((symbol, symbol))[by_time],
        np.repeat(np.array([1, -1], np.int64), len(opens))[by_time],
        np.concatenate((quantity, quantity))[by_time], both, both * 0.999, both * 0.001,
    )  # fmt: skip
    cash = equity * (1.0 - exposure)
    return RunView(("A/USD", "B/USD"), HOUR_NS, time_ns, equity, cash, exposure, fills, trades)


def _monitor(built: Any, names: Sequence[str]) -> None:
    """Read a run, again, and as it stood at earlier times: nothing later changes a reading."""
    read, run = _takes(built, "read", "run"), sample_run()
    whole = _readings(_called(read, run))
    if whole != _readings(_called(read, run)):
        raise StepError(f"{type(built).__name__}.read gives other readings the second time")
    for place in (len(run.time_ns) // 3, len(run.time_ns) // 2, len(run.time_ns) - 2):
        until = int(run.time_ns[place])
        seen = [each for each in whole if each[0] <= until]
        if _readings(_called(read, run.until(until))) != seen:
            raise StepError(
                f"{type(built).__name__}.read gives other readings of a time once later ones are "
                "known: it looks ahead"
            )


def _readings(found: Any) -> list[tuple[Any, ...]]:
    if not isinstance(found, list | tuple) or not all(isinstance(e, Reading) for e in found):
        raise StepError(f"read returns {found!r:.60}; expected a list of Reading")
    for each in found:
        if each.verdict not in MONITOR_VERDICTS:
            expected = ", ".join(MONITOR_VERDICTS)
            raise StepError(f"read gives the verdict {each.verdict!r}; expected one of {expected}")
    return [
        (e.time_ns, e.metric, e.symbol, repr(float(e.value)), repr(float(e.threshold)), e.verdict)
        for e in found
    ]


def _alerts(built: Any, names: Sequence[str]) -> None:
    _takes(built, "send", "title", "text", "read", "severity")
    raise NotTried("the kit sends no alert; it has send(title, text, read, severity)")


# ---------------------------------------------------------------------------- venues


def _venue(built: Any, names: Sequence[str]) -> None:
    """Connect without opening, and require every method of a live venue."""
    connect = getattr(built, "connect", None)
    if connect is None:
        raise NotTried("it has no connect: it serves simulations alone")
    clock = SimpleNamespace(
        now_ns=lambda: START_NS, market_ns=lambda: START_NS, speed=1.0, to_wall_ns=math.floor
    )
    more = {"read": lambda reference: "kit"}
    wanted = inspect.signature(connect).parameters
    given = {name: more[name] for name in more if name in wanted}
    link = _called(connect, name="kit", clock=clock, **given)
    missing = [name for name in VENUE if not inspect.iscoroutinefunction(getattr(link, name, None))]
    if missing:
        raise StepError(f"{type(link).__name__} lacks async methods: {', '.join(missing)}")
    raise NotTried("the kit trades at no venue; it has every method of one")


OBJECTS: Final[Mapping[str, Callable[[Any, Sequence[str]], None]]] = {
    "candles": _source, "series": _source, "model": _model, "monitor": _monitor,
    "alerts": _alerts, "venue": _venue,
}  # fmt: skip
