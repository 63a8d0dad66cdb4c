"""The text of `observe`: a loop for each feature, higher time frames first.

The loop of a feature calls its step alone: where its history begins, and its warm-up, are handled
before and after it, and its state is on the stack while it runs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from septet._kernel import time_frames
from septet._kernel.layout import X_FIXED
from septet._plan.binding import Binder
from septet._plan.expressions import LOGIC, MATHS, render_expression
from septet._plan.frame_bounds import Frame, FrameBounds
from septet._plan.graph import BAR_COLUMNS, Column, Graph, Node
from septet._plan.python_features import SlowColumn
from septet._plan.run_terms import Terms
from septet.errors import ConfigError, Problem

__all__ = ["Loop", "Observing", "Rows"]

ROUTINE = 8  # features in one function: the compiler's work grows faster than its length
WEEK_NS = 604_800_000_000_000
MONDAY_NS = 345_600_000_000_000  # 1970-01-05, the first Monday after the epoch
FRAME_COLUMNS = (*BAR_COLUMNS, "slot", "session", "week", "seconds")
FIRST_OF_FRAME = ("local_day", "week")
"""Columns of a frame bar that are those of its first base bar; others are of the last."""


class Loop(msgspec.Struct):
    """One generated function over a stretch of bars."""

    prologue: list[str] = msgspec.field(default_factory=list)
    body: list[str] = msgspec.field(default_factory=list)

    def local(self, line: str) -> None:
        """Add a line at the beginning, once."""
        if line not in self.prologue:
            self.prologue.append(line)


class Rows(msgspec.Struct):
    """The array and the row of every column."""

    x: dict[str, int] = msgspec.field(
        default_factory=lambda: {name: n for n, name in enumerate(BAR_COLUMNS)}
    )
    f: dict[tuple[int, int], int] = msgspec.field(default_factory=dict)
    y: dict[tuple[int, int], int] = msgspec.field(default_factory=dict)
    frames: dict[int, Frame] = msgspec.field(default_factory=dict)
    f_count: int = 0
    y_count: int = 0
    state: int = 0

    def x_row(self, column: Column) -> int:
        """Return the row of a bar column or series in X; a new one at the first call."""
        key = f"series:{column.name}" if column.kind == "series" else str(column)
        return self.x.setdefault(key, len(self.x))


class Observing:
    """Renders the feature graph."""

    def __init__(self, graph: Graph, binder: Binder, terms: Terms) -> None:
        self.graph, self.binder, self.terms = graph, binder, terms
        self.rows = Rows()
        assert len(self.rows.x) == X_FIXED
        self.loops: list[Loop] = []
        self.acrosses: list[list[str]] = []
        self.stages: list[Any] = []
        self.outside: list[SlowColumn] = []
        self._place()

    # ------------------------------------------------------------------ rows

    def _place(self) -> None:
        rows = self.rows
        for node in self.graph.nodes:
            if node.bar_ns != self.graph.bar_ns and node.bar_ns not in rows.frames:
                names = self._followed(node.bar_ns)
                first = rows.y_count + time_frames.FRAME_ROWS
                extra_rows = {name: first + n for n, name in enumerate(names)}
                rows.frames[node.bar_ns] = Frame(node.bar_ns, rows.y_count, rows.state, extra_rows)
                rows.y_count = first + len(names)
                rows.state += time_frames.FRAME_SLOTS
        for node in self.graph.nodes:
            for output in range(node.width):
                if node.bar_ns != self.graph.bar_ns:
                    rows.y[node.number, output] = rows.y_count
                    rows.y_count += 1
                rows.f[node.number, output] = rows.f_count
                rows.f_count += 1

    def _followed(self, bar_ns: int) -> list[str]:
        """Return the columns that features of a frame read and that base bars bring.

        Its weeks are counted in UTC from its own bars, unless the file counts days elsewhere.
        """
        nodes = [node for node in self.graph.nodes if node.bar_ns == bar_ns]
        names_read = {
            column.name
            for node in nodes
            for column in node.inputs.values()
            if isinstance(column, Column) and column.kind == "bar"
        }
        names = {"local_day", "local_seconds", *(["week"] if self.terms.is_local else [])}
        if self.terms.calendar != "24x7":  # the last bar of a session may be short
            names.add("seconds")
        return sorted(names_read & names)

    def f_row(self, column: Column) -> int:
        """Row in F of a node's output, as base bars see it."""
        return self.rows.f[column.node, column.output]

    def scalar(self, column: Column, cursor: str = "i", bars_back: int = 0) -> str:
        """Text of a column's value at the cursor, in the trading part."""
        index = cursor if bars_back == 0 else f"{cursor} - {bars_back}"
        if column.kind == "node":
            return f"F[k, {self.binder.row(self.f_row(column))}, {index}]"
        return f"X[k, {self.rows.x_row(column)}, {index}]"

    def view(self, column: Column) -> tuple[str, str]:
        """Local name of a column in the trading part, and the text that makes it."""
        if column.kind == "node":
            row = self.binder.row(self.f_row(column))
            return "f" + "".join(filter(str.isdigit, row)), f"F[k, {row}]"
        at = self.rows.x_row(column)
        return f"x{at}", f"X[k, {at}]"

    # ------------------------------------------------------------------ text

    def render(self) -> None:
        """Write every loop and stage."""
        self.binder.helper(time_frames.unbroken)
        levels = max((node.level for node in self.graph.nodes), default=0)
        for level in range(levels + 1):
            own_nodes = [
                n for n in self.graph.nodes if n.level == level and n.step.kind != "across"
            ]
            across_nodes = [
                n for n in self.graph.nodes if n.level == level + 1 and n.step.kind == "across"
            ]
            first = len(self.loops)
            if level == 0:
                for frame in self.rows.frames.values():
                    self._frame_loop(frame, [n for n in own_nodes if n.bar_ns == frame.bar_ns])
            base = [node for node in own_nodes if node.bar_ns == self.graph.bar_ns]
            for start in range(0, len(base), ROUTINE):
                loop = Loop()
                for node in base[start : start + ROUTINE]:
                    self._base_node(loop, node)
                self.loops.append(loop)
            across_first = len(self.acrosses)
            for node in across_nodes:
                self.acrosses.append(self._across(node))
            self.stages.append(
                {
                    "loops": list(range(first + 1, len(self.loops) + 1)),
                    "acrosses": list(range(across_first + 1, len(self.acrosses) + 1)),
                }
            )

    def _hoist(self, loop: Loop) -> Any:
        """Return a function that makes parameters, each read once at the start of the loop."""
        hoisted: dict[tuple[str, str], str] = {}

        def make(key: str, value: float) -> str:
            at = key, repr(value)  # the numbers of one formula have one key
            if at not in hoisted:
                text = self.binder.number(key, value)
                hoisted[at] = f"p{self.binder.newest[0]}"
                loop.local(f"{hoisted[at]} = {text}")
            return hoisted[at]

        return make

    def _array(self, loop: Loop, column: Column, node: Node) -> str:
        """Return the local name of the array a column is read from, for a base node."""
        if column.kind == "node":
            row = self.f_row(column)
            loop.local(f"r{row} = read_only(F[k, {row}])")
            return f"r{row}"
        row = self.rows.x_row(column)
        loop.local(f"x{row} = read_only(X[k, {row}])  # {column}")
        return f"x{row}"

    def _frame_array(self, loop: Loop, column: Column, node: Node) -> str:
        frame = self.rows.frames[node.bar_ns]
        if column.kind == "node":
            row = self.rows.y[column.node, column.output]
        elif column.kind == "bar" and column.name in frame.more:
            row = frame.more[column.name]
        elif column.kind == "bar" and not column.symbol and column.name in FRAME_COLUMNS:
            row = frame.row + FRAME_COLUMNS.index(column.name)
        else:
            raise ConfigError(
                [
                    Problem(
                        f"{str(column)!r} cannot be read on a higher time frame",
                        key=f"features.{node.label}",
                    )
                ]
            )
        loop.local(f"z{row} = read_only(Y[k, {row}])  # {column}")
        return f"z{row}"

    def _formula(self, loop: Loop, node: Node, name: str, cursor: str, array: Any) -> str:
        """Write the expression of one field of a node."""
        expression, columns = node.expressions[name]
        render_number = self._hoist(loop)

        def read(text: str, bars_back: int) -> str:
            index = cursor if bars_back == 0 else f"{cursor} - {bars_back}"
            return f"{array(loop, columns[text], node)}[{index}]"

        key = f"features.{node.label}.{name}"
        text = render_expression(expression, read, lambda value: render_number(key, value))
        self.import_language(text)
        return text

    def _call(
        self,
        loop: Loop,
        node: Node,
        cursor: str,
        age: str,
        array: Any,
        render_number: Any,
        state: str = "s",
    ) -> str:
        if node.unproved:
            self.binder.watched(node.step)
        state += str(node.number)
        bound = {"i": cursor, "age": age, "bar_ns": str(node.bar_ns), "state": state}
        for name, column in node.inputs.items():
            if isinstance(column, Column):
                bound[name] = array(loop, column, node)
        for name in node.expressions:
            bound[name] = self._formula(loop, node, name, cursor, array)
        return self.binder.call(
            node.step, node.config, node.use, bound, f"features.{node.label}",
            distribution=node.distribution, number=render_number,
        )  # fmt: skip

    def _state(self, node: Node) -> str:
        """Return the text of a node's slots in S, nothing where it has none."""
        first = self.rows.state
        self.rows.state += len(node.step.state_names(node.config))
        return f"S[k, {first}:{self.rows.state}]" if self.rows.state > first else ""

    def import_language(self, text: str) -> None:
        """Import the functions of the expression language that a text calls."""
        from septet._kernel import maths, three_valued_logic

        for name in LOGIC:
            if f"{name}(" in text:
                self.binder.helper(getattr(three_valued_logic, name))
        for name in MATHS:
            if f"{name}(" in text:
                self.binder.helper(getattr(maths, name))

    def _base_node(self, loop: Loop, node: Node) -> None:
        """Write the loop of one feature over bars whose history is unbroken."""
        self.binder.helper(time_frames.blank)
        self.binder.helper(time_frames.within)
        if (not node.step.compiled or node.unproved) and not node.expressions:
            self._outside_node(loop, node)
            return
        render_number = self._hoist(loop)
        rows = [self.rows.f[node.number, output] for output in range(node.width)]
        for output, row in enumerate(rows):
            loop.local(f"f{row} = F[k, {row}]  # {self._title(node, output)}")
        called = render_number(f"warmup.{node.label}.call", node.call_at)
        state, slots = self._state(node), f"s{node.number}"
        if state:
            self.binder.helper(time_frames.fetch)
            self.binder.helper(time_frames.keep)
            loop.body.append(f"{slots} = local({len(node.step.state_names(node.config))})")
            age = "1" if node.step.keeps_state(node.config) else "ages[i0]"
            loop.body.append(f"fetch({slots}, {state}, {age})")
        call = self._call(loop, node, "i", "ages[i]", self._array, render_number)
        loop.body.append(f"first = within(begun + {called}, i0, i1)")
        alone = f"{', '.join(f'f{row}[at(i)]' for row in rows)} = {call}"
        if node.step.renews and "age" not in node.step.parameters and not node.expressions:
            self._side_by_side(loop, node, rows, alone, render_number)
        else:
            loop.body += ["for i in range(first, i1):", f"    {alone}"]
        loop.body += [f"blank(f{row}, i0, first)" for row in rows]
        if node.ready_at != node.call_at:
            ready = render_number(f"warmup.{node.label}.ready", node.ready_at)
            warm = f"within(begun + {ready}, first, i1)"
            loop.body += [f"blank(f{row}, first, {warm})" for row in rows]
        if state:
            loop.body.append(f"keep({slots}, {state})")

    def _outside_node(self, loop: Loop, node: Node) -> None:
        """Write the call of a feature without a compiled form: its column is made in Python."""
        render_number = self._hoist(loop)
        rows = [self.rows.f[node.number, output] for output in range(node.width)]
        for output, row in enumerate(rows):
            loop.local(f"f{row} = F[k, {row}]  # {self._title(node, output)}")
        low = self.rows.state
        self._state(node)
        arguments = tuple(self._argument(node, name) for name in node.step.parameters)
        function = node.step.function
        assert function is not None
        reach = node.reach if node.unproved else None
        span = low, self.rows.state
        keeps = node.step.keeps_state(node.config)
        self.outside.append(SlowColumn(function, arguments, tuple(rows), span, reach, keeps))
        self.binder.called_outside(node.step, node.distribution)
        called = render_number(f"warmup.{node.label}.call", node.call_at)
        ready = render_number(f"warmup.{node.label}.ready", node.ready_at)
        loop.body += [
            f"first = within(begun + {called}, i0, i1)",
            f"outside(H[CALL_OUTSIDE], {len(self.outside) - 1}, k, i0, first, i1, M, X, F, S, P)",
            *(f"blank(f{row}, i0, first)" for row in rows),
            f"ready = within(begun + {ready}, first, i1)",
            *(f"blank(f{row}, first, ready)" for row in rows),
        ]

    def _argument(self, node: Node, name: str) -> tuple[str, int]:
        """Return the argument of a step that is called outside, for one of its names."""
        if name in ("i", "age", "state"):
            return name, 0
        if name == "bar_ns":
            return name, node.bar_ns
        column = node.inputs.get(name)
        if isinstance(column, Column):
            if column.kind == "node":
                return "f", self.f_row(column)
            return "x", self.rows.x_row(column)
        self.binder.field(node.step, node.config, name, f"features.{node.label}.{name}")
        index, newest = self.binder.newest
        return ("whole" if newest.whole else "p"), index

    def _side_by_side(
        self, loop: Loop, node: Node, rows: list[int], alone: str, render_number: Any
    ) -> None:
        """Write the loop of a step that restarts on the time grid: four blocks at once.

        Where one of them is not as usual, all four are computed again, bar by bar.
        """
        self.binder.helper(time_frames.blocks)
        count = len(node.step.state_names(node.config))
        period = self.binder.field(
            node.step, node.config, node.step.renews,
            f"features.{node.label}.{node.step.renews}", render_number,
        )  # fmt: skip
        slot = self._array(loop, Column("bar", "slot"), node)

        def beside(loop: Loop, column: Column, node: Node) -> str:
            name = self._array(loop, column, node)
            loop.local(f"{name}_{period} = beside({name}, {period})")
            return f"{name}_{period}"

        call = self._call(loop, node, "i", "age", beside, render_number, state="q")
        names = [f"v{output}" for output in range(len(rows))]
        loop.body += [
            "end = first",
            "while end < i1:",
            "    begin = end",
            f"    end, four = blocks(begin, i1, {slot}, {period}, WIDTH)",
            "    if four:",
            f"        q{node.number} = lanes({count})",
            f"        for i in range(begin, begin + {period}):",
            f"            {', '.join(names)} = {call}",
            *(
                f"            scatter(f{row}, i, {period}, {name})"
                for row, name in zip(rows, names, strict=True)
            ),
            f"        four = rejoin(q{node.number}, s{node.number}, {count})",
            "    if not four:",
            "        for i in range(begin, end):",
            f"            {alone}",
        ]

    def _title(self, node: Node, output: int) -> str:
        return f"{node.label}_{node.outputs[output]}" if node.outputs else node.label

    def _frame_loop(self, frame: Frame, nodes: list[Node]) -> None:
        """Write the loop that builds the bars of a time frame and computes its features."""
        loop, inner = Loop(), Loop()
        for helper in (time_frames.boundary, time_frames.extend, time_frames.gather):
            self.binder.helper(helper)
        base_ns, offset = self.graph.bar_ns, MONDAY_NS if frame.bar_ns % WEEK_NS == 0 else 0
        session = self.rows.x_row(Column("bar", "session"))
        numbers = (frame.bar_ns, base_ns, offset, session, frame.row, frame.slot)
        arrays = f"({', '.join(map(str, numbers))}), M, X, Y, S"
        inner.body.append(f"frame_age = int(Y[k, {frame.row + 9}, h])")
        for node in nodes:
            self._frame_node(inner, node)
        loop.prologue += inner.prologue
        held = self._held(loop, frame, nodes)
        # the inner loop takes base bars that only extend the bar in progress
        bounds = FrameBounds(frame, base_ns, self.terms.calendar, self._cell)
        loop.body += [
            "i = i0",
            "while i < i1:",
            f"    end = boundary(k, i - begun, {frame.bar_ns}, {offset}, S, {frame.slot})",
            f"    count, begin = int(S[k, {frame.slot}]), i",
            *(
                f"    {name} = Y[k, {frame.row + FRAME_COLUMNS.index(name)}, count]"
                for name in ("high", "low", "volume")
            ),
            *(f"    {value} = {text}" for value, _, text in held),
            f"    while i < i1 and {bounds.extends}:",
            f"        high = max(high, {self._cell('high')})",
            f"        low = min(low, {self._cell('low')})",
            f"        volume = volume + {self._cell('volume')}",
            *(f"        {out}[i] = {value}" for value, out, _ in held),
            "        i += 1",
            "    if i > begin:",
            f"        extend(k, i - 1, i - begin, (high, low, volume), {arrays})",
            *(f"        {line}" for line in self._follow(frame, "i - 1")),
            "    if i < i1:",
            f"        closed = gather(k, i, i - begun, ({', '.join(bounds.places)}), {arrays})",
            *(f"        {line}" for line in self._follow(frame, "i")),
            f"        count = int(S[k, {frame.slot}])",
            "        for h in range(count - closed, count):",
            *(f"            {line}" for line in inner.body),
            *(f"        {out}[i] = {text}" for _, out, text in held),
            "        i += 1",
        ]
        self.loops.append(loop)

    def _cell(self, name: str) -> str:
        """Return the text of a column's value at base bar i."""
        return f"X[k, {self.rows.x_row(Column('bar', name))}, i]"

    def _held(self, loop: Loop, frame: Frame, nodes: list[Node]) -> list[tuple[str, str, str]]:
        """Return for each output of a frame's features its value, its column, and its newest."""
        found = []
        for node in nodes:
            for output in range(node.width):
                row, held = self.rows.f[node.number, output], self.rows.y[node.number, output]
                loop.local(f"f{row} = F[k, {row}]  # {self._title(node, output)}")
                newest = f"y{held}[count - 1] if S[k, {frame.slot + 4}] > 0.0 else nan"
                found.append((f"v{row}", f"f{row}", newest))
        return found

    def _follow(self, frame: Frame, at: str) -> list[str]:
        """Return the lines that write further columns of base bars into the bar of a frame."""
        lines = []
        for name, row in frame.more.items():
            self.binder.helper(time_frames.follow)
            base, first = self.rows.x_row(Column("bar", name)), int(name in FIRST_OF_FRAME)
            lines.append(f"follow(k, {at}, {first}, X, Y, S, {base}, {row}, {frame.slot})")
        return lines

    def _frame_node(self, loop: Loop, node: Node) -> None:
        """Write one feature's step on the bar of a higher time frame that closed at h."""
        render_number = self._hoist(loop)
        rows = [self.rows.y[node.number, output] for output in range(node.width)]
        for output, row in enumerate(rows):
            loop.local(f"y{row} = Y[k, {row}]  # {self._title(node, output)}")
        called = render_number(f"warmup.{node.label}.call", node.call_at)
        state = self._state(node)
        if state:
            self.binder.helper(time_frames.clear)
            loop.local(f"s{node.number} = {state}")
            if not node.step.keeps_state(node.config):
                loop.body += ["if frame_age == 0:", f"    clear({state})"]
        call = self._call(loop, node, "h", "frame_age", self._frame_array, render_number)
        outs = ", ".join(f"y{row}[h]" for row in rows)
        loop.body.append(f"if frame_age >= {called}:")
        loop.body.append(f"    {outs} = {call}")
        if node.ready_at != node.call_at:
            ready = render_number(f"warmup.{node.label}.ready", node.ready_at)
            loop.body.append(f"if frame_age < {ready}:")
        else:
            loop.body.append("else:")
        loop.body += [f"    y{row}[h] = nan" for row in rows]

    def _across(self, node: Node) -> list[str]:
        """Write a feature over all symbols: gather the input, then call the step for each."""
        (column,) = [each for each in node.inputs.values() if isinstance(each, Column)]
        symbols = len(self.terms.symbols)
        ready = self.binder.number(f"warmup.{node.label}", node.ready_at)
        bound = {"k": "k", "values": f"read_only(A[{{scratch}}:{{scratch}} + {symbols}])"}
        call = self.binder.call(
            node.step, node.config, node.use, bound, f"features.{node.label}",
            distribution=node.distribution,
        )  # fmt: skip
        outs = [f"F[k, {self.rows.f[node.number, n]}, i]" for n in range(node.width)]
        return [
            f"for k in range({symbols}):",
            "    i = T[ROW + k, t]",
            "    A[{scratch} + k] = nan",
            f"    if i >= 0 and M[k, AGE, i] >= {ready}:",
            f"        A[{{scratch}} + k] = {self.scalar(column)}",
            f"for k in range({symbols}):",
            "    i = T[ROW + k, t]",
            "    if i >= 0:",
            f"        {', '.join(outs)} = {call}",
        ]
