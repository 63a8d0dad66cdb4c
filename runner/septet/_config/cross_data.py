"""Cross-checks of sources, symbols, packages and secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from septet._config.check_context import CheckContext, blocks_of, readings
from septet._config.find_plugins import check_requirement, listed_in
from septet._config.pydantic_problems import closest
from septet._config.secrets import HIDDEN, looks_secret, names_secret, secret_in_address
from septet._config.tree import Path
from septet._host.plugin_registry import BUILT_IN
from septet_schemas.base import SecretRef
from septet_schemas.blocks import UseBlock
from septet_schemas.strategy import Perpetual

__all__ = ["CHECKS"]


def check_packages(context: CheckContext) -> None:
    """Required packages are installed."""
    for index, text in enumerate(context.strategy.plugins):
        message, expected, hint = check_requirement(text, context.host)
        if message:
            context.error(("plugins", index), message, expected=expected, hint=hint)


def check_names(context: CheckContext) -> None:
    """Report which plugin is meant if septet and a listed package both have the name."""
    listed = listed_in(list(context.strategy.plugins))
    for path, block in blocks_of(context.strategy):
        if block.distribution != BUILT_IN or ":" in _written_use(context, path):
            continue
        layer: Any = block.layer
        packages = [
            each
            for each in context.host.hidden_by(layer, block.use, block.kind, listed)
            if each != BUILT_IN
        ]
        if packages:
            context.warn(
                path,
                f"{block.use} means septet's; {' and '.join(packages)} "
                f"{'has' if len(packages) == 1 else 'have'} one of this name, too",
                hint=f"write use: septet:{block.use} or use: {packages[0]}:{block.use}",
            )


def _written_use(context: CheckContext, path: Path) -> str:
    node = context.tree.at((*path, "use"))
    return str(node.value) if node is not None else ""


def check_known_time(context: CheckContext) -> None:
    """A series has the time when its values became known, itself or through `known_after`."""
    columns_read = {
        word
        for name, block in context.strategy.features.items()
        for reading in readings(("features", name), block.config)
        for word in re.findall(r"\w+", reading.text)
    }
    for name, block in context.strategy.data.readable.items():
        if name == "funding" and name not in columns_read:
            continue  # a rate is charged at its stamp
        gives_known_time = getattr(block.config, "gives_known_time", False)
        if block.extra.get("known_after") is None and not gives_known_time:
            context.error(
                ("data", name, "known_after"),
                "nothing states when a value of this series became known",
                expected="known_after: how long after its stamp, such as 24h",
                hint=f"{block.use} gives no publication time; without one every value would be "
                "seen before it was published",
            )


def check_required_keys(context: CheckContext) -> None:
    """Keys without a safe default in their source are set in the file."""
    for path, block in blocks_of(context.strategy):
        for key in type(block.config).required_keys:
            if not context.written(*path, key):
                context.error(
                    (*path, key),
                    f"{block.use} must say {key}",
                    hint="write stamp: open or stamp: close, whichever the file's times mark"
                    if key == "stamp"
                    else f"write {key}: ... in this block",
                )


def check_currencies(context: CheckContext) -> None:
    """All symbols are priced in the account's currency."""
    account = context.strategy.account
    quotes = {
        symbol.partition("/")[2].partition(":")[0] for symbol in context.strategy.universe.symbols
    }
    hint = "one account has one currency: trade this symbol in a strategy of its own"
    if len(quotes) == 1:
        hint = f"write account: {{currency: {next(iter(quotes))}}}"
    for index, symbol in enumerate(context.strategy.universe.symbols):
        _, slash, tail = symbol.partition("/")
        quote = tail.partition(":")[0]
        if slash and quote != account.currency:
            context.error(
                ("universe", "symbols", index),
                f"{symbol} is priced in {quote}, the account is in {account.currency}",
                hint=hint,
            )


