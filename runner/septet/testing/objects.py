"""Checks of plugins that are no steps: sources, models, monitors, alert channels, venues."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

import numpy as np

from septet._host.code_dependencies import root_of
from septet._host.declare import Factory
from septet._host.guarded_arrays import StepError
from septet._host.models import Fitted, Untrainable, Window
from septet._host.monitoring import MONITOR_VERDICTS, FillRows, Reading, RunView, TradeRows
from septet.testing.bars import HOUR_NS
from septet.testing.case import Case, NotTried, called, silent, takes
from septet.testing.checks import ConformanceError, placed
from septet.testing.local import local_server, opened, opened_async
from septet.testing.order_script import connect_to, live_through, open_without
from septet.testing.source_trials import try_source
from septet_schemas.base import Config

__all__ = [
    "OBJECTS", "NotTried", "check_object", "readings_of", "sample_run", "sample_window",
    "try_object",
]  # fmt: skip

START_NS: Final = 1_640_995_200_000_000_000
ROWS: Final = 600


def try_object(
    declaration: Factory,
    config: Any,
    *,
    names: Sequence[str] = (),
    trial: Callable[[Any], Any] | None = None,
    bar_ns: int = HOUR_NS,
) -> None:
    """Build a component and try what it does, without reaching out.

    `names` are the features a model reads; `trial` is used in place of the declaration's own.

    Raises
    ------
    StepError
        With what is wrong.
    NotTried
        If it cannot be exercised here: it downloads, reads a file, or needs more than is here.
    """
    quiet = nullcontext() if declaration.kind in _SPEAKERS else silent(root_of(declaration.build))
    with quiet:
        _try(declaration, config, names, trial or declaration.trial, bar_ns)


_SPEAKERS: Final = ("alerts", "venue")
"""An alert channel may be one that prints; a venue runs in a loop of its own."""


def _try(
    declaration: Factory,
    config: Any,
    names: Sequence[str],
    given: Callable[[Any], Any] | None,
    bar_ns: int,
) -> None:
    def build(settings: Any) -> Any:
        return called(declaration.build, settings)

    with tempfile.TemporaryDirectory() as folder, local_server(Path(folder)) as local:
        case = Case(names, local, build, bar_ns=bar_ns)
        if given is not None and declaration.kind == "venue":
            _live_through(given, case)
            return
        if given is None:
            OBJECTS[declaration.kind](build(config), case)
            return
        with opened(given, local) as found:
            OBJECTS[declaration.kind](build(found.config), replace(case, trial=found))


def check_object(
    declaration: Factory,
    config: Config | None = None,
    *,
    trial: Callable[[Any], Any] | None = None,
) -> None:
    """Check a source, model, monitor, alert channel or venue, as it is before a run.

    Parameters
    ----------
    declaration, config
        What the decorator made, and its settings (its defaults when left out).
    trial
        In place of the declaration's own: called with the `LocalServer` of the kit it returns the
        settings, or the `Trial`, with which the plugin is tried.

    Raises
    ------
    ConformanceError
        With what is wrong, or with what could not be tried and what is needed for it.
    """
    try:
        with_trial = trial or declaration.trial
        settings = config if config is not None or with_trial else declaration.config()
        try_object(declaration, settings, trial=trial)
    except NotTried as why:
        raise ConformanceError(f"not tried: {why}") from None
    except StepError as error:
        raise ConformanceError(placed(declaration, str(error))) from error


# ---------------------------------------------------------------------------- models


def sample_window(names: Sequence[str] = ("a", "b", "c"), *, seed: int = 5) -> Window:
    """Make the rows of one training window: the first feature is informative, the rest is not."""
    random = np.random.default_rng(seed)
    x = np.ascontiguousarray(random.normal(0.0, 1.0, (ROWS, max(1, len(names)))))
    y = (x[:, 0] + random.normal(0.0, 1.5, ROWS) > 0.0).astype(np.int64)
    time_ns = START_NS + np.arange(ROWS, dtype=np.int64) * HOUR_NS
    return Window(x, y, time_ns, time_ns + HOUR_NS, tuple(names), seed)


def _model(built: Any, case: Case) -> None:
    """Fit the same window twice, ask rows alone and together, store and read back."""
    from septet._learn.fitting import check_served
    from septet._learn.stored import require_readable
    from septet._learn.trainer import complete
    from septet.errors import InputError, RunError

    if not hasattr(built, "estimator") and not hasattr(built, "fit"):
        raise NotTried("it fits nothing")
    names = case.names or ("a", "b", "c")
    window = sample_window(names)
    try:
        trainer = complete(built, "none", "none")
        models = [_fitted(trainer, sample_window(names)).model for _ in range(2)]
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
        if _predicted(called(restore, arrays), window) != before:
            raise StepError(
                f"{trainer.name}.restore gives a model that answers otherwise than "
                "the stored one; arrays() has to hold all that restore needs"
            )
        try:
            require_readable(trainer.name, models[0], restore)
        except InputError as error:
            raise StepError(error.message) from None


def _fitted(trainer: Any, window: Window) -> Fitted:
    found = called(trainer.fit, window)
    if not isinstance(found, Fitted):
        raise StepError(f"{trainer.name}.fit returns {found!r:.60}; expected a Fitted")
    return found


def _predicted(model: Any, window: Window) -> bytes:
    return np.ascontiguousarray(called(model.predict, window.x)).tobytes()


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
        0.1 * fees,
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


def _monitor(built: Any, case: Case) -> None:
    """Read a run, again, and as it stood at earlier times: nothing later changes a reading."""
    read, run = takes(built, "read", "run"), sample_run()
    whole = readings_of(called(read, run))
    if whole != readings_of(called(read, run)):
        raise StepError(
            f"{type(built).__name__}.read gives other readings the second time; "
            "they follow from the run alone"
        )
    for place in (len(run.time_ns) // 3, len(run.time_ns) // 2, len(run.time_ns) - 2):
        until = int(run.time_ns[place])
        seen = [each for each in whole if each[0] <= until]
        if readings_of(called(read, run.until(until))) != seen:
            raise StepError(
                f"{type(built).__name__}.read gives other readings of a time once later ones are "
                "known: it looks ahead; a reading uses what was known at its own time"
            )


def readings_of(found: Any) -> list[tuple[Any, ...]]:
    """Return readings as tuples that can be compared.

    Raises
    ------
    StepError
        If they are none.
    """
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


LOG_WORDS: Final = "the kit tries this channel"


def _alerts(built: Any, case: Case) -> None:
    """Send one alert to the local server, or into its folder; and one that it does not take."""
    send = takes(built, "send", "title", "text", "read", "severity")
    local = case.local
    if case.trial is None:
        raise NotTried(
            "the kit sends nothing to the world; with trial= it sends to a local server "
            "(docs/plugins.md, section 6)"
        )
    if hasattr(built, "check"):
        called(built.check, local.read)
    called(send, "septet", LOG_WORDS, local.read, "warning")
    arrived = [each.path + each.body.decode("utf-8", "replace") for each in local.requests]
    arrived += [path.read_text("utf-8") for path in local.folder.rglob("*") if path.is_file()]
    if not any(_is_reported(each) for each in arrived):
        raise StepError(
            f"{type(built).__name__}.send returns, and no text of the alert arrived ("
            f"{len(local.requests)} requests); send the text, or raise why it cannot be sent"
        )
    if not local.requests:
        return
    local.status = 500
    try:
        send("septet", LOG_WORDS, local.read, "failure")
    except Exception:  # that is what it is asked for
        return
    raise StepError(
        f"{type(built).__name__}.send returns though its server answered 500; a channel that fails "
        "raises, so that the run can report it"
    )


def _is_reported(text: str) -> bool:
    """Whether the alert stands in what arrived, plainly or as a part of an address."""
    return LOG_WORDS in text or LOG_WORDS in unquote_plus(text)


# ---------------------------------------------------------------------------- venues


def _venue(built: Any, case: Case) -> None:
    """Connect without opening."""
    if getattr(built, "connect", None) is None:
        raise NotTried("it has no connect: it serves simulations alone")
    connect_to(built, case.local.read)
    raise NotTried(
        "it has every method of a venue, and the kit trades at none; with trial= orders are "
        "led through their lives at a local one (docs/plugins.md, section 6)"
    )


def _live_through(given: Callable[[Any], Any], case: Case) -> None:
    """Lead orders through their lives at the author's local venue."""

    async def lived() -> None:
        async with opened_async(given, case.local) as trial:
            link = connect_to(case.build(trial.config), case.local.read)
            await live_through(link, trial)
            await open_without(connect_to(case.build(trial.config), case.local.read), trial)

    asyncio.run(lived())


OBJECTS: Final[Mapping[str, Callable[[Any, Case], None]]] = {
    "candles": try_source, "series": try_source, "model": _model, "monitor": _monitor,
    "alerts": _alerts, "venue": _venue,
}  # fmt: skip
