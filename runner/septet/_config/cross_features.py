"""Cross-checks of features: the columns they read, their order, and their look-back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from septet._config.check_context import (
    CheckContext,
    Reading,
    asks_for,
    blocks_of,
    portfolio_readings,
    readings,
)
from septet._config.pydantic_problems import closest
from septet._config.tree import Node, Path
from septet._expressions import ExpressionError, Name, names_in, parse_expression
from septet._host.declare import Step
from septet_schemas.base import Config
from septet_schemas.blocks import UseBlock
from septet_schemas.position import POSITION_WORDS
from septet_schemas.units import format_duration

__all__ = ["BAR_COLUMNS", "CHECKS", "LAST", "expression_problem", "output_columns"]

BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")
TIME_COLUMNS: Final = ("slot", "session", "week", "seconds", "local_day", "local_seconds")


def output_columns(name: str, block: UseBlock) -> tuple[str, ...]:
    """Return the columns of a feature: its name, or its name with each output's suffix."""
    declaration = block.declaration
    suffixes = declaration.output_names(block.config) if isinstance(declaration, Step) else ()
    return tuple(f"{name}_{suffix}" if suffix else name for suffix in suffixes) or (name,)


class _Names(msgspec.Struct):
    """Every column that a name may mean, and the feature that provides it."""

    owner: dict[str, str] = msgspec.field(default_factory=dict)
    series: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()

    def is_doubtful(self, text: str) -> bool:
        """Return whether a name may be of a feature, or a series, that was left out as invalid."""
        return text in self.doubtful or text.startswith(tuple(f"{each}_" for each in self.doubtful))


def _names(context: CheckContext) -> _Names:
    """Collect the columns of all features; a plugin that fails to answer is reported once."""
    names = _Names(series=tuple(context.strategy.data.readable))
    pruned = {
        str(path[1])
        for path in context.pruned
        if path[:1] in (("features",), ("data",)) and (len(path) > 1)
    }
    names.doubtful = tuple(sorted(pruned))
    for name, block in context.strategy.features.items():
        for column in _columns(context, name, block):
            first = names.owner.setdefault(column, name)
            if first != name:
                message = f"the column {column} is given by {first} already"
                context.error(
                    ("features", name), message, on_key=True, hint="rename one of the two"
                )
    return names


def _columns(context: CheckContext, name: str, block: UseBlock) -> tuple[str, ...]:
    try:
        return output_columns(name, block)
    except Exception as error:  # a third-party function may raise anything
        _plugin_failed(context, ("features", name), block, error)
        return (name,)


def _plugin_failed(context: CheckContext, path: Path, block: UseBlock, error: Exception) -> None:
    context.error(
        path,
        f"{block.use} of {block.distribution} failed on these settings: "
        f"{type(error).__name__}: {error}",
        hint=f"report this to {block.distribution}",
    )


def check_reads(context: CheckContext) -> None:
    """Every name read exists, and no feature reads itself in a circle."""
    names = _names(context)
    edges: dict[str, dict[str, Path]] = {name: {} for name in context.strategy.features}
    used: set[str] = set()
    position = context.strategy.risk.position
    read_by: list[tuple[Path, Config, str]] = [
        (path, block.config, block.use) for path, block in blocks_of(context.strategy)
    ]
    if position is not None:
        read_by.append((("risk", "position"), position, ""))
    for path, config, use in read_by:
        reader = str(path[1]) if path[0] == "features" else ""
        for path_read, name in _names_read(context, path, config):
            feature = _resolve(context, names, path_read, name, reader, use)
            if feature and reader:
                edges[reader].setdefault(feature, path_read)
            used.add(feature)
    used |= _read_by_portfolio(context, names)
    _report_circles(context, edges)
    _report_model_inputs(context, names)
    context.used_features = frozenset(used)


def _read_by_portfolio(context: CheckContext, names: _Names) -> set[str]:
    """Return the features that a portfolio reads, and report names that are not features."""
    features = set()
    for reading in portfolio_readings(context.strategy):
        for path, name in _names_of(context, reading):
            is_edge = name.name == "edge" and not reading.is_expression
            if not is_edge or context.strategy.model is None:
                features.add(_resolve(context, names, path, name, "", "portfolio"))
    return features