def check_benchmark(context: CheckContext) -> None:
    """The benchmark is a symbol whose bars the run reads."""
    name, symbols = context.strategy.benchmark, context.strategy.universe.symbols
    if name is not None and name not in symbols:
        context.error(
            ("benchmark",),
            f"{name} is not in the universe, and its bars are not read",
            expected=f"one of {', '.join(symbols[:5])}{', ...' if len(symbols) > 5 else ''}",
            found=name,
            hint="name a symbol of the universe; without the key all of them are held equally",
        )


def check_instruments(context: CheckContext) -> None:
    """Instruments belong to symbols of the universe."""
    symbols = list(context.strategy.universe.symbols)
    for name in context.strategy.execution.instruments:
        if name not in symbols and not context.doubtful("universe"):
            context.error(
                ("execution", "instruments", name),
                f"{name} is not in universe.symbols",
                on_key=True,
                hint=closest(name, symbols, 0.8),
            )


def check_funding(context: CheckContext) -> None:
    """Perpetuals pay funding; spot does not."""
    paid = (
        context.strategy.data.funding is not None or context.strategy.perpetual.funding is not None
    )
    doubtful = context.doubtful("data", "funding") or context.doubtful("perpetual", "funding")
    if context.is_perpetual and not paid and not doubtful:
        context.error(
            ("account", "type"),
            "a perpetual account needs its funding",
            expected="data.funding (a series), or a constant under perpetual.funding",
            hint="e.g. perpetual: {funding: {rate: 1bps, every: 8h}}",
        )
    funding = context.strategy.data.funding
    if context.is_perpetual and funding is not None and funding.extra.get("optional"):
        context.error(
            ("data", "funding", "optional"),
            "a perpetual account never goes without its funding",
            found="true",
            hint="leave this key out; a constant stands under perpetual.funding",
        )
    if context.strategy.data.funding is not None and context.strategy.perpetual.funding is not None:
        context.error(
            ("perpetual", "funding"),
            "funding is given twice: a series of rates, and a constant",
            on_key=True,
            expected="data.funding or perpetual.funding",
            hint="leave this one out: the series states what was paid",
        )
    if context.is_spot:
        idle = "this has no effect on a spot account"
        if context.strategy.data.funding is not None:
            context.warn(("data", "funding"), idle, on_key=True)
        if context.strategy.perpetual != Perpetual():
            context.warn(("perpetual",), idle, on_key=True)
    _check_own_funding(context)


def _check_own_funding(context: CheckContext) -> None:
    """Warn of one series of rates for several perpetuals, each of which has rates of its own."""
    funding, symbols = context.strategy.data.funding, context.strategy.universe.symbols
    path = getattr(getattr(funding, "config", None), "path", "")
    if not context.is_perpetual or funding is None or len(symbols) < 2 or "{symbol}" in str(path):
        return
    context.warn(
        ("data", "funding", "path") if path else ("data", "funding"),
        f"one series of funding serves {len(symbols)} symbols; every perpetual has its own rates",
        hint="a path with {symbol} reads a file for each symbol, such as funding/{symbol}.csv",
    )


def check_secrets(context: CheckContext) -> None:
    """No secret is written in the file."""
    typed = {
        path for path, block in blocks_of(context.strategy) for path in _secret_paths(path, block)
    }
    for path, node in context.tree.walk():
        if node.kind != "scalar" or not isinstance(node.value, str) or path in typed:
            continue
        if path[0] not in ("data", "model", "execution", "monitoring", "paper", "live"):
            continue
        part = secret_in_address(node.value)
        if part:
            context.error(
                path,
                f"a secret must not stand in an address, and {part} of this one is a secret",
                expected="an address without it",
                found=HIDDEN,
                hint="http_json takes query: {NAME: env:NAME} and headers: {NAME: env:NAME}; "
                "change the secret: files are copied and shared",
            )
            continue
        named = names_secret(path[-1]) and not node.value.startswith(("env:", "file:"))
        if named or looks_secret(node.value):
            context.error(
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


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
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
