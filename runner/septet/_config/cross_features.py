"""Cross-checks of names: who reads what, in which order, and how far back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from septet._config.case import (
    Case,
    Reading,
    asks_for,
    blocks_of,
    portfolio_readings,
    readings,
)
from septet._config.check import closest
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
    """Return the columns a feature gives: its name, or its name with each output's suffix."""
    declaration = block.declaration
    suffixes = declaration.output_names(block.config) if isinstance(declaration, Step) else ()
    return tuple(f"{name}_{suffix}" if suffix else name for suffix in suffixes) or (name,)


@dataclass
class _Names:
    """Every column a name may mean, and the feature it comes from."""

    owner: dict[str, str] = field(default_factory=dict)
    series: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()

    def is_doubtful(self, text: str) -> bool:
        """Whether it may be a column of a feature, or a series, that was left out as wrong."""
        return text in self.doubtful or text.startswith(tuple(f"{each}_" for each in self.doubtful))


def _names(case: Case) -> _Names:
    """Collect the columns of all features; a plugin that fails to answer is reported once."""
    names = _Names(series=tuple(case.strategy.data.readable))
    pruned = {
        str(path[1])
        for path in case.pruned
        if path[:1] in (("features",), ("data",)) and (len(path) > 1)
    }
    names.doubtful = tuple(sorted(pruned))
    for name, block in case.strategy.features.items():
        for column in _columns(case, name, block):
            first = names.owner.setdefault(column, name)
            if first != name:
                message = f"the column {column} is given by {first} already"
                case.error(("features", name), message, on_key=True, hint="rename one of the two")
    return names


def _columns(case: Case, name: str, block: UseBlock) -> tuple[str, ...]:
    try:
        return output_columns(name, block)
    except Exception as error:  # a stranger's function may raise anything
        _plugin_failed(case, ("features", name), block, error)
        return (name,)


def _plugin_failed(case: Case, path: Path, block: UseBlock, error: Exception) -> None:
    case.error(
        path,
        f"{block.use} of {block.distribution} failed on these settings: "
        f"{type(error).__name__}: {error}",
        hint=f"report this to {block.distribution}",
    )


def check_reads(case: Case) -> None:
    """Every name read exists, and no feature reads itself in a circle."""
    names = _names(case)
    edges: dict[str, dict[str, Path]] = {name: {} for name in case.strategy.features}
    used: set[str] = set()
    position = case.strategy.risk.position
    read_by: list[tuple[Path, Config, str]] = [
        (path, block.config, block.use) for path, block in blocks_of(case.strategy)
    ]
    if position is not None:
        read_by.append((("risk", "position"), position, ""))
    for path, config, use in read_by:
        reader = str(path[1]) if path[0] == "features" else ""
        for path_read, name in _names_read(case, path, config):
            found = _resolve(case, names, path_read, name, reader, use)
            if found and reader:
                edges[reader].setdefault(found, path_read)
            used.add(found)
    used |= _read_by_portfolio(case, names)
    _report_circles(case, edges)
    _report_model_inputs(case, names)
    case.used_features = frozenset(used)


def _read_by_portfolio(case: Case, names: _Names) -> set[str]:
    """Return the features that a portfolio reads, and report names that are none."""
    found = set()
    for reading in portfolio_readings(case.strategy):
        for path, name in _names_of(case, reading):
            is_edge = name.name == "edge" and not reading.is_expression
            if not is_edge or case.strategy.model is None:
                found.add(_resolve(case, names, path, name, "", "portfolio"))
    return found


def _names_read(case: Case, path: Path, config: Config) -> Iterator[tuple[Path, Name]]:
    for reading in readings(path, config):
        yield from _names_of(case, reading)


def _names_of(case: Case, reading: Reading) -> Iterator[tuple[Path, Name]]:
    if reading.is_expression:
        yield from ((reading.path, name) for name in _expression_names(case, reading))
    else:
        column, _, symbol = reading.text.partition("@")
        yield reading.path, Name(column, symbol.strip("'"), -1)


def _expression_names(case: Case, reading: Reading) -> tuple[Name, ...]:
    last = str(reading.path[-1])
    condition = last.endswith("_if") or last == "when" or "where" in reading.path
    try:
        return names_in(parse_expression(reading.text, "condition" if condition else None))
    except ExpressionError as error:
        hint = _as_feature(case, error) or error.hint
        expression_problem(case, reading.path, error.offset, error.message, hint)
        return ()


def _as_feature(case: Case, error: ExpressionError) -> str:
    """Return how to write what was called as a function and is a feature, or nothing."""
    name = error.message.removeprefix("unknown function ").strip("'")
    if name == error.message or name not in case.host.names("features", "feature"):
        return ""
    return f"define it as a feature and name it here: features: {{my_{name}: {{use: {name}}}}}"


