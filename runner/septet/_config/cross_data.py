"""Cross-checks of sources, symbols, packages and secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from septet._config.case import Case, blocks_of, readings
from septet._config.check import closest
from septet._config.resolve import check_requirement, listed_in
from septet._config.secrets import HIDDEN, looks_secret, names_secret, secret_in_address
from septet._config.tree import Path
from septet._host.register import BUILT_IN
from septet_schemas.base import SecretRef
from septet_schemas.blocks import UseBlock
from septet_schemas.strategy import Perpetual

__all__ = ["CHECKS"]


def check_packages(case: Case) -> None:
    """Required packages are installed."""
    for index, text in enumerate(case.strategy.plugins):
        message, expected, hint = check_requirement(text, case.host)
        if message:
            case.error(("plugins", index), message, expected=expected, hint=hint)


def check_names(case: Case) -> None:
    """Report whose plugin is meant where septet and a listed package both have the name."""
    listed = listed_in(list(case.strategy.plugins))
    for path, block in blocks_of(case.strategy):
        if block.distribution != BUILT_IN or ":" in _written_use(case, path):
            continue
        layer: Any = block.layer
        others = [
            each
            for each in case.host.hidden_by(layer, block.use, block.kind, listed)
            if each != BUILT_IN
        ]
        if others:
            case.warn(
                path,
                f"{block.use} means septet's; {' and '.join(others)} "
                f"{'has' if len(others) == 1 else 'have'} one of this name, too",
                hint=f"write use: septet:{block.use} or use: {others[0]}:{block.use}",
            )


def _written_use(case: Case, path: Path) -> str:
    node = case.tree.at((*path, "use"))
    return str(node.value) if node is not None else ""


def check_known_time(case: Case) -> None:
    """A series has the time when its values became known, itself or through `known_after`."""
    read = {
        word
        for name, block in case.strategy.features.items()
        for reading in readings(("features", name), block.config)
        for word in re.findall(r"\w+", reading.text)
    }
    for name, block in case.strategy.data.readable.items():
        if name == "funding" and name not in read:
            continue  # a rate that is charged is due at its stamp
        gives = getattr(block.config, "gives_known_time", False)
        if block.extra.get("known_after") is None and not gives:
            case.error(
                ("data", name, "known_after"),
                "nothing says when a value of this series became known",
                expected="known_after: how long after its stamp, such as 24h",
                hint=f"{block.use} gives no publication time; without one every value would be "
                "seen before it was published",
            )


def check_required_keys(case: Case) -> None:
    """Keys that a source has no safe default for are in the file."""
    for path, block in blocks_of(case.strategy):
        for key in type(block.config).required_keys:
            if not case.written(*path, key):
                case.error(
                    (*path, key),
                    f"{block.use} must say {key}",
                    hint="write stamp: open or stamp: close, whichever the file's times mark"
                    if key == "stamp"
                    else f"write {key}: ... in this block",
                )


def check_currencies(case: Case) -> None:
    """All symbols are priced in the account's currency."""
    account = case.strategy.account
    quotes = {
        symbol.partition("/")[2].partition(":")[0] for symbol in case.strategy.universe.symbols
    }
    hint = "one account has one currency: trade this symbol in a strategy of its own"
    if len(quotes) == 1:
        hint = f"write account: {{currency: {next(iter(quotes))}}}"
    for index, symbol in enumerate(case.strategy.universe.symbols):
        _, slash, tail = symbol.partition("/")
        quote = tail.partition(":")[0]
        if slash and quote != account.currency:
            case.error(
                ("universe", "symbols", index),
                f"{symbol} is priced in {quote}, the account is in {account.currency}",
                hint=hint,
            )


def check_benchmark(case: Case) -> None:
    """The benchmark is a symbol whose bars the run reads."""
    name, symbols = case.strategy.benchmark, case.strategy.universe.symbols
    if name is not None and name not in symbols:
        case.error(
            ("benchmark",),
            f"{name} is not in the universe, and its bars are not read",
            expected=f"one of {', '.join(symbols[:5])}{', ...' if len(symbols) > 5 else ''}",
            found=name,
            hint="name a symbol of the universe; without the key all of them are held equally",
        )


