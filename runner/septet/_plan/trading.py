"""The trading part of a plan: binds every rule to the words that its kind may use."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

from septet._core.state import ORDER
from septet._expressions import look_back, parse_expression
from septet._host.declare import Step, World
from septet._kernel import layout
from septet._plan.binding import SIGNAL, TRADING, Binder
from septet._plan.columns_read import columns_of_rules
from septet._plan.costs import costs_of
from septet._plan.expressions import render_expression
from septet._plan.graph import Column, Graph, Node, Resolve
from septet._plan.hours_choices import hours_choices, position_choices, rows_a_symbol
from septet._plan.idle_choices import idle_choices
from septet._plan.invalid_answers import CheckedRules, checks_of_signal
from septet._plan.kernel_imports import import_kernel
from septet._plan.observe import Observing
from septet._plan.parameter_names import LAYOUT, OF_ACCOUNT, WORDS, views_of
from septet._plan.plan_text import ARRAYS, listed
from septet._plan.portfolio import PortfolioPart
from septet._plan.position_steps import STEP_REASONS, WORDS_OF_POSITION, PositionColumns
from septet._plan.reason_names import FIXED_REASONS, MODEL_REASONS, VENUE_REASONS
from septet._plan.rule_choices import rank_of_cap
from septet._plan.run_terms import Terms
from septet_schemas.base import marks_of
from septet_schemas.blocks import UseBlock

__all__ = ["Trading"]

REBALANCE: Final = FIXED_REASONS.index("rebalance")
EXPLAINED: Final = 5  # named slots of a sizing's state that an order's row keeps


class Trading:
    """Binds signal, risk and execution; `context` is what the plan's text is made of."""

    def __init__(
        self, terms: Terms, resolve: Resolve, *, tables: bool, curve: bool, venue_fills: bool
    ) -> None:
        self.terms, self.tables, self.curve = terms, tables, curve or tables
        self.venue_fills = venue_fills
        self.symbols = len(terms.symbols)
        self.binder = Binder(terms.bar_ns)
        self.graph = Graph(
            terms.features, bar_ns=terms.bar_ns, symbols=terms.symbols, series=terms.series,
            calendar=terms.calendar, calendars=terms.calendars, resolve=resolve,
        )  # fmt: skip
        self._resolve = resolve
        self.reasons = list(FIXED_REASONS)
        self.model_reasons = len(self.reasons)
        self.reasons += MODEL_REASONS if terms.has_model else ()
        self.lookback_times = 1
        self.weighed = PortfolioPart(terms, self.binder)
        self.look_back = self.weighed.look_back
        self.reads_position = False
        self.position = PositionColumns(
            self._expression, self.binder.number, self.weighed.first_column
        )
        self.checked = CheckedRules(self._reason)
        self.regime = self._regime_node()
        self.slippage_column = self._slippage_column()
        self.needed = list(columns_of_rules(terms, self.graph))
        self.observing = Observing(self.graph, self.binder, terms)
        self._lay_out()

    def _lay_out(self) -> None:
        """Assign rows of F and slots of A."""
        rows = self.observing.rows.f_count
        self.model_row = self.weighed.model_row = rows if self.terms.has_model else None
        self.decision_row = rows = rows + (2 if self.terms.has_model else 0)
        self.level_rows = self.tables and bool(self.terms.levels)
        self.f_rows = rows + self.weighed.decision_rows(tables=self.tables)
        self.notionals = layout.A_SLOTS + len(self.terms.halts)
        self.correlations = self.notionals + self.symbols
        self.scratch = self.correlations + self.symbols
        self.forecast_slot = self.scratch + self.symbols
        self.sizing_at = self.forecast_slot + self.weighed.scale_slots
        count = sum(limit.declaration.tables is not None for limit in self.terms.limits.values())
        self.arrays = {name: LAYOUT[name] for name in ORDER}
        self.arrays |= {f"L{number}": ("float64", 2) for number in range(count)}
        self.arrays |= self.weighed.arrays(count)
        self.args = ARRAYS

    @property
    def checked_slot(self) -> int:
        """The first slot of C for the counts of rules that are checked."""
        return self.hours_slot + self.terms.hours_rows

    @property
    def hours_slot(self) -> int:
        """The first slot of C for the flags of the trading hours, if the strategy has some."""
        return layout.C_SLOTS + layout.HALT_SLOTS * len(self.terms.halts)

    # ------------------------------------------------------------------ nodes of other layers

    def _regime_node(self) -> Node | None:
        block = self.terms.signal.extra.get("regime")
        if block is None:
            return None
        return self.graph.node(
            "regime", block.use, block.declaration, block.config, block.distribution,
            self.terms.bar_ns, self.graph.column,
        )  # fmt: skip

    def _slippage_column(self) -> Column | None:
        """Make the features that volatility-proportional slippage reads."""
        slippage = self.terms.simulation.slippage
        if slippage.volatility is None:
            return None
        step, distribution = self._resolve("log_return", "")
        returns = self.graph.node(
            "slippage.return", "log_return", step, step.config(), distribution,
            self.terms.bar_ns, self.graph.column,
        )  # fmt: skip
        step, distribution = self._resolve("deviation", "")
        settings: dict[str, Any] = {"of": "close", "period": slippage.window, "ddof": 1}
        node = self.graph.node(
            "slippage.volatility", "deviation", step, step.config(**settings), distribution,
            self.terms.bar_ns,
            lambda text: Column("node", "slippage.return", "", returns.number)
            if text == "close" else self.graph.column(text),
        )  # fmt: skip
        return Column("node", "slippage.volatility", "", node.number)

    # ------------------------------------------------------------------ binding

    def _reason(self, name: str) -> int:
        self.reasons.append(name)
        return len(self.reasons) - 1

    def _number(self, key: str, value: Any) -> str | None:
        """Make a parameter; None where the file has no value."""
        return None if value is None else self.binder.number(key, value)

    def _call(
        self, block: UseBlock, key: str, *, views: dict[str, str] | None = None,
        cursor: str = "i", **extra: str,
    ) -> str:  # fmt: skip
        """Bind a step of the trading part: inputs and expressions are values at the cursor.

        With `views` the columns are read through local names, which are collected there.
        """
        step: Step = block.declaration
        bound = {**WORDS[step.kind], "symbols": str(self.symbols), **extra}
        bound["bar_ns"] = str(self.terms.bar_ns)
        for name, kind in marks_of(type(block.config)).items():
            if name not in step.parameters:
                continue
            value = getattr(block.config, name)
            if value is None:
                bound[name] = "0.0" if kind == "expression" else "nan"
            elif kind == "input":
                bound[name] = self._scalar(value, 0, views, cursor)
            else:
                bound[name] = self._expression(value, f"{key}.{name}", views, cursor)
        bound |= self.position.words_of(block.config, key)
        return self.binder.call(
            step, block.config, block.use, bound, key, distribution=block.distribution
        )

    def _scalar(self, name: str, lag: int, views: dict[str, str] | None, cursor: str = "i") -> str:
        """Text of a column at the cursor, read directly or through a local view."""
        if name in WORDS_OF_POSITION:
            self.reads_position = True
            return WORDS_OF_POSITION[name].format(cursor=cursor)
        column = self.graph.column(name)
        if cursor != "i":  # read a bar before: history must reach one bar further back
            self.look_back = max(self.look_back, lag + 1)
        if views is None:
            return self.observing.scalar(column, cursor, lag)
        local, text = self.observing.view(column)
        views[local] = text
        return f"{local}[at(i - {lag})]" if lag else f"{local}[at(i)]"

    def _expression(
        self, value: str, key: str, views: dict[str, str] | None = None, cursor: str = "i"
    ) -> str:
        tree = parse_expression(value)
        text = render_expression(
            tree,
            lambda name, lag: self._scalar(name, lag, views, cursor),
            lambda number: self.binder.number(key, number),
        )
        self.observing.import_language(text)
        lag = look_back(tree)
        self.look_back = max(self.look_back, lag)
        if not lag:
            return text
        if views is not None:
            views["ages"] = "M[k, AGE]"
        age = f"M[k, AGE, {cursor}]" if views is None else "ages[at(i)]"
        return f"{text} if {age} >= {lag} else nan"

    # ------------------------------------------------------------------ what the text is made of

    def context(self) -> dict[str, Any]:
        """Bind everything, in the order in which a decision is taken."""
        self.observing.render()
        with self.binder.of(TRADING):
            context = self._trading_context()
        context["checked_slot"] = self.checked_slot
        each = layout.CHECKED_SLOTS + self.symbols
        context["portfolio_slot"] = self.checked_slot + each * len(self.checked.rules)
        context["forecast_slot"] = self.forecast_slot
        context["notes"] = ["reasons:", *listed(self.reasons)]
        import_kernel(self.binder)
        return context

    def _trading_context(self) -> dict[str, Any]:
        """Bind the signal and all that trades."""
        context = {
            "one": self.symbols == 1, "symbols": self.symbols,
            "args": self.args, "views": views_of(self.arrays),
            "tables": self.tables, "curve": self.curve, "spot": self.terms.spot,
            "level_rows": self.level_rows, "loops": self.observing.loops,
            "stages": self.observing.stages,
            "acrosses": [
                [line.replace("{scratch}", str(self.scratch)) for line in lines]
                for lines in self.observing.acrosses
            ],
            "model_row": self.model_row, "notionals": self.notionals,
            "bar_ns": self.binder.number("bar", self.terms.bar_ns), **(costs := costs_of(
                self.terms.simulation, self.binder, self.observing, self.slippage_column
            )), **self._orders(), **self._stops(costs), **self._exits(), **self._limits(),
            "portfolio": self.weighed.bind(self.observing, self._expression, self._reason),
            **self._sizing(), **self._halts(), **self._signal(),
            **hours_choices(self.terms, self._reason, self.hours_slot),
            **position_choices(self.terms, self._reason, self.binder.number),
        }  # fmt: skip
        context |= self._position_steps(context)
        context |= idle_choices(context, self.terms)
        context |= self._outside(context)
        return context

    def _orders(self) -> dict[str, Any]:
        terms, simulation = self.terms, self.terms.simulation
        latency = int(simulation.latency) * terms.bar_ns
        time_in_force = getattr(terms.order.config, "time_in_force", simulation.time_in_force)
        perpetual = None if terms.spot else terms.perpetual
        funds = perpetual is not None and terms.has_funding
        is_resting = terms.order.use not in ("market", "limit_then_market")
        return {
            "participation": self._number("simulation.participation", simulation.participation),
            "latency_ns": self.binder.number("simulation.latency", latency),
            "time_in_force": self.binder.number("simulation.time_in_force", time_in_force),
            "rests": is_resting,
            "queues": (is_resting or terms.portfolio is not None) and not terms.spot,
            "order_call": self._call(terms.order, "execution.order"),
            "order_checked": self.checked.number(
                terms.order, "execution.order", "order", rejects=True
            ),
            "liquidation": perpetual is not None,
            **{
                name: self._number(f"perpetual.{name}", getattr(perpetual, name, None))
                for name in ("leverage", "maintenance", "liquidation_fee")
            },
            **{
                f"{name}_column": self.observing.rows.x_row(Column("bar", name)) if funds else None
                for name in ("funding", "funding_before")
            },
        }

    def _stops(self, costs: Mapping[str, str]) -> dict[str, Any]:
        groups: dict[str, list[dict[str, Any]]] = {"stop": [], "target": [], "exit": []}
        for name, block in self.terms.stops.items():
            key, role = f"risk.stops.{name}", block.declaration.role or "stop"
            # an exit is decided at the close; a level is met by the bar that follows
            cursor = "i" if role == "exit" else "known"
            call = self._call(block, key, cursor=cursor, taker_fee=costs["taker_fee"])
            reported = self.checked.texts(block, key, role, reads=role == "stop")
            each = self.position.sides_of(block.config) | {"code": self._reason(name), "call": call}
            groups[role].append({**each, "checked": reported, "reads": block.declaration.tightens})
        words = {name for stop in self.terms.stops.values() for name in stop.declaration.parameters}
        self.reads_position |= "entry_fee" in words
        resting = groups["stop"] + groups["target"]
        return {
            "protective": groups["stop"], "targets": groups["target"], "exits": groups["exit"],
            "protects": bool(resting) or not self.terms.spot,
            "tracks_best": "high_water" in words or bool(groups["stop"]),
            "levels_read": any(re.search(r"\bknown\b", each["call"]) for each in resting),
        }  # fmt: skip

    def _position_steps(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Bind what a position does between entry and exit, and return what that needs."""
        steps = self.position.context(self.terms, context, venue_fills=self.venue_fills)
        tracks = steps["steps"] or self.reads_position
        self.step_reasons = len(self.reasons)
        add, take = (self.step_reasons + STEP_REASONS.index(name) for name in ("add", "take"))
        self.increases = (layout.ENTRY, add)[: 2 if steps["steps"] else 1]
        self.partial = (REBALANCE, take)[: 2 if steps["steps"] else 1]
        _ = [self._reason(name) for name in (STEP_REASONS if steps["steps"] else ())]
        numbers = {name: self._reason(reason) for name, reason in steps["entering_reasons"]}
        steps["reasons_of_steps"], entering = numbers, tuple(numbers.values())
        self.increases, self.partial = self.increases + entering[:1], self.partial + entering[1:2]
        rows = rows_a_symbol(self.terms) + self.weighed.log_rows + 4 * steps["levels"]
        self.room = self.symbols * rows + 4 * len(self.terms.halts) + 8
        return steps | {
            "tracks_position": tracks, "tracks_best": context["tracks_best"] or tracks,
            "protects": context["protects"] or steps["steps"], "room": self.room,
        }  # fmt: skip

    def _exits(self) -> dict[str, Any]:
        exit_rule, reentry = self.terms.signal.extra["exit"], self.terms.signal.extra["reentry"]
        after = self.terms.horizon_bars
        if exit_rule.after is not None:
            after = exit_rule.after.bars(self.terms.bar_ns)
        return {
            "opposite": exit_rule.opposite,
            "after": self._number("signal.exit.after", after or None),
            "below": self._number("signal.exit.below", exit_rule.below),
            "renews": self.terms.has_model,
            "rearm": reentry.policy,
            "cooldown_bars": self.binder.number("signal.reentry.after", reentry.after or 0),
        }

    def _limits(self) -> dict[str, Any]:
        caps: list[dict[str, str]] = []
        wires: list[dict[str, str]] = []
        for name, block in sorted(self.weighed.limits.items(), key=rank_of_cap):
            step: Step = block.declaration
            extra: dict[str, Any] = {
                "notionals": f"read_only(A[{self.notionals}:{self.correlations}])"
            }
            if step.tables is not None:
                world = World(self.terms.symbols, self.terms.bar_ns, self.terms.calendar)
                self.binder.tables.append(step.tables(block.config, world))
                extra["tables"] = f"read_only(L{len(self.binder.tables) - 1})"
            limit = {"correlates": "False", "window": "0", "least": "0"}
            if "correlations" in step.parameters:
                extra["correlations"] = f"read_only(A[{self.correlations}:{self.scratch}])"
                limit = self._correlated(name, block)
            call = self._call(block, f"risk.limits.{name}", **extra)
            limit |= {"code": str(self._reason(name)), "most": call}
            limit |= self.checked.texts(block, f"risk.limits.{name}", "limit", rejects=True)
            (wires if step.role == "wire" else caps).append(limit)
        terms = self.terms
        return {
            "caps": caps, "wires": wires, "correlations": self.correlations,
            "cash_buffer": self._number("risk.cash_buffer", terms.cash_buffer or None),
            "pro_rata": terms.pro_rata,
            "rebalance": self._number("risk.rebalance.band", terms.rebalance or None),
        }  # fmt: skip

    def _correlated(self, name: str, block: UseBlock) -> dict[str, str]:
        """Return the settings of the correlations that a limit reads."""
        config: Any = block.config
        bars = config.window.bars(self.terms.bar_ns)
        self.lookback_times = max(self.lookback_times, bars + 1)
        return {
            "correlates": "True",
            "window": self.binder.number(f"risk.limits.{name}.window", bars),
            "least": self.binder.number(f"risk.limits.{name}.min_bars", config.min_bars),
        }

    def _sizing(self) -> dict[str, Any]:
        state = f"A[{self.sizing_at}:]"
        call = self._call(self.terms.sizing, "risk.sizing", state=state)
        return {
            "sizing_checked": self.checked.number(self.terms.sizing, "risk.sizing", "sizing"),
            "sizing_call": f"{call} / {self.symbols}" if self.terms.split else call,
            "closed_call": self._closed(state),
            "explained": [self.sizing_at + number for number in range(len(self.explained))],
            "probability_up": self._probability_up(),
        }

    def _probability_up(self) -> str:
        """Text of the model's probability up at the cursor."""
        return "nan" if self.model_row is None else f"F[k, {self.binder.row(self.model_row)}, i]"

    @property
    def explained(self) -> tuple[str, ...]:
        """Named slots of the sizing's state that are kept with every order."""
        names = self.terms.sizing.declaration.state_names(self.terms.sizing.config)
        return tuple(name for name in names if not re.search(r"_\d+$", name))[:EXPLAINED]

    def _closed(self, state: str) -> str | None:
        """Bind the function a sizing calls when a trade closes."""
        block = self.terms.sizing
        step: Step = block.declaration
        if step.closed is None:
            return None
        called = self.binder.closed(step, block.use)
        bound = {"pnl": "A[LAST_PNL]", "return_": "A[LAST_RETURN]", "state": state}
        arguments = [
            bound.get(name) or self.binder.field(step, block.config, name, f"risk.sizing.{name}")
            for name in inspect.signature(step.closed).parameters
        ]
        return f"{called}({', '.join(arguments)})"

    def _halts(self) -> dict[str, Any]:
        calls: list[dict[str, Any]] = []
        for number, (name, block) in enumerate(self.terms.halts.items()):
            # losses before it was cleared are not counted again: a streak is of trades since then
            since = f"C[TRADES] - C[C_SLOTS + {layout.HALT_SLOTS} * {number} + 3]"
            bound: dict[str, Any] = {
                "peak": f"A[A_SLOTS + {number}]",
                "losses_in_a_row": f"min(C[LOSSES], {since})",
            }
            resume = block.extra["resume"]
            if not isinstance(resume, str):
                resume = self.binder.number(f"risk.halts.{name}.resume", resume)
            calls.append(
                {
                    "checked": self.checked.texts(block, f"risk.halts.{name}", "halt"),
                    "code": self._reason(name),
                    "call": self._call(block, f"risk.halts.{name}", **bound),
                    "reads_peak": "peak" in block.declaration.parameters,
                    "then": getattr(layout, block.extra["then"].upper()),  # named as in the file
                    "resume": resume,
                }
            )
        return {"halts": calls}

    def _signal(self) -> dict[str, Any]:
        extra, regime = self.terms.signal.extra, self.regime
        step: Step = self.terms.signal.declaration
        with self.binder.of(SIGNAL):
            previously, self.reads_position = self.reads_position, False
            views, lines, call = self._signal_call(step)
        asks_account = bool(OF_ACCOUNT & set(step.parameters)) or self.reads_position
        self.reads_position = self.reads_position or previously
        self.signal_reasons = len(self.reasons)
        for reason in step.reasons:
            self._reason(reason)
        checked = self.checked.number(self.terms.signal, "signal", "signal", rejects=True)
        checks = checks_of_signal(checked, len(step.reasons), self.terms.bar_ns, self.args)
        row = mask = of_regime = None
        if regime is not None:
            row = self.binder.row(self.observing.f_row(Column("node", "", "", regime.number)))
            labels = extra["regime"].declaration.reasons
            of_regime = self.checked.number(
                extra["regime"], "signal.regime", "regime", rejects=True
            )
            allowed = sum(1 << labels.index(label) for label in extra["regime"].extra["trade_in"])
            mask = self.binder.number("signal.regime.trade_in", allowed)
        return {
            "signal_call": call, "signal_lines": lines,
            "signal_views": [f"{name} = {text}" for name, text in views.items()],
            "answer_checks": checks,
            "signal_view_names": "".join(f"{name}, " for name in views),
            "signal_ignores_account": not asks_account,
            "regime": None if row is None else f"F[k, {row}, i]",
            "regime_mask": mask,
            "regime_checked": of_regime,
            "regime_count": 0 if regime is None else len(labels),
            "min_interval": self.binder.number("signal.min_interval", extra["min_interval"]),
        }  # fmt: skip

    def _signal_call(self, step: Step) -> tuple[dict[str, str], list[str], str]:
        """Return the columns that the signal reads by name, the lines before its call, and it."""
        views: dict[str, str] = {}
        extra: dict[str, Any] = {}
        lines: list[str] = []
        if "price" in step.parameters:
            lines.append("price = X[k, CLOSE, i]")
        if self.model_row is None:
            extra = {"up": "nan", "down": "nan", "confidence": "nan"}
        else:
            up, state = map(self.binder.row, (self.model_row, self.model_row + 1))
            views |= {"up_of": f"F[k, {up}]", "state_of": f"F[k, {state}]"}
            lines += ["up = up_of[at(i)]", "down = 1.0 - up", "confidence = 2.0 * abs(up - 0.5)"]
        return views, lines, self._call(self.terms.signal, "signal", views=views, **extra)

    def _outside(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a plan with venue fills leaves out: the matching of bars."""
        levels = ("protective", "targets", "takes_at", "takes_when")  # a take moves the stop
        stops_here = self.venue_fills and any(context[name] for name in levels)
        liquidates = self.venue_fills and bool(context["liquidation"])
        sends = context["takes_when"] or (self.venue_fills and context["takes_at"])
        reported: dict[str, Any] = {
            "venue_fills": self.venue_fills, "stops_here": stops_here, "liquidates": liquidates,
            "sends_takes": bool(sends),
        }  # fmt: skip
        if self.venue_fills:
            left_out = ["rests", "protects", "liquidation", "marks_idle_spans"]
            reported |= dict.fromkeys([*left_out, "trades_active_symbols"], False)
            reported |= {"participation": None}
        self.venue_reasons = len(self.reasons)
        self.reasons += VENUE_REASONS if self.venue_fills else ()
        return reported

    @property
    def constants(self) -> dict[str, int]:
        """Numbers of reasons by name; those of the signal and the model are offsets."""
        fixed = {f"R_{name.upper()}": number for number, name in enumerate(FIXED_REASONS)}
        for number, name in enumerate(VENUE_REASONS, self.venue_reasons):
            fixed[f"R_{name.upper()}"] = number
        for number, name in enumerate(STEP_REASONS, self.step_reasons):
            fixed[f"R_{name.upper()}"] = number
        return {
            **fixed, **self.weighed.reasons, "R_SIGNAL": self.signal_reasons,
            "R_MODEL": self.model_reasons,
        }  # fmt: skip
