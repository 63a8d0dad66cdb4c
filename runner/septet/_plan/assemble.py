"""From terms to text: every block bound, the template filled in."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from septet._host.declare import Step
from septet._kernel import frames, layout, ledger, maths, match
from septet._plan.binding import Binder, Parameter
from septet._plan.expressions import render_expression
from septet._plan.graph import Column, Graph, Node
from septet._plan.observe import Observing
from septet._plan.terms import Terms
from septet._plan.text import render_text
from septet_schemas.blocks import UseBlock

__all__ = ["Assembly", "assemble"]

ARGS = "T, M, X, F, Y, G, S, P, A, C, B, I, LI, LF"
TYPES = (
    "int64[:, ::1]", "int64[:, :, ::1]", "float64[:, :, ::1]", "float64[:, :, ::1]",
    "float64[:, :, ::1]", "float64[:, ::1]", "float64[:, ::1]", "float64[::1]", "float64[::1]",
    "int64[::1]", "float64[:, ::1]", "int64[:, ::1]", "int64[:, ::1]", "float64[:, ::1]",
)  # fmt: skip
HALT_DEEDS = {"flatten": 0, "block_entries": 1, "cancel_all": 2}
FIXED_REASONS = (
    "entry", "exit", "opposite", "after", "below", "rebalance", "halted", "late", "disarmed",
    "min_interval", "regime", "short_as_flat", "size", "cash", "margin", "lot", "min_notional",
    "no_market", "unfilled", "liquidation",
)  # fmt: skip
MODEL_REASONS = ("no_model", "expired", "not_finite")


@dataclass
class Assembly:
    """A rendered plan: its text and where everything is."""

    text: str
    terms: Terms
    graph: Graph
    parameters: tuple[Parameter, ...]
    reasons: tuple[str, ...]
    rows: Any
    features: Mapping[str, int]
    needed: tuple[Column, ...]
    model_row: int | None
    decision_row: int
    f_rows: int
    a_slots: int
    c_slots: int
    sizing_state: tuple[int, tuple[str, ...]]
    tables: tuple[Any, ...]
    steps: tuple[tuple[Step, str], ...]
    halts: tuple[tuple[str, UseBlock], ...]
    one: bool
    slow_parts: tuple[str, ...]
    lookback_times: int
    regime_labels: tuple[str, ...]


class _Codes:
    """Numbers for reasons; the names stand in one table."""

    def __init__(self, has_model: bool) -> None:
        self.names = list(FIXED_REASONS)
        self.model = len(self.names)
        self.names += MODEL_REASONS if has_model else ()

    def add(self, name: str) -> int:
        self.names.append(name)
        return len(self.names) - 1


class _Assembler:
    def __init__(
        self, terms: Terms, resolve: Callable[[str], tuple[Step, str]], tables: bool
    ) -> None:
        self.terms, self.tables = terms, tables
        self.one = len(terms.symbols) == 1
        self.binder = Binder(terms.bar_ns)
        self.resolve = resolve
        self.graph = Graph(
            terms.features, bar_ns=terms.bar_ns, symbols=terms.symbols, series=terms.series,
            resolve=resolve,
        )  # fmt: skip
        self.codes = _Codes(terms.has_model)
        self.needed: list[Column] = []
        self.lookback_times = 1
        self._scalars: list[tuple[str, Column, int]] = []

    # ------------------------------------------------------------------ nodes of other layers

    def _extra_nodes(self) -> None:
        """Make the feature nodes that regime and slippage need before rows are given out."""
        terms = self.terms
        self.regime: Node | None = None
        regime = terms.signal.extra.get("regime")
        if regime is not None:
            self.regime = self.graph.node(
                "regime", regime.use, regime.declaration, regime.config, regime.distribution,
                terms.bar_ns, lambda text: self.graph.column(text),
            )  # fmt: skip
        self.slippage: Column | None = None
        if terms.simulation.slippage.volatility is not None:
            step, distribution = self.resolve("log_return")
            config = step.config()
            returns = self.graph.node(
                "slippage.return", "log_return", step, config, distribution, terms.bar_ns,
                lambda text: Column("bar", text),
            )  # fmt: skip
            step, distribution = self.resolve("deviation")
            config = step.config(of="close", period=terms.simulation.slippage.window, ddof=1)
            node = self.graph.node(
                "slippage.volatility", "deviation", step, config, distribution, terms.bar_ns,
                lambda text: Column("node", "slippage.return", "", returns.number),
            )  # fmt: skip
            self.slippage = Column("node", "slippage.volatility", "", node.number)
        for column in self._columns_of_rules():
            self.needed.append(column)

    def _columns_of_rules(self) -> list[Column]:
        from septet._config.expressions import names_in, parse_expression
        from septet._plan.graph import marks_of

        found: list[Column] = []
        for block in (self.terms.signal, self.terms.sizing):
            for name, kind in marks_of(type(block.config)).items():
                value = getattr(block.config, name)
                if value is None:
                    continue
                if kind == "input":
                    found.append(self.graph.column(value))
                else:
                    found += [self.graph.column(str(n)) for n in names_in(parse_expression(value))]
        if self.terms.has_model:
            every = [name for each in self.graph.feature_columns.values() for name in each]
            found += [self.graph.column(name) for name in self.terms.model_inputs or every]
        return found

    # ------------------------------------------------------------------ calls

    def _bound(self, block: UseBlock, words: Mapping[str, str], key: str) -> str:
        """Bind a step of the trading part: inputs and expressions are values at the cursor."""
        from septet._config.expressions import look_back, parse_expression
        from septet._plan.graph import marks_of

        step: Step = block.declaration
        bound = dict(words)
        for name, kind in marks_of(type(block.config)).items():
            if name not in step.parameters:
                continue
            value = getattr(block.config, name)
            if value is None:
                bound[name] = "0.0" if kind == "expression" else "nan"
            elif kind == "input":
                bound[name] = self.observing.scalar(self.graph.column(value))
            else:
                tree = parse_expression(value)
                where = f"{key}.{name}"
                text = render_expression(
                    tree,
                    lambda text, back: self.observing.scalar(self.graph.column(text), "i", back),
                    lambda number, where=where: self.binder.number(where, number),
                )
                self.observing._import_language(text)
                back = look_back(tree)
                bound[name] = f"{text} if M[k, AGE, i] >= {back} else nan" if back else text
        return self.binder.call(
            step, block.config, block.use, bound, key, distribution=block.distribution
        )

    def _tables_of(self, block: UseBlock) -> str:
        from septet._host.declare import World

        step: Step = block.declaration
        assert step.tables is not None
        world = World(self.terms.symbols, self.terms.bar_ns, self.terms.calendar)
        self.binder.tables.append(step.tables(block.config, world))
        return f"L{len(self.binder.tables) - 1}"

    def _risk_calls(self) -> dict[str, Any]:
        terms, symbols = self.terms, len(self.terms.symbols)
        limits: list[dict[str, Any]] = []
        correlations = None
        lines: list[str] = []
        for name, block in terms.limits.items():
            step: Step = block.declaration
            words = _LIMIT_WORDS | {
                "notionals": f"A[{self.notionals}:{self.notionals + symbols}]",
                "symbols": str(symbols),
            }
            if step.tables is not None:
                words["tables"] = self._tables_of(block)
            if "correlations" in step.parameters:
                correlations = self.notionals + symbols
                words["correlations"] = f"A[{correlations}:{correlations + symbols}]"
                bars = block.config.window.bars(terms.bar_ns)  # type: ignore[attr-defined]
                least = block.config.min_bars  # type: ignore[attr-defined]
                self.lookback_times = max(self.lookback_times, bars + 1)
                lines.append(
                    f"correlate(k, t, {self.binder.number(f'risk.limits.{name}.window', bars)}, "
                    f"{self.binder.number(f'risk.limits.{name}.min_bars', least)}, {self.args})"
                )
            code = self.codes.add(name)
            call = self._bound(block, words, f"risk.limits.{name}")
            limits.append({"name": name, "code": code, "call": call, "wire": step.role == "wire"})
        return {"limits": limits, "correlations": correlations, "correlate_lines": lines}

    def context(self) -> dict[str, Any]:
        """Everything the template reads."""
        self._extra_nodes()
        self.observing = Observing(self.graph, self.binder, self.terms)
        terms, symbols = self.terms, len(self.terms.symbols)
        simulation = terms.simulation
        self.notionals = layout.A_SLOTS
        scratch = self.notionals + 2 * symbols
        sizing_at = scratch + symbols
        self.args = ARGS + "".join(
            f", L{n}"
            for n in range(sum(b.declaration.tables is not None for b in terms.limits.values()))
        )
        self.observing.render()
        rows = self.observing.rows
        f_rows = rows.f_count
        model_row = f_rows if terms.has_model else None
        f_rows += 2 if terms.has_model else 0
        decisions = f_rows
        f_rows += layout.D_ROWS if self.tables else 0
        number = self.binder.number
        taker = number("simulation.fee.taker", simulation.fee.taker)
        maker = (
            taker
            if simulation.fee.maker == simulation.fee.taker
            else number("simulation.fee.maker", simulation.fee.maker)
        )
        slippage = number("simulation.slippage", simulation.slippage.fraction)
        hint = slippage
        if self.slippage is not None:
            factor = number("simulation.slippage.volatility", simulation.slippage.volatility)
            column = f"F[k, {self.observing.f_row(self.slippage)}, max(i - 1, 0)]"
            now = f"F[k, {self.observing.f_row(self.slippage)}, i]"
            self.binder.helper(match.slippage_of)
            hint = slippage
            enter_slippage = f"slippage_of({slippage}, {factor}, {now})"
            slippage = f"slippage_of({slippage}, {factor}, {column})"
        else:
            enter_slippage = slippage
        extra = terms.signal.extra
        exit_rule, reentry = extra["exit"], extra["reentry"]
        after = (
            exit_rule.after.bars(terms.bar_ns)
            if exit_rule.after is not None
            else terms.horizon_bars
        )
        protective, targets, exits = self._stops()
        risk = self._risk_calls()
        signal_first = len(self.codes.names)
        for reason in terms.signal.declaration.reasons:
            self.codes.add(reason)
        liquidation = not terms.spot
        order_call = self._bound(
            terms.order, {"side": "side", "price": "price", "tick": "B[k, TICK]"}, "execution.order"
        )
        rests = terms.order.use not in ("market", "limit_then_market")
        context: dict[str, Any] = {
            "title": terms.title, "one": self.one, "symbols": symbols,
            "args": self.args, "tables": self.tables,
            "types": ", ".join([*TYPES, *(["float64[:, ::1]"] * len(self.binder.tables))]),
            "loops": self.observing.loops,
            "acrosses": [[line.replace("{scratch}", str(scratch)) for line in s] for s in self.observing.acrosses],
            "stages": self.observing.stages, "spot": terms.spot,
            "taker_fee": taker, "maker_fee": maker, "received": simulation.fee.paid_in == "received",
            "slippage": slippage, "slippage_hint": hint, "slippage_column": self.slippage is not None,
            "participation": number("simulation.participation", simulation.participation) if simulation.participation else None,
            "latency_ns": number("simulation.latency_ns", int(simulation.latency) * terms.bar_ns),
            "good_for": number("simulation.good_for", getattr(terms.order.config, "good_for", simulation.good_for)),
            "rests": rests, "liquidation": liquidation,
            "leverage": number("perpetual.leverage", terms.perpetual.leverage) if liquidation else None,
            "maintenance": number("perpetual.maintenance", terms.perpetual.maintenance) if liquidation else None,
            "liquidation_fee": number("perpetual.liquidation_fee", terms.perpetual.liquidation_fee) if liquidation else None,
            "funding_column": rows.x_row(Column("bar", "funding")) if liquidation and terms.has_funding else None,
            "protects": bool(protective or targets or liquidation), "protective": protective,
            "targets": targets, "exits": exits,
            "tracks_best": any("high_water" in b.declaration.parameters for b in terms.stops.values()),
            "rearm": reentry.policy, "disarm_bars": number("signal.reentry.after", reentry.after or 0),
            "opposite": exit_rule.opposite, "after": number("signal.exit.after", after) if after else None,
            "below": number("signal.exit.below", exit_rule.below) if exit_rule.below is not None else None,
            "renews": terms.has_model, "model_row": model_row, "decisions": decisions,
            "signal_call": self._signal_call(model_row), "judge_lines": self._judge_lines(model_row),
            "halts": self._halt_calls(), "cash_buffer": number("risk.cash_buffer", terms.cash_buffer) if terms.cash_buffer else None,
            "notionals": self.notionals, "correlations": risk["correlations"],
            "min_interval": number("signal.min_interval", extra["min_interval"]),
            "regime_row": self.observing.f_row(Column("node", "", "", self.regime.number)) if self.regime else None,
            "regime_mask": number("signal.regime.trade_in", self._regime_mask()) if self.regime else None,
            "enter_lines": self._enter_lines(model_row), "size_lines": [],
            "sizing_call": self._sizing_call(sizing_at), "closed_call": self._closed_call(sizing_at),
            "split": terms.split, "rebalance": number("risk.rebalance.band", terms.rebalance) if terms.rebalance else None,
            "rebalance_always": True,
            "limit_lines": [f"cash_available = spoken_for(now_ns, {self.args})", *risk["correlate_lines"]],
            "caps": [each for each in risk["limits"] if not each["wire"]],
            "wires": [each for each in risk["limits"] if each["wire"]],
            "wire_lines": ["sent = C[SENT]"], "order_call": order_call,
            "explained": [sizing_at + n for n in range(min(5, len(self._explained())))],
            "pro_rata": terms.pro_rata, "room": symbols * 12 + 4 * len(terms.halts) + 8,
        }  # fmt: skip
        context["enter_slippage"] = enter_slippage
        self.sizing_at, self.f_rows, self.model_row, self.decisions = (
            sizing_at,
            f_rows,
            model_row,
            decisions,
        )
        self._constants(context, signal_first)
        return context

    # ------------------------------------------------------------------ pieces

    def _stops(self) -> tuple[list[Any], list[Any], list[Any]]:
        groups: dict[str, list[Any]] = {"": [], "stop": [], "target": [], "exit": []}
        for name, block in self.terms.stops.items():
            code = self.codes.add(name)
            call = self._bound(block, _STOP_WORDS, f"risk.stops.{name}")
            groups[block.declaration.role].append({"code": code, "call": call, "name": name})
        return groups[""] + groups["stop"], groups["target"], groups["exit"]

    def _halt_calls(self) -> list[dict[str, Any]]:
        calls = []
        for name, block in self.terms.halts.items():
            resume = block.extra["resume"]
            if not isinstance(resume, str):
                resume = self.binder.number(f"risk.halts.{name}.resume", resume)
            calls.append(
                {
                    "code": self.codes.add(name),
                    "call": self._bound(block, _HALT_WORDS, f"risk.halts.{name}"),
                    "then": HALT_DEEDS[block.extra["then"]],
                    "resume": resume,
                }
            )
        return calls

    def _judge_lines(self, model_row: int | None) -> list[str]:
        if model_row is None:
            return []
        return [
            f"up = F[k, {model_row}, i]",
            "down = 1.0 - up",
            "confidence = 2.0 * abs(up - 0.5)",
        ]

    def _enter_lines(self, model_row: int | None) -> list[str]:
        lines = ["confidence = B[k, WANT_CONFIDENCE]"]
        if model_row is not None:
            lines += [f"up = F[k, {model_row}, i]", "down = 1.0 - up"]
        else:
            lines += ["up = nan", "down = nan"]
        return lines

    def _signal_call(self, model_row: int | None) -> str:
        words = dict(_SIGNAL_WORDS)
        if model_row is None:
            words |= {"up": "nan", "down": "nan", "confidence": "nan"}
        return self._bound(self.terms.signal, words, "signal")

    def _explained(self) -> tuple[str, ...]:
        names = self.terms.sizing.declaration.state_names(self.terms.sizing.config)
        return tuple(name for name in names if not re.search(r"_\d+$", name))

    def _sizing_call(self, at: int) -> str:
        words = _SIZING_WORDS | {"state": f"A[{at}:]", "symbols": str(len(self.terms.symbols))}
        return self._bound(self.terms.sizing, words, "risk.sizing")

    def _closed_call(self, at: int) -> str | None:
        step: Step = self.terms.sizing.declaration
        if step.closed is None:
            return None
        name = self.binder.closed(step, self.terms.sizing.use)
        words = {"pnl": "A[LAST_PNL]", "return_": "A[LAST_RETURN]", "state": f"A[{at}:]"}
        arguments = [
            words.get(each)
            or self.binder._field(
                step, self.terms.sizing.config, each, f"risk.sizing.{each}", self.binder.number
            )
            for each in inspect.signature(step.closed).parameters
        ]
        return f"{name}({', '.join(arguments)})"

    def _regime_mask(self) -> int:
        regime = self.terms.signal.extra["regime"]
        labels = regime.declaration.reasons
        return sum(1 << labels.index(label) for label in regime.extra["trade_in"])

    def _constants(self, context: dict[str, Any], signal_first: int) -> None:
        for function in (
            ledger.book_fill, ledger.end_order, ledger.floor_units, ledger.log_row,
            ledger.pay_funding, ledger.place_order, ledger.reduce_only, match.adverse,
            match.cap_units, match.liquidation_fill, match.liquidation_price, match.match_open,
            match.match_within, match.regime_allows, match.stop_price, match.target_price,
            frames.clear, maths.logarithm,
        ):  # fmt: skip
            self.binder.helper(function)
        self.constants = {f"R_{name.upper()}": n for n, name in enumerate(FIXED_REASONS)}
        # reasons of a signal and of a missing model are offsets into the table of names
        self.constants |= {"R_SIGNAL": signal_first, "R_MODEL": self.codes.model}
        self.binder.imports["septet._kernel.layout"] = set(layout.__all__)
        context["notes"] = [
            "reasons: " + ", ".join(f"{n} {name}" for n, name in enumerate(self.codes.names)),
        ]


_SIGNAL_WORDS = {
    "up": "up", "down": "down", "confidence": "confidence", "side": "side",
    "held_bars": "I[k, HELD]", "average_price": "B[k, AVERAGE]", "price": "price",
}  # fmt: skip
_SIZING_WORDS = {
    "up": "up", "down": "down", "confidence": "confidence", "equity": "equity", "cash": "cash",
    "gross": "gross", "price": "price", "side": "side", "held": "held / scale",
    "notional": "notional", "fee": "fee", "slippage": "slippage", "cost": "cost",
}  # fmt: skip
_LIMIT_WORDS = {
    "wanted": "side * wanted", "cash_available": "cash_available", "k": "k", "now_ns": "now_ns",
    "entries_this_minute": "sent", "limit_price": "limit_price", "equity": "equity",
    "cash": "cash", "gross": "gross", "price": "price", "side": "side", "held": "held / scale",
    "notional": "notional", "fee": "fee", "slippage": "slippage", "cost": "cost",
}  # fmt: skip
_STOP_WORDS = {
    "average_price": "average_price", "high_water": "high_water", "side": "side",
    "entry_ns": "entry_ns", "now_ns": "now_ns",
}  # fmt: skip
_HALT_WORDS = {
    "equity": "equity", "peak": "A[PEAK]", "day_base": "A[DAY_BASE]", "now_ns": "now_ns",
    "losses_in_a_row": "C[LOSSES]",
}  # fmt: skip


def assemble(
    terms: Terms, resolve: Callable[[str], tuple[Step, str]], *, tables: bool = True
) -> Assembly:
    """Bind every block and render the plan's text.

    `resolve` finds a feature step by name; `tables` False leaves the decision rows out.
    """
    work = _Assembler(terms, resolve, tables)
    context = work.context()
    slow = tuple(
        step.function.__name__
        for step, _ in work.binder.steps
        if not step.compiled and step.function
    )
    context["flavour"] = "uncompiled" if slow else "compiled"
    text = render_text(
        context,
        imports=work.binder.imports,
        uses=work.binder.uses,
        constants=work.constants,
    )
    features = {name: work.observing.f_row(column) for name, column in work.graph.named.items()}
    order = [name for owner in terms.features for name in work.graph.feature_columns[owner]]
    sizing_names = terms.sizing.declaration.state_names(terms.sizing.config)
    return Assembly(
        text=text, terms=terms, graph=work.graph, parameters=tuple(work.binder.parameters),
        reasons=tuple(work.codes.names), rows=work.observing.rows,
        features={name: features[name] for name in order}, needed=tuple(work.needed),
        model_row=work.model_row, decision_row=work.decisions, f_rows=work.f_rows,
        a_slots=work.sizing_at + max(1, len(sizing_names)),
        c_slots=layout.C_SLOTS + 3 * len(terms.halts),
        sizing_state=(work.sizing_at, work._explained()), tables=tuple(work.binder.tables),
        steps=tuple(work.binder.steps), halts=tuple(terms.halts.items()), one=work.one, slow_parts=slow, lookback_times=work.lookback_times,
        regime_labels=tuple(work.terms.signal.extra["regime"].declaration.reasons) if work.regime else (),
    )  # fmt: skip