def check_instruments(case: Case) -> None:
    """Instruments belong to symbols of the universe."""
    symbols = list(case.strategy.universe.symbols)
    for name in case.strategy.execution.instruments:
        if name not in symbols and not case.doubtful("universe"):
            case.error(
                ("execution", "instruments", name),
                f"{name} is not in universe.symbols",
                on_key=True,
                hint=closest(name, symbols, 0.8),
            )


def check_funding(case: Case) -> None:
    """Perpetuals pay funding; spot does not."""
    paid = case.strategy.data.funding is not None or case.strategy.perpetual.funding is not None
    doubtful = case.doubtful("data", "funding") or case.doubtful("perpetual", "funding")
    if case.is_perpetual and not paid and not doubtful:
        case.error(
            ("account", "type"),
            "a perpetual account needs its funding",
            expected="data.funding (a series), or a constant under perpetual.funding",
            hint="e.g. perpetual: {funding: {rate: 1bps, every: 8h}}",
        )
    funding = case.strategy.data.funding
    if case.is_perpetual and funding is not None and funding.extra.get("optional"):
        case.error(
            ("data", "funding", "optional"),
            "a perpetual account never goes without its funding",
            found="true",
            hint="leave this key out; a constant stands under perpetual.funding",
        )
    if case.strategy.data.funding is not None and case.strategy.perpetual.funding is not None:
        case.error(
            ("perpetual", "funding"),
            "funding is given twice: a series of rates, and a constant",
            on_key=True,
            expected="data.funding or perpetual.funding",
            hint="leave this one out: the series says what was paid",
        )
    if case.is_spot:
        idle = "this has no effect on a spot account"
        if case.strategy.data.funding is not None:
            case.warn(("data", "funding"), idle, on_key=True)
        if case.strategy.perpetual != Perpetual():
            case.warn(("perpetual",), idle, on_key=True)
    _check_own_funding(case)


def _check_own_funding(case: Case) -> None:
    """Warn of one series of rates for several perpetuals, each of which has rates of its own."""
    funding, symbols = case.strategy.data.funding, case.strategy.universe.symbols
    path = getattr(getattr(funding, "config", None), "path", "")
    if not case.is_perpetual or funding is None or len(symbols) < 2 or "{symbol}" in str(path):
        return
    case.warn(
        ("data", "funding", "path") if path else ("data", "funding"),
        f"one series of funding serves {len(symbols)} symbols; every perpetual has its own rates",
        hint="a path with {symbol} reads a file for each symbol, such as funding/{symbol}.csv",
    )


def check_secrets(case: Case) -> None:
    """No secret is written in the file."""
    typed = {
        path for path, block in blocks_of(case.strategy) for path in _secret_paths(path, block)
    }
    for path, node in case.tree.walk():
        if node.kind != "scalar" or not isinstance(node.value, str) or path in typed:
            continue
        if path[0] not in ("data", "model", "execution", "monitoring", "paper", "live"):
            continue
        where = secret_in_address(node.value)
        if where:
            case.error(
                path,
                f"a secret must not stand in an address, and {where} of this one is a secret",
                expected="an address without it",
                found=HIDDEN,
                hint="http_json takes query: {NAME: env:NAME} and headers: {NAME: env:NAME}; "
                "change the secret: files are copied and shared",
            )
            continue
        named = names_secret(path[-1]) and not node.value.startswith(("env:", "file:"))
        if named or looks_secret(node.value):
            case.error(
                path,
                "a secret must not stand in the file",
                expected="env:NAME or file:/path",
                found=HIDDEN,
                hint="move it to the environment, and change it: files are copied and shared",
            )


def _secret_paths(path: Path, block: UseBlock) -> list[Path]:
    config = block.config
    return [
        (*path, name)
        for name in type(config).model_fields
        if isinstance(getattr(config, name), SecretRef)
    ]


CHECKS: Final[tuple[Callable[[Case], None], ...]] = (
    check_packages,
    check_names,
    check_known_time,
    check_required_keys,
    check_currencies,
    check_benchmark,
    check_instruments,
    check_funding,
    check_secrets,
)
