"""The feature graph: which step reads which column, in what order, and from which bar on.

Every feature block of the file, and every inner feature of a composition, becomes a node. Equal
nodes (same step, same config, same inputs) are one node, computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from septet._data.scheduled_neighbours import own_bars
from septet._expressions import Expr, look_back, names_in, parse_expression
from septet._host.declare import Inner, Memory, Step
from septet._host.proved_reads import is_septets, reach_of, unproved_reads
from septet.errors import ConfigError, Problem
from septet_schemas.base import Config, marks_of
from septet_schemas.blocks import UseBlock
from septet_schemas.units import Span

__all__ = ["BAR_COLUMNS", "Column", "Graph", "Node", "Resolve", "number_of"]

BAR_COLUMNS = ("open", "high", "low", "close", "volume")
TIME_COLUMNS = ("slot", "session", "week", "seconds", "local_day", "local_seconds")
Scalar = int | float
Resolve = Callable[[str, str], tuple[Step, str]]
"""Name and owner's distribution to the step and its own distribution."""


class Column(msgspec.Struct, frozen=True):
    """One array a step reads or writes.

    `kind` is ``bar`` (a bar column; of another symbol when `symbol` is set), ``series`` or
    ``node`` (output `output` of node `node`).
    """

    kind: str
    name: str
    symbol: str = ""
    node: int = -1
    output: int = 0

    def __str__(self) -> str:
        return f"{self.name}@{self.symbol}" if self.symbol else self.name


class Node(msgspec.Struct, eq=False):
    """One feature step with everything bound but its place in the arrays."""

    number: int
    label: str
    use: str
    step: Step
    config: Config
    bar_ns: int
    inputs: Mapping[str, Column | tuple[Column, ...]]
    expressions: Mapping[str, tuple[Expr, Mapping[str, Column]]]
    call_at: int
    ready_at: int
    memory: Memory
    level: int
    distribution: str = ""
    outputs: tuple[str, ...] = msgspec.field(default=())
    unproved: tuple[str, ...] = ()
    """Reads that are not proved to be of the past: each read of such a step is watched."""

    @property
    def reach(self) -> int:
        """Bars back that the step may read at most."""
        return reach_of(self.step, self.config, self.bar_ns)

    @property
    def width(self) -> int:
        """Number of output columns."""
        return max(1, len(self.outputs))


