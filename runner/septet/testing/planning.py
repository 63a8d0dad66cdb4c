"""The plan of a step, as it would be made for a live run.

The orders of a live run are filled elsewhere, so its text differs from that of a backtest. A step
that no live plan can be made with would otherwise be refused at a live start, and not before.
Before a step may run, its plan is made and nothing is compiled, which takes seconds; the kit
compiles the steps of a package in as few plans as hold them.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from septet._host.declare import Step
from septet._host.guarded_arrays import StepError
from septet._plan.binding import UNITS
from septet.testing.bars import HOUR_NS
from septet.testing.evaluate import Resolve, resolve
from septet_schemas.base import Config
from septet_schemas.blocks import UseBlock

if TYPE_CHECKING:
    from septet._plan.run_terms import Terms

__all__ = ["compile_steps", "plan_step", "undefined_names"]

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
        terms = _terms([(step, config)], shape, bar_ns)
        try:
            made = assemble(terms, lambda use, owner: (resolve(use), owner), venue_fills=True)
            module = plain_module(f"plan_of_{NAME}", made.text, made.flavour)
        except (SeptetError, ImportError, SyntaxError) as error:
            raise StepError(f"no live plan can be made with it: {error}") from error
        missing = sorted(undefined_names(module))
        if missing:
            names = ", ".join(missing)
            raise StepError(f"the live plan made with it reads {names}, which nothing defines")


def compile_steps(
    steps: Sequence[tuple[Step, Config]], *, bar_ns: int = HOUR_NS, resolve: Resolve = resolve
) -> int:
    """Compile live plans that have every one of the steps in them; return how many plans.

    Raises
    ------
    PluginError
        If a step cannot be compiled where a live plan calls it, with its plugin and its line.
    """
    from septet._plan.plan import make_plan

    units = set[str]()
    for unit, group in _groups([each for each in steps if each[0].compiled]):
        terms = _terms(group, SHAPES[1], bar_ns)
        plan = make_plan(terms, lambda use, owner: (resolve(use), owner), venue_fills=True)
        compiled = next(each for each in UNITS if each.name == unit)
        units.add(plan.units.of(compiled).name)
        plan.units.of(compiled).module  # noqa: B018 - it is compiled now
    return len(units)


def _groups(
    steps: Sequence[tuple[Step, Config]],
) -> Iterator[tuple[str, list[tuple[Step, Config]]]]:
    """Yield which unit of a plan is compiled, and the steps that one plan holds.

    Features go together, and so do rules of which a strategy may have several; a signal, a regime,
    a sizing and an order stand alone of their kind.
    """
    of = {kind: [each for each in steps if each[0].kind == kind] for kind in _LAYERS}
    features = [*of["feature"], *of["across"]]
    if features:
        yield "features", features
    yield from (("features", [each]) for each in of["regime"])
    yield from (("signal", [each]) for each in of["signal"])
    several = [*of["limit"], *of["stop"], *of["halt"]]
    single = list(zip_longest(of["sizing"], of["order"])) or ([(None, None)] if several else [])
    for number, pair in enumerate(single):
        more = several if number == 0 else []
        yield "trading", [*more, *(each for each in pair if each is not None)]


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
    from septet._config.find_plugins import HostResolver
    from septet._host.plugin_registry import Host
    from septet._plan.run_terms import terms_of
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


def _terms(steps: Sequence[tuple[Step, Config]], shape: Shape, bar_ns: int) -> Terms:
    """Return the terms of a small strategy that has the steps in their places.

    Of a kind of which a strategy has one, the last is in it.
    """
    terms = structs.replace(_least(shape.spot), bar_ns=bar_ns, symbols=shape.symbols)
    least = terms
    for number, (step, config) in enumerate(steps):
        name = f"{NAME}_{number}" if number else NAME
        more = {"trade_in": step.reasons[:1]} if step.kind == "regime" else {}
        if step.kind == "halt":
            more = dict(next(iter(least.halts.values())).extra)
        block = UseBlock(name, _LAYERS[step.kind], step.kind, config, step, NAME, more)
        columns, symbols = _columns_read(config, least.features["close_before"])
        terms = structs.replace(
            terms,
            symbols=tuple(dict.fromkeys((*terms.symbols, *symbols))),
            features={**terms.features, **columns},
            has_model=terms.has_model or bool(set(_MODEL_WORDS) & set(step.parameters)),
        )
        terms = _with(terms, name, step, block, least)
    return terms


def _with(terms: Terms, name: str, step: Step, block: UseBlock, least: Terms) -> Terms:
    """Return terms with a block in the place of its kind; what `least` has there is left out."""
    if step.kind in ("feature", "across"):
        return structs.replace(terms, features={**terms.features, name: block})
    if step.kind == "signal":
        return structs.replace(terms, signal=replace(block, extra=terms.signal.extra))
    if step.kind == "regime":
        extra = {**terms.signal.extra, "regime": block}
        return structs.replace(terms, signal=replace(terms.signal, extra=extra))
    change: dict[str, Any] = {step.kind: block}
    if step.kind not in ("sizing", "order"):
        place = f"{step.kind}s"
        before: Mapping[str, UseBlock] = getattr(terms, place)
        kept = {} if before is getattr(least, place) else before
        change = {place: {**kept, name: block}}
    return structs.replace(terms, **change)


def _columns_read(config: Config, block: UseBlock) -> tuple[dict[str, UseBlock], list[str]]:
    """Return a feature for each column that settings read, and the symbols of their bar columns."""
    from septet._config.check_context import readings
    from septet._expressions import names_in, parse_expression
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