def expression_problem(
    case: Case, path: Path, offset: int, message: str, hint: str, *, severity: str = "error"
) -> None:
    """Report at the character of the expression, where the file shows it as it is."""
    node = case.tree.at(path)
    if node is not None and node.flawed:  # reported when the file was read
        return
    before = len(case.problems)
    text = node.text if node is not None else ""
    found = " ".join(text[max(offset, 0) : max(offset, 0) + 40].split())
    report = case.error if severity == "error" else case.warn
    report(path, message, found=f"'{found}'" if found else "", hint=hint)
    if node is not None and offset >= 0 and len(case.problems) > before:
        case.problems[before] = _shifted(case, node, offset, before)


def _shifted(case: Case, node: Node, offset: int, index: int) -> Any:
    from dataclasses import replace

    problem = case.problems[index]
    exact = problem.line and node.verbatim
    lead = 1 if node.style in ("'", '"') else 0
    return replace(problem, column=problem.column + lead + offset) if exact else problem


def _resolve(case: Case, names: _Names, path: Path, name: Name, reader: str, use: str) -> str:
    """Return the feature a name belongs to, empty for a bar column or a series."""
    symbols = list(case.strategy.universe.symbols)
    known = name.symbol in symbols or case.doubtful("universe")
    if name.symbol and not known:
        message = f"{name.symbol} is not in universe.symbols"
        expression_problem(case, path, name.offset, message, closest(name.symbol, symbols, 0.8))
    if name.name in POSITION_WORDS:
        _check_word_of_position(case, path, name)
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
    _unknown_name(case, names, path, name, use)
    return ""


def _knows_position(path: Path) -> bool:
    return path[0] == "signal" or path[:2] in (("risk", "position"), ("portfolio", "exit_if"))


def _check_word_of_position(case: Case, path: Path, name: Name) -> None:
    """Words of the position are for rules that decide about it, of its own symbol."""
    if _knows_position(path):
        if name.symbol:
            message = f"{name.name} is of the symbol that the rule decides about"
            expression_problem(case, path, name.offset, message, f"write {name.name} alone")
        return
    message = f"{name.name} is a word of the position, which this does not know"
    hint = "rules of signal, risk.position and portfolio.exit_if read it, nothing else"
    expression_problem(case, path, name.offset, message, hint)


def _unknown_name(case: Case, names: _Names, path: Path, name: Name, use: str) -> None:
    known = [*names.owner, *BAR_COLUMNS]
    if _knows_position(path):
        known += POSITION_WORDS
    outputs = [column for column, owner in names.owner.items() if owner == name.name]
    if outputs:
        hint = f"{name.name} gives {', '.join(outputs[:8])}: name one of them"
    elif name.name in names.series:
        hint = f"make a feature of the series: {name.name}: {{use: series, of: {name.name}}}"
    else:
        hint = closest(name.name, known)
    if use == "series":
        hint = closest(name.name, list(names.series)) or "declare the series under data"
    message = f"{name.name!r} is neither a feature nor a column"
    expression_problem(case, path, name.offset, message, hint)


def _report_circles(case: Case, edges: Mapping[str, Mapping[str, Path]]) -> None:
    done: set[str] = set()
    for start in edges:
        trail = _circle(edges, start, [], done)
        if trail:
            last = edges[trail[-2]][trail[-1]]
            case.error(
                last,
                f"the feature {trail[0]} reads itself in a circle",
                found=" -> ".join(trail),
                hint="break the circle: one of these must read a column instead",
            )


def _circle(
    edges: Mapping[str, Mapping[str, Path]], at: str, trail: list[str], done: set[str]
) -> list[str]:
    """Return the first circle reachable from a feature, as names, closed; else nothing."""
    if at in trail:
        return [*trail[trail.index(at) :], at]
    if at in done:
        return []
    for below in edges.get(at, {}):
        found = _circle(edges, below, [*trail, at], done)
        if found:
            done.update(found)
            return found
    done.add(at)
    return []


def _report_model_inputs(case: Case, names: _Names) -> None:
    model = case.strategy.model
    if model is None:
        return
    for index, text in enumerate(model.extra.get("inputs") or ()):
        if text not in names.owner and not names.is_doubtful(text):
            case.error(
                ("model", "inputs", index),
                f"{text!r} is not the output of a feature",
                hint=closest(text, list(names.owner)),
            )


def check_unused(case: Case) -> None:
    """Report which features nothing reads; a model reads all, unless it lists its inputs."""
    model, used = case.strategy.model, case.used_features
    if any(node.flawed for _, node in case.tree.walk()):
        return  # a rule that could not be read may name it
    if case.has_errors or (model is not None and not model.extra.get("inputs")):
        return
    listed = set(model.extra.get("inputs") or ()) if model is not None else set()
    for name, block in case.strategy.features.items():
        if name not in used and not listed & set(output_columns(name, block)):
            case.warn(("features", name), "nothing reads this feature", on_key=True)