def number_of(value: Any, bar_ns: int) -> Scalar | None:
    """Write a config value as the number a step gets, or None if it has none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, Span):
        return value.bars(bar_ns)
    return None


class Graph:
    """Builds nodes for feature blocks in their own scope and for what other layers read."""

    def __init__(
        self,
        features: Mapping[str, UseBlock],
        *,
        bar_ns: int,
        symbols: tuple[str, ...],
        series: tuple[str, ...] = (),
        calendar: str = "24x7",
        calendars: tuple[str, ...] = (),
        resolve: Resolve,
    ) -> None:
        """`resolve` finds the step of an inner feature, first where its owner comes from."""
        self.calendars = {calendar, *calendars}
        self.bar_ns = bar_ns
        self.symbols = symbols
        self.nodes: list[Node] = []
        self.named: dict[str, Column] = {}
        self.feature_columns: dict[str, tuple[str, ...]] = {}
        self._blocks = features
        self._series = series
        self._resolve = resolve
        self._number_of_key: dict[tuple[Any, ...], int] = {}
        self._path: list[str] = []
        for name in features:
            self._define(name)

    # ------------------------------------------------------------------ scopes

    def _define(self, name: str) -> None:
        if name in self.feature_columns:
            return
        if name in self._path:
            circle = " -> ".join([*self._path[self._path.index(name) :], name])
            raise self._error(f"features.{name}", f"features read each other in a circle: {circle}")
        block = self._blocks[name]
        self._path.append(name)
        columns = self._instance(
            name, block.use, block.declaration, block.config, block.distribution,
            block.bar_ns or self.bar_ns, lambda text: self._outer(text, name, block),
        )  # fmt: skip
        self._path.pop()
        self.feature_columns[name] = tuple(
            f"{name}_{output}" if output else name for output in columns
        )
        for output, column in columns.items():
            self.named[f"{name}_{output}" if output else name] = column
        first = next(iter(columns.values()))
        self.named.setdefault(name, first)

    def _outer(self, text: str, name: str, block: UseBlock) -> Column:
        return self.column(text, name, block.bar_ns or self.bar_ns)

    def column(self, text: str, reader: str = "", bar_ns: int | None = None) -> Column:
        """Find what a name means: a feature, an output, a series, a bar column, or `x@SYMBOL`."""
        wanted_bar = bar_ns or self.bar_ns
        base, at, symbol = text.partition("@")
        if at:
            if symbol not in self.symbols or base not in BAR_COLUMNS:
                raise self._error(
                    f"features.{reader}", f"{text!r} is no bar column of a symbol in the universe"
                )
            return Column("bar", base, symbol)
        owner = self._owner(text)
        if owner is not None and owner != reader:
            self._define(owner)
            of_feature = self.named[text]
            self._same_bar(text, of_feature, reader, wanted_bar)
            return of_feature
        if text in self._series:
            return Column("series", text)
        if text in BAR_COLUMNS or text in TIME_COLUMNS:
            return Column("bar", text)
        if owner == reader and owner:
            raise self._error(
                f"features.{reader}", f"features read each other in a circle: {reader} -> {reader}"
            )
        raise self._error(f"features.{reader}", f"unknown column {text!r}")

    def _same_bar(self, text: str, column: Column, reader: str, bar_ns: int) -> None:
        bar = self.nodes[column.node].bar_ns
        if bar != bar_ns and bar_ns != self.bar_ns:
            raise self._error(
                f"features.{reader}", f"{text!r} lives on another bar and cannot be read here"
            )

    def _owner(self, text: str) -> str | None:
        if text in self._blocks:
            return text
        for name, block in self._blocks.items():
            if text.startswith(f"{name}_"):
                step: Step = block.declaration
                if text[len(name) + 1 :] in step.output_names(block.config):
                    return name
        return None

    def _error(self, key: str, message: str) -> ConfigError:
        return ConfigError([Problem(message, key=key)])

    # ------------------------------------------------------------------ nodes

    def _instance(
        self,
        label: str,
        use: str,
        step: Step,
        config: Config,
        distribution: str,
        bar_ns: int,
        scope: Callable[[str], Column],
    ) -> dict[str, Column]:
        """Make the node of a step, or the nodes of a composition; return its output columns."""
        inner: dict[str, Column] = {}
        if step.inner is not None:
            self._inner_nodes(label, step.inner(config), distribution, bar_ns, scope, inner)
        outputs = step.output_names(config)
        if step.function is None:
            return {output: inner[output] for output in outputs}
        node = self.node(label, use, step, config, distribution, bar_ns, scope, inner)
        return {
            output: Column("node", f"{label}_{output}" if output else label, "", node.number, index)
            for index, output in enumerate(outputs or ("",))
        }

    def _inner_nodes(
        self,
        label: str,
        parts: Mapping[str, Inner],
        owner: str,
        bar_ns: int,
        scope: Callable[[str], Column],
        inner: dict[str, Column],
    ) -> None:
        def within(text: str) -> Column:
            return inner[text[1:]] if text.startswith("@") else scope(text)

        for key, part in parts.items():
            step, distribution = self._resolve(part.use, owner)
            config = step.config(**part.config)
            name = f"{label}.{key}" if key else label
            columns = self._instance(name, part.use, step, config, distribution, bar_ns, within)
            first = next(iter(columns.values()))
            inner[key] = first
            for output, column in columns.items():
                if output:
                    inner[f"{key}_{output}" if key else output] = column

    def node(
        self,
        label: str,
        use: str,
        step: Step,
        config: Config,
        distribution: str,
        bar_ns: int,
        scope: Callable[[str], Column],
        inner: Mapping[str, Column] | None = None,
    ) -> Node:
        """Bind one step: find its inputs, its place in the order, and when it is ready."""
        inputs, expressions = self._bind(step, config, scope, inner or {})
        columns_read = tuple(
            (name, tuple(columns.items())) for name, (_, columns) in expressions.items()
        )
        key = (id(step), config.model_dump_json(), bar_ns, tuple(inputs.items()), columns_read)
        if key in self._number_of_key:
            return self.nodes[self._number_of_key[key]]
        start, depth, level = self._start(inputs, expressions, bar_ns)
        own_memory = _in_bars(step.memory_of(config), bar_ns)
        call_at = start + step.lookback(config)
        node = Node(
            number=len(self.nodes), label=label, use=use, step=step, config=config, bar_ns=bar_ns,
            inputs=inputs, expressions=expressions, call_at=call_at,
            ready_at=call_at + step.warmup(config),
            memory=_deepest(own_memory, depth), level=level + (step.kind == "across"),
            distribution=distribution, outputs=step.output_names(config),
            unproved=_unproved(step, config, bar_ns, call_at),
        )  # fmt: skip
        self.nodes.append(node)
        self._number_of_key[key] = node.number
        return node

    def _bind(
        self,
        step: Step,
        config: Config,
        scope: Callable[[str], Column],
        inner: Mapping[str, Column],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs: dict[str, Any] = {}
        expressions: dict[str, Any] = {}
        marks = marks_of(type(config))
        names = set(step.parameters)
        for name, kind in marks.items():
            value = getattr(config, name)
            if kind == "input" and value is not None and (name in names or step.kind == "across"):
                inputs[name] = scope(value) if isinstance(value, str) else tuple(map(scope, value))
            elif kind == "expression" and value is not None and name in names:
                parsed = parse_expression(value)
                expressions[name] = (
                    parsed,
                    {text: scope(text) for text in map(str, names_in(parsed))},
                )
        for name in step.parameters:
            if name in inner and name not in inputs:
                inputs[name] = inner[name]
            elif name in BAR_COLUMNS + TIME_COLUMNS and name not in type(config).model_fields:
                inputs[name] = Column("bar", name)
        return inputs, expressions

    def _start(
        self, inputs: Mapping[str, Any], expressions: Mapping[str, Any], bar_ns: int
    ) -> tuple[int, list[Memory], int]:
        """Return when all inputs are ready, their memories, and the stage of their computation."""
        start, level, depth = 0, 0, list[Memory]()
        for column in _columns(inputs.values()):
            ready, memory, stage = self._of(column, bar_ns)
            start, level = max(start, ready), max(level, stage)
            depth.append(memory)
        for expr, columns in expressions.values():
            for column in columns.values():
                ready, memory, stage = self._of(column, bar_ns)
                start, level = max(start, ready + look_back(expr)), max(level, stage)
                depth.append(Memory(memory.kind, memory.bars + look_back(expr), memory.anchor))
        return start, depth, level

    def _of(self, column: Column, bar_ns: int) -> tuple[int, Memory, int]:
        if column.kind != "node":
            return 0, Memory("window", 1), 0
        node = self.nodes[column.node]
        if node.bar_ns == bar_ns:
            return node.ready_at, node.memory, node.level
        ratio = self.own_bars(node.bar_ns)
        memory = Memory(node.memory.kind, (node.memory.bars + 2) * ratio, node.memory.anchor)
        return (node.ready_at + 2) * ratio, memory, node.level

    def own_bars(self, frame_ns: int) -> int:
        """Return how many bars of the universe a bar of a higher time frame has at most.

        That is of the calendar with the most, since all symbols have one memory and one warm-up.
        """
        return max(own_bars(frame_ns, self.bar_ns, each) for each in self.calendars)

    def base_ready(self, column: Column) -> int:
        """Base bars before a column is published at every bar."""
        return self._of(column, self.bar_ns)[0]


def _unproved(step: Step, config: Config, bar_ns: int, call_at: int) -> tuple[str, ...]:
    """Return the reads of a stranger's step that are not proved to be of the past."""
    if is_septets(step):
        return ()
    return tuple(map(str, unproved_reads(step, config, bar_ns, call_at)))


def _columns(values: Any) -> Iterator[Column]:
    for value in values:
        if isinstance(value, Column):
            yield value
        else:
            yield from value


def _in_bars(memory: Memory, bar_ns: int) -> Memory:
    """Count a memory written in market time as its whole bars."""
    bars = max(memory.bars, -(-memory.duration_ns // bar_ns))
    return Memory(memory.kind, bars, memory.anchor)


def _deepest(own_memory: Memory, inputs: list[Memory]) -> Memory:
    """Memory of a step over its inputs: the worst kind, the bars added up."""
    order = ("window", "fading", "anchored", "unbounded")
    deepest = max((each.bars for each in inputs), default=0)
    worst = max([own_memory, *inputs], key=lambda each: order.index(each.kind))
    return Memory(worst.kind, own_memory.bars + max(0, deepest - 1), worst.anchor)
