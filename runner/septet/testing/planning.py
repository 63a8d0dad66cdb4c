"""The plan of a step, as it would be made for a live run; nothing is compiled.

The orders of a live run are filled elsewhere, so its text differs from that of a backtest. A step
that no live plan can be made with would otherwise be refused at a live start, and not before.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from septet._host.declare import Step
from septet._host.guards import StepError
from septet.testing.bars import HOUR_NS
from septet.testing.evaluate import Resolve, resolve
from septet_schemas.base import Config
from septet_schemas.blocks import UseBlock

if TYPE_CHECKING:
    from septet._plan.terms import Terms

__all__ = ["plan_step", "undefined_names"]

NAME: Final = "tried"
SYMBOLS: Final = ("S0/USDT", "S1/USDT")
_MODEL_WORDS: Final = ("up", "down", "confidence")
_LAYERS: Final[Mapping[str, str]] = {
    "feature": "features", "across": "features", "regime": "signals", "signal": "signals",
    "sizing": "risk", "limit": "risk", "stop": "risk", "halt": "risk", "order": "execution",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a strategy decides which text its steps are written into."""

    symbols: tuple[str, ...]
    spot: bool


SHAPES: Final = (Shape(SYMBOLS[:1], spot=True), Shape(SYMBOLS, spot=False))


def plan_step(
    step: Step, config: Config, *, bar_ns: int = HOUR_NS, resolve: Resolve = resolve
) -> None:
    """Make the live plans of small strategies with one step in them.

    Raises
    ------
    StepError
        If a plan cannot be made, its text cannot be imported, or it reads an undefined name.
    """
    from septet._plan.assemble import assemble
    from septet._plan.plain import plain_module
    from septet.errors import SeptetError

    is_rule = step.kind not in ("feature", "regime")
    for shape in SHAPES if is_rule else SHAPES[:1]:
        terms = _terms(step, config, shape, bar_ns)
        try:
            made = assemble(terms, lambda use, owner: (resolve(use), owner), external=True)
            module = plain_module(f"plan_of_{NAME}", made.text, made.flavour)
        except (SeptetError, ImportError, SyntaxError) as error:
            raise StepError(f"no live plan can be made with it: {error}") from error
        missing = sorted(undefined_names(module))
        if missing:
            names = ", ".join(missing)
            raise StepError(f"the live plan made with it reads {names}, which nothing defines")


def undefined_names(module: ModuleType) -> set[str]:
    """Return the global names that functions of a plan's text read and nothing defines."""
    known = {*vars(module), *vars(builtins)}
    functions = (each for each in vars(module).values() if isinstance(each, FunctionType))
    here = (each for each in functions if each.__code__.co_filename == f"<{module.__name__}>")
    return {name for each in here for name in _globals_of(each.__code__, known)} - known


def _globals_of(code: CodeType, known: Collection[str]) -> Iterator[str]:
    """Yield global names that code reads, those it may read beside `known` among them."""
    if not all(name in known for name in code.co_names):  # attributes stand there as well
        for each in dis.get_instructions(code):
            if "GLOBAL" in each.opname:
                yield str(each.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant, known)


@cache
def _least(spot: bool) -> Terms:
    """Return the terms of a strategy of septet's own plugins and defaults."""
    from septet._config.resolve import HostResolver
    from septet._host.register import Host
    from septet._plan.terms import terms_of
    from septet_schemas.strategy import Strategy

    document = {
        "version": 1,
        "name": NAME,
        "account": {"type": "spot" if spot else "perpetual"},
        "universe": {"symbols": list(SYMBOLS), "bar": "1h"},
        "data": {"candles": {"use": "synthetic"}},
        "features": {"close_before": {"use": "sma", "period": 2}},
        "signal": {"use": "rules", "long_if": "close > 0", "exit_if": "close < 0"},
        "risk": {
            "sizing": {"use": "fixed_fraction", "fraction": "10%"},
            "halts": {"drawdown": {"above": "10%"}},
        },
    }
    return terms_of(Strategy.model_validate(document, context={"resolver": HostResolver(Host())}))


def _terms(step: Step, config: Config, shape: Shape, bar_ns: int) -> Terms:
    """Return the terms of a small strategy that has the step in its place."""
    least = _least(shape.spot)
    more = {"trade_in": step.reasons[:1]} if step.kind == "regime" else {}
    if step.kind == "halt":
        more = dict(next(iter(least.halts.values())).extra)
    block = UseBlock(NAME, _LAYERS[step.kind], step.kind, config, step, NAME, more)
    features, symbols = _columns_read(config, least.features["close_before"])
    least = replace(
        least, bar_ns=bar_ns, symbols=tuple(dict.fromkeys((*shape.symbols, *symbols))),
        features=features, has_model=bool(set(_MODEL_WORDS) & set(step.parameters)),
    )  # fmt: skip
    if step.kind in ("feature", "across"):
        return replace(least, features={**features, NAME: block})
    if step.kind == "signal":
        return replace(least, signal=replace(block, extra=least.signal.extra))
    if step.kind == "regime":
        extra = {**least.signal.extra, "regime": block}
        return replace(least, signal=replace(least.signal, extra=extra))
    single = step.kind in ("sizing", "order")
    place: dict[str, Any] = {step.kind: block} if single else {f"{step.kind}s": {NAME: block}}
    return replace(least, **place)


def _columns_read(config: Config, block: UseBlock) -> tuple[dict[str, UseBlock], list[str]]:
    """Return a feature for each column that settings read, and the symbols of their bar columns."""
    from septet._config.case import readings
    from septet._config.expressions import names_in, parse_expression
    from septet._plan.graph import BAR_COLUMNS, TIME_COLUMNS

    features, symbols = dict[str, UseBlock](), list[str]()
    for reading in readings((), config):
        parsed = names_in(parse_expression(reading.text)) if reading.is_expression else ()
        for name in map(str, parsed) if reading.is_expression else (reading.text,):
            _, at, symbol = name.partition("@")
            if at:
                symbols.append(symbol)
            elif name not in BAR_COLUMNS + TIME_COLUMNS:
                features[name] = block
    return features, symbols