def check_series_read(case: Case) -> None:
    """A series that nothing reads is fetched for nothing."""
    if case.has_errors:
        return
    read = {
        str(getattr(block.config, "of", "")).partition("@")[0]
        for block in case.strategy.features.values()
    }
    hours = case.strategy.universe.trading_hours
    if hours is not None and hours.blackout is not None:
        read.add(hours.blackout.series)
    for name in case.strategy.data.series:
        if name not in read:
            case.warn(
                ("data", name),
                "no feature reads this series",
                on_key=True,
                hint=f"e.g. features: {{{name}: {{use: series, of: {name}}}}}",
            )


def check_feature_bars(case: Case) -> None:
    """A feature's own bar is a whole multiple of the universe's."""
    for name, block in case.strategy.features.items():
        if block.bar_ns is None:
            continue
        base = format_duration(case.bar_ns)
        if block.bar_ns < case.bar_ns or block.bar_ns % case.bar_ns:
            case.error(
                ("features", name, "bar"),
                "higher time frames are built from the universe's bars",
                expected=f"a multiple of {base}, such as {format_duration(case.bar_ns * 4)}",
                found=format_duration(block.bar_ns),
            )


def check_missing(case: Case) -> None:
    """A feature over an optional series declares what to use when the series has no value."""
    for name, block in case.strategy.features.items():
        source = str(getattr(block.config, "of", "")).partition("@")[0]
        series = case.strategy.data.series.get(source)
        if series is None or not series.extra.get("optional"):
            continue
        if "missing" in type(block.config).model_fields and (
            getattr(block.config, "missing", None) is None
        ):
            case.error(
                ("features", name, "missing"),
                f"the series {source} is optional, and this feature does not say what to use "
                "without it",
                expected="missing: a number that stands for no value, such as 0",
            )


def check_memory(case: Case) -> None:
    """Nothing that never forgets feeds a model or a rule."""
    if case.strategy.model is None and not _reads_features(case):
        return
    for name, block in case.strategy.features.items():
        declaration = block.declaration
        if not isinstance(declaration, Step):
            continue
        try:
            forgets = declaration.memory_of(block.config).kind != "unbounded"
            forgets = forgets and not _inner_unbounded(
                case, declaration, block.config, block.distribution
            )
        except Exception as error:  # a stranger's function may raise anything
            _plugin_failed(case, ("features", name), block, error)
            continue
        if not forgets:
            fields = [f for f in ("anchor", "window") if f in type(block.config).model_fields]
            case.error(
                ("features", name),
                f"{block.use} never forgets: its value depends on where history began",
                on_key=True,
                expected=" or ".join(f"{each}:" for each in fields) or "a feature that forgets",
                hint="e.g. anchor: day, so that it restarts every day"
                if "anchor" in fields
                else "",
            )


def _inner_unbounded(case: Case, declaration: Step, config: Config, owner: str) -> bool:
    """Whether a feature is made of one that never forgets; its own package's names go first."""
    for part in (declaration.inner(config) if declaration.inner else {}).values():
        entry = case.host.inner(part.use, owner)
        below = case.host.load(entry)
        settings = below.config(**{key: _plain(value) for key, value in part.config.items()})
        if below.memory_of(settings).kind == "unbounded":
            return True
        if _inner_unbounded(case, below, settings, entry.distribution):
            return True
    return False


def _plain(value: object) -> object:
    """Let an input that names a sibling (`@name`) pass for a column."""
    return value.lstrip("@") if isinstance(value, str) else value


def _reads_features(case: Case) -> bool:
    if any(True for _ in portfolio_readings(case.strategy)):
        return True
    return any(True for _ in readings(("signal",), case.strategy.signal.config))


def check_rules(case: Case) -> None:
    """Rules have an entry, and a spot account has no short one."""
    config = case.strategy.signal.config
    fields = type(config).model_fields
    if "long_if" not in fields or not case.strategy.follows_signal:
        return
    short = getattr(config, "short_if", None)
    if getattr(config, "long_if", None) is None and short is None:
        case.error(("signal", "long_if"), "no rule ever enters", hint="write e.g. long_if: a > b")
    if short is not None and case.is_spot:
        case.error(
            ("signal", "short_if"),
            "a spot account cannot go short",
            on_key=True,
            hint="remove it, or trade account: {type: perpetual}",
        )


def check_signal_needs(case: Case) -> None:
    """A signal that reads the probability of a model has a model, and a model has a signal."""
    needs = asks_for(case.strategy.signal, "up", "down", "confidence")
    if needs and case.strategy.model is None and not case.doubtful("model"):
        case.error(
            ("signal", "use"),
            f"{case.strategy.signal.use} acts on a model's probability, and there is no model",
            hint="add a model: block, or use: rules",
        )


LAST: Final[tuple[Callable[[Case], None], ...]] = (check_series_read, check_unused)
"""Checks that run only for a file without errors."""

CHECKS: Final[tuple[Callable[[Case], None], ...]] = (
    check_reads,
    check_feature_bars,
    check_missing,
    check_memory,
    check_rules,
    check_signal_needs,
)