def _names_read(context: CheckContext, path: Path, config: Config) -> Iterator[tuple[Path, Name]]:
    for reading in readings(path, config):
        yield from _names_of(context, reading)


def _names_of(context: CheckContext, reading: Reading) -> Iterator[tuple[Path, Name]]:
    if reading.is_expression:
        yield from ((reading.path, name) for name in _expression_names(context, reading))
    else:
        column, _, symbol = reading.text.partition("@")
        yield reading.path, Name(column, symbol.strip("'"), -1)


def _expression_names(context: CheckContext, reading: Reading) -> tuple[Name, ...]:
    last = str(reading.path[-1])
    condition = last.endswith("_if") or last == "when" or "where" in reading.path
    try:
        return names_in(parse_expression(reading.text, "condition" if condition else None))
    except ExpressionError as error:
        hint = _as_feature(context, error) or error.hint
        expression_problem(context, reading.path, error.offset, error.message, hint)
        return ()


def _as_feature(context: CheckContext, error: ExpressionError) -> str:
    """Return how to write a feature that was called like a function; empty if it is none."""
    name = error.message.removeprefix("unknown function ").strip("'")
    if name == error.message or name not in context.host.names("features", "feature"):
        return ""
    return f"define it as a feature and name it here: features: {{my_{name}: {{use: {name}}}}}"


def expression_problem(
    context: CheckContext,
    path: Path,
    offset: int,
    message: str,
    hint: str,
    *,
    severity: str = "error",
) -> None:
    """Report at the character of the expression, if the file contains it unchanged."""
    node = context.tree.at(path)
    if node is not None and node.flawed:  # reported when the file was read
        return
    count = len(context.problems)
    text = node.text if node is not None else ""
    found = " ".join(text[max(offset, 0) : max(offset, 0) + 40].split())
    report = context.error if severity == "error" else context.warn
    report(path, message, found=f"'{found}'" if found else "", hint=hint)
    if node is not None and offset >= 0 and len(context.problems) > count:
        context.problems[count] = _shifted(context, node, offset, count)


def _shifted(context: CheckContext, node: Node, offset: int, index: int) -> Any:
    from dataclasses import replace

    problem = context.problems[index]
    exact = problem.line and node.verbatim
    lead = 1 if node.style in ("'", '"') else 0
    return replace(problem, column=problem.column + lead + offset) if exact else problem


def _resolve(
    context: CheckContext, names: _Names, path: Path, name: Name, reader: str, use: str
) -> str:
    """Return the feature that provides a name; empty for a bar column or a series."""
    symbols = list(context.strategy.universe.symbols)
    is_known_symbol = name.symbol in symbols or context.doubtful("universe")
    if name.symbol and not is_known_symbol:
        message = f"{name.symbol} is not in universe.symbols"
        expression_problem(context, path, name.offset, message, closest(name.symbol, symbols, 0.8))
    if name.name in POSITION_WORDS:
        _check_word_of_position(context, path, name)
        return ""
    if name.name in (*BAR_COLUMNS, *TIME_COLUMNS) or names.is_doubtful(name.name):
        return ""
    if (
        reader
        and name.name in names.series
        and (name.name == reader or name.name not in names.owner)
    ):
        return ""
    if name.name in names.owner:
        return names.owner[name.name]
    _unknown_name(context, names, path, name, use)
    return ""


def _knows_position(path: Path) -> bool:
    return path[0] == "signal" or path[:2] in (("risk", "position"), ("portfolio", "exit_if"))


def _check_word_of_position(context: CheckContext, path: Path, name: Name) -> None:
    """Words of the position are used only by rules about that position, of its own symbol."""
    if _knows_position(path):
        if name.symbol:
            message = f"{name.name} is of the symbol that the rule decides about"
            expression_problem(context, path, name.offset, message, f"write {name.name} alone")
        return
    message = f"{name.name} is a word of the position, which this does not know"
    hint = "rules of signal, risk.position and portfolio.exit_if read it, nothing else"
    expression_problem(context, path, name.offset, message, hint)


