"""Problems of a run that can be found before it: in the data, its features and its model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pydantic import BaseModel

from septet._config.check_context import blocks_of, readings
from septet._config.credentials import STORED, Stored, stored_credentials, venues_file
from septet._config.cross_model import is_kelly
from septet._config.error_places import placed, problem_of
from septet._config.pydantic_problems import problem_at
from septet._config.tree import Path as KeyPath
from septet._data.bad_rows import OF_SERIES, STRATEGY_FILE, doubts
from septet._data.calendars import sessions_per_year
from septet._data.candle_ends import CANDLES_END
from septet._data.series import check_probabilities
from septet._shell.feature_checks import feature_problems
from septet._shell.hours_checks import hours_problems
from septet._shell.late_start import late_start_problem
from septet._shell.length_checks import length_problems
from septet._shell.never_known import never_known
from septet._shell.session import Session, open_session
from septet._shell.tick_checks import tick_problems
from septet._shell.trade_checks import trade_problems
from septet._shell.training_checks import Windows, parameter_problems, window_problems, windows_of
from septet.errors import DataError, InputError, Problem, SeptetError
from septet_schemas.base import SecretRef

__all__ = ["DataCheck", "check_data", "check_model", "check_secrets"]


class DataCheck(msgspec.Struct, frozen=True):
    """The problems of a backtest, and the windows that its model is trained on.

    `missing_key` is the key of the file without which the data could not be read, if there is one.
    """

    problems: list[Problem]
    windows: Windows | None = None
    missing_key: str = ""


def check_data(loaded: Any) -> DataCheck:
    """Read the data of a backtest as a run would; return problems that would stop or empty the run.

    The problems are: a missing file or symbol, a span without data, features and training windows
    that are longer than the data, joins without a common time; then, if none of these stops the
    run, features that are never finite and rules that are never true.
    """
    from septet._shell.backtest import refuse_unserved

    try:
        with placed(loaded, "execution", "simulation", "fills"):
            refuse_unserved(loaded.strategy)
        session = open_session(loaded)
    except SeptetError as error:
        missing_key = "data.candles.time_zone" if error.key == "time_zone" else ""
        return DataCheck(list(problem_of(error)), missing_key=missing_key)
    problems = [*never_known(session), *_symbols(session), *_doubts(session), *_moves(session)]
    problems += [*_probabilities(session), *_ticks(session), *tick_problems(session)]
    problems += trade_problems(session)
    problems += [*length_problems(session), *hours_problems(session)]
    windows = windows_of(session)
    if loaded.strategy.model is not None:
        problems += [*check_model(loaded, session), *window_problems(session, windows)]
    problems += late_start_problem(session, windows.served() if windows is not None else ())
    if not any(each.severity == "error" for each in problems):
        problems += feature_problems(session)
    return DataCheck(problems, windows)


def check_model(loaded: Any, session: Session | None = None) -> list[Problem]:
    """Check the model of a file without its data; return the problems that would stop the run.

    The problems are: parameters that the trainer rejects; a stored model that is missing or
    damaged, or one of other features, bars or labels, and for a backtest (`session`) one that was
    fitted on labels of the span that it is to predict. A problem that only makes the model doubtful
    is a warning.
    """
    from septet import _learn as learn
    from septet._shell.session import plan_of
    from septet._shell.stored_model import read_stored, refuse_seen, stored_key

    block = loaded.strategy.model
    if block is None:
        return []
    try:
        plan = plan_of(loaded) if session is None else session.plan
        names = list(block.extra.get("inputs") or plan.assembly.features)
        if learn.stored_folder(block) is None:
            return parameter_problems(loaded, names)
        stored = read_stored(loaded, names, plan.assembly.graph)
        if session is not None:
            refuse_seen(loaded, stored, int(session.aligned.T[0][-1]))
    except SeptetError as error:
        return list(problem_of(error))
    return [
        *_uncalibrated(loaded, stored.card, stored_key(block)),
        *(problem_at(
            loaded.tree, stored_key(block), each, severity="warning",
            hint="train the model again with this file, unless this is what is meant",
        )
        for each in stored.doubts)
    ]  # fmt: skip


def _uncalibrated(loaded: Any, card: Mapping[str, Any], key: KeyPath) -> list[Problem]:
    """Warn of Kelly sizing with a stored model whose card records that it was not calibrated."""
    if not is_kelly(loaded.strategy.risk.sizing) or card.get("calibrate", "none") != "none":
        return []
    return [
        problem_at(
            loaded.tree, key,
            "Kelly takes the model's output for a probability, and the stored model has no "
            "calibration", severity="warning",
            hint="train it with calibrate: sigmoid",
        )
    ]  # fmt: skip


def _probabilities(session: Session) -> list[Problem]:
    """Return the problem that the probabilities of a series are out of range."""
    block = session.strategy.model
    if block is None or type(block.config).learns:
        return []
    problems = []
    for reading in readings(("model",), block.config):
        feature = session.strategy.features.get(reading.text)
        if feature is None or feature.use != "series":
            continue
        of = str(getattr(feature.config, "of", ""))
        for name, table in session.market.series.items():
            if name.partition("@")[0] != of:
                continue
            try:
                check_probabilities(reading.text, table.value, table.stamp_ns)
            except DataError as error:
                text = error.message
                problems.append(
                    problem_at(session.loaded.tree, reading.path, text, hint=error.hint)
                )
                break
    return problems


def _ticks(session: Session) -> list[Problem]:
    """Warn of stops that are closer to the price than one tick of the instrument."""
    problems = []
    for name, block in session.strategy.risk.stops.items():
        distance = getattr(block.config, "distance", None)
        if not isinstance(distance, float) or distance <= 0.0:
            continue
        for symbol, table in session.market.bars.items():
            instrument = session.market.instruments.get(symbol)
            price = float(np.median(table.close)) if len(table) else 0.0
            if instrument is not None and instrument.tick > distance * price > 0.0:
                text = f"the stop is {distance * price:.4g} away at the usual price of {symbol}, "
                problems.append(
                    problem_at(
                        session.loaded.tree,
                        ("risk", "stops", name),
                        f"{text}less than its tick of {instrument.tick:g}",
                        hint="write a wider stop, or the tick of the instrument",
                        severity="warning",
                    )
                )
                break
    return problems


def _symbols(session: Session) -> list[Problem]:
    """Warn of symbols without a bar in the span, if others have some."""
    symbols = list(session.market.symbols)
    return [
        problem_at(
            session.loaded.tree,
            ("universe", "symbols", symbols.index(each.symbol)),
            f"{each.symbol} has no bar in the span",
            found=each.examples[0] if each.examples else "",
            hint="change universe: {start, end}, or leave the symbol out",
            severity="warning",
        )
        for each in session.market.findings
        if each.kind == "no_overlap" and each.symbol in symbols
    ]


def _moves(session: Session) -> list[Problem]:
    """Warn of days on which unadjusted shares moved by over 20 %: splits, or results."""
    strategy, market = session.strategy, session.market
    if strategy.data.candles.extra["adjust"] not in (None, "none"):
        return []
    problems = []
    for each in market.findings:
        calendar = market.calendars.get(each.symbol, market.calendar)
        if each.kind != "jump" or sessions_per_year(calendar) > 300.0:
            continue
        problems.append(
            problem_at(
                session.loaded.tree,
                ("universe", "symbols", list(market.symbols).index(each.symbol)),
                f"{each.symbol}: {each.count:,} {each.message}, of prices that are not adjusted",
                found="; ".join(each.examples),
                hint="if these are splits, write adjust: splits or bring an adjusted close",
                severity="warning",
            )
        )
    return problems


def _doubts(session: Session) -> list[Problem]:
    """Return a warning for each finding about the data that the verdict would report."""
    symbols = list(session.market.symbols)
    problems = []
    for each in doubts(session.market.findings):
        path: KeyPath = ("data", "candles")
        if each.kind in OF_SERIES or each.symbol not in symbols:
            path = ("data", each.symbol.partition("@")[0])
        elif each.kind == CANDLES_END:
            path = ("universe", "symbols", symbols.index(each.symbol))
        tree, file = session.loaded.tree, Path(session.loaded.path)
        hint = each.hint.replace(STRATEGY_FILE, str(file)) if file.is_file() else each.hint
        problems.append(problem_at(tree, path, each.message, hint=hint, severity="warning"))
    return problems


def check_secrets(loaded: Any) -> list[Problem]:
    """Return the secrets of a live run that cannot be read: unset variables, missing files.

    For a venue with an entry in `venues.toml` the entry is used, as in a run. No value is kept.
    """
    problems = []
    stored = stored_credentials()
    for path, block in blocks_of(loaded.strategy):
        entry = stored.get(str(path[-1])) if path[:2] == ("execution", "venues") else None
        if entry is not None:
            problems += _unreadable_entry(loaded, path, entry)
            continue
        for key_path, reference in _references(path, block.config):
            message = _unreadable(reference, Path(loaded.base_dir))
            if message:
                hint = f"export {reference.name}=... before starting septet"
                hint = hint if reference.scheme == "env" else "create the file, readable by you"
                problems.append(problem_at(loaded.tree, key_path, message, hint=hint))
    return problems


def _unreadable_entry(loaded: Any, path: KeyPath, entry: Stored) -> list[Problem]:
    problems = []
    for name in entry.values:
        try:
            entry.read(SecretRef(STORED, name))
        except InputError as error:
            text = f"the credential [{entry.name}] of {venues_file()}: {error.message}"
            problems.append(problem_at(loaded.tree, path, text, hint=error.hint))
    return problems


def _references(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, SecretRef]]:
    if isinstance(value, SecretRef):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _references((*path, name), getattr(value, name))
    elif isinstance(value, tuple | list):
        for index, each in enumerate(value):
            yield from _references((*path, index), each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _references((*path, key), each)


def _unreadable(reference: SecretRef, base_dir: Path) -> str:
    if reference.scheme == "env":
        if os.environ.get(reference.name):
            return ""
        return f"the environment variable {reference.name} is not set"
    path = base_dir / reference.name
    return "" if path.is_file() and os.access(path, os.R_OK) else f"{path} cannot be read"