def _unknown_name(context: CheckContext, names: _Names, path: Path, name: Name, use: str) -> None:
    names_known = [*names.owner, *BAR_COLUMNS]
    if _knows_position(path):
        names_known += POSITION_WORDS
    outputs = [column for column, owner in names.owner.items() if owner == name.name]
    if outputs:
        hint = f"{name.name} gives {', '.join(outputs[:8])}: name one of them"
    elif name.name in names.series:
        hint = f"make a feature of the series: {name.name}: {{use: series, of: {name.name}}}"
    else:
        hint = closest(name.name, names_known)
    if use == "series":
        hint = closest(name.name, list(names.series)) or "declare the series under data"
    message = f"{name.name!r} is neither a feature nor a column"
    expression_problem(context, path, name.offset, message, hint)


def _report_circles(context: CheckContext, edges: Mapping[str, Mapping[str, Path]]) -> None:
    visited: set[str] = set()
    for start in edges:
        trail = _circle(edges, start, [], visited)
        if trail:
            last = edges[trail[-2]][trail[-1]]
            context.error(
                last,
                f"the feature {trail[0]} reads itself in a circle",
                found=" -> ".join(trail),
                hint="break the circle: one of these must read a column instead",
            )


def _circle(
    edges: Mapping[str, Mapping[str, Path]], at: str, trail: list[str], visited: set[str]
) -> list[str]:
    """Return the first cycle reachable from a feature, as closed names; empty without one."""
    if at in trail:
        return [*trail[trail.index(at) :], at]
    if at in visited:
        return []
    for read in edges.get(at, {}):
        circle = _circle(edges, read, [*trail, at], visited)
        if circle:
            visited.update(circle)
            return circle
    visited.add(at)
    return []


def _report_model_inputs(context: CheckContext, names: _Names) -> None:
    model = context.strategy.model
    if model is None:
        return
    for index, text in enumerate(model.extra.get("inputs") or ()):
        if text not in names.owner and not names.is_doubtful(text):
            context.error(
                ("model", "inputs", index),
                f"{text!r} is not the output of a feature",
                hint=closest(text, list(names.owner)),
            )


def check_unused(context: CheckContext) -> None:
    """Report which features nothing reads; a model reads all, unless it lists its inputs."""
    model, used = context.strategy.model, context.used_features
    if any(node.flawed for _, node in context.tree.walk()):
        return  # an unreadable rule may name it
    if context.has_errors or (model is not None and not model.extra.get("inputs")):
        return
    listed = set(model.extra.get("inputs") or ()) if model is not None else set()
    for name, block in context.strategy.features.items():
        if name not in used and not listed & set(output_columns(name, block)):
            context.warn(("features", name), "nothing reads this feature", on_key=True)


def check_series_read(context: CheckContext) -> None:
    """A series that nothing reads is fetched for nothing."""
    if context.has_errors:
        return
    names_read = {
        str(getattr(block.config, "of", "")).partition("@")[0]
        for block in context.strategy.features.values()
    }
    hours = context.strategy.universe.trading_hours
    if hours is not None and hours.blackout is not None:
        names_read.add(hours.blackout.series)
    for name in context.strategy.data.series:
        if name not in names_read:
            context.warn(
                ("data", name),
                "no feature reads this series",
                on_key=True,
                hint=f"e.g. features: {{{name}: {{use: series, of: {name}}}}}",
            )


def check_feature_bars(context: CheckContext) -> None:
    """A feature's own bar is a whole multiple of the universe's."""
    for name, block in context.strategy.features.items():
        if block.bar_ns is None:
            continue
        base = format_duration(context.bar_ns)
        if block.bar_ns < context.bar_ns or block.bar_ns % context.bar_ns:
            context.error(
                ("features", name, "bar"),
                "higher time frames are built from the universe's bars",
                expected=f"a multiple of {base}, such as {format_duration(context.bar_ns * 4)}",
                found=format_duration(block.bar_ns),
            )


def check_missing(context: CheckContext) -> None:
    """A feature over an optional series declares what to use when the series has no value."""
    for name, block in context.strategy.features.items():
        source = str(getattr(block.config, "of", "")).partition("@")[0]
        series = context.strategy.data.series.get(source)
        if series is None or not series.extra.get("optional"):
            continue
        if "missing" in type(block.config).model_fields and (
            getattr(block.config, "missing", None) is None
        ):
            context.error(
                ("features", name, "missing"),
                f"the series {source} is optional, and this feature does not state what to use "
                "without it",
                expected="missing: a number that stands for no value, such as 0",
            )


def check_memory(context: CheckContext) -> None:
    """Nothing that never forgets feeds a model or a rule."""
    if context.strategy.model is None and not _reads_features(context):
        return
    for name, block in context.strategy.features.items():
        declaration = block.declaration
        if not isinstance(declaration, Step):
            continue
        try:
            forgets = declaration.memory_of(block.config).kind != "unbounded"
            forgets = forgets and not _inner_unbounded(
                context, declaration, block.config, block.distribution
            )
        except Exception as error:  # a stranger's function may raise anything
            _plugin_failed(context, ("features", name), block, error)
            continue
        if not forgets:
            fields = [f for f in ("anchor", "window") if f in type(block.config).model_fields]
            context.error(
                ("features", name),
                f"{block.use} never forgets: its value depends on where history began",
                on_key=True,
                expected=" or ".join(f"{each}:" for each in fields) or "a feature that forgets",
                hint="e.g. anchor: day, so that it restarts every day"
                if "anchor" in fields
                else "",
            )


def _inner_unbounded(context: CheckContext, declaration: Step, config: Config, owner: str) -> bool:
    """Return whether a feature contains one that never forgets; its package's names come first."""
    for part in (declaration.inner(config) if declaration.inner else {}).values():
        entry = context.host.inner(part.use, owner)
        inner = context.host.load(entry)
        settings = inner.config(**{key: _plain(value) for key, value in part.config.items()})
        if inner.memory_of(settings).kind == "unbounded":
            return True
        if _inner_unbounded(context, inner, settings, entry.distribution):
            return True
    return False


def _plain(value: object) -> object:
    """Treat an input that names a sibling (`@name`) as a column."""
    return value.lstrip("@") if isinstance(value, str) else value


def _reads_features(context: CheckContext) -> bool:
    if any(True for _ in portfolio_readings(context.strategy)):
        return True
    return any(True for _ in readings(("signal",), context.strategy.signal.config))


def check_rules(context: CheckContext) -> None:
    """Rules have an entry, and a spot account has no short one."""
    config = context.strategy.signal.config
    fields = type(config).model_fields
    if "long_if" not in fields or not context.strategy.follows_signal:
        return
    short = getattr(config, "short_if", None)
    if getattr(config, "long_if", None) is None and short is None:
        context.error(
            ("signal", "long_if"), "no rule ever enters", hint="write e.g. long_if: a > b"
        )
    if short is not None and context.is_spot:
        context.error(
            ("signal", "short_if"),
            "a spot account cannot go short",
            on_key=True,
            hint="remove it, or trade account: {type: perpetual}",
        )


def check_signal_needs(context: CheckContext) -> None:
    """A signal that reads the probability of a model has a model, and a model has a signal."""
    needs_model = asks_for(context.strategy.signal, "up", "down", "confidence")
    if needs_model and context.strategy.model is None and not context.doubtful("model"):
        context.error(
            ("signal", "use"),
            f"{context.strategy.signal.use} acts on a model's probability, and there is no model",
            hint="add a model: block, or use: rules",
        )


LAST: Final[tuple[Callable[[CheckContext], None], ...]] = (check_series_read, check_unused)
"""Checks that run only for a file without errors."""

CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_reads,
    check_feature_bars,
    check_missing,
    check_memory,
    check_rules,
    check_signal_needs,
)
