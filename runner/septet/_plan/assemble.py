"""Assembles a rendered plan from the terms of a run: its text, and the layout of its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from septet._core.state import DueTimes, PlanFacts, RowCounts
from septet._host.declare import Step
from septet._kernel import layout
from septet._plan.binding import UNITS, Parameter, Unit
from septet._plan.graph import Column, Graph, Resolve
from septet._plan.observe import Rows
from septet._plan.python_features import SlowColumn
from septet._plan.reason_names import VENUE_REASONS
from septet._plan.run_terms import Terms
from septet._plan.stored_texts import Texts
from septet._plan.trading import Trading
from septet_schemas.blocks import UseBlock
from septet_schemas.position import LEVEL_COLUMNS

__all__ = ["TARGET_WEIGHT", "Assembly", "assemble"]

TARGET_WEIGHT: Final = "target_weight"
TURNOVER_FACTOR: Final = "turnover_factor"
"""Column of decisions for the weight that a rebalance gives."""


class Assembly(msgspec.Struct):
    """A rendered plan.

    `unit_rows` are the rows of F that each unit reads, and `unit_parameters` states how many
    parameters it has; those of all units stand one after the other in `parameters`. `features`
    gives each feature column's row of F; `model_row` that of the probability up (the model's
    state follows), `decision_row` the first of the decision rows. `explained` names the slots of
    the sizing's state that orders keep. `slow_parts` are steps without compiled form that make
    the whole plan run uncompiled, `slow_columns` those that make their column so; `flavour` is
    the module the text imports its parts from.
    """

    texts: Texts
    flavour: str
    terms: Terms
    graph: Graph
    parameters: tuple[Parameter, ...]
    unit_parameters: Mapping[Unit, int]
    unit_rows: Mapping[Unit, tuple[int, ...]]
    reasons: tuple[str, ...]
    arrays: tuple[str, ...]
    rows: Rows
    across: bool
    features: Mapping[str, int]
    needed: tuple[Column, ...]
    model_row: int | None
    decision_row: int
    decisions_kept: bool
    counts: RowCounts
    a_slots: int
    c_slots: int
    b_slots: int
    explained: tuple[str, ...]
    tables: tuple[Any, ...]
    steps: tuple[tuple[Step, str], ...]
    halts: tuple[tuple[str, UseBlock], ...]
    wired: tuple[tuple[str, Step, str], ...]
    slow_parts: tuple[str, ...]
    slow_columns: tuple[str, ...]
    outside: tuple[SlowColumn, ...]
    lookback_times: int
    look_back: int
    venue_fills: bool
    facts: PlanFacts

    @property
    def shown(self) -> Mapping[str, int]:
        """Rows of F in the table of decisions: features, the weight of a portfolio, levels."""
        if not self.decisions_kept:
            return self.features
        rows = {**self.features}
        if self.terms.portfolio is not None:
            rows[TARGET_WEIGHT] = self.decision_row + layout.F_WEIGHT
        if self.terms.caps_turnover:
            rows[TURNOVER_FACTOR] = self.decision_row + layout.F_TURNOVER
        return {**rows, **self.levels}

    @property
    def levels(self) -> Mapping[str, int]:
        """Rows of F for the levels of a position, of which zero stands for none."""
        if not self.decisions_kept:
            return {}
        first = self.decision_row + layout.F_STOP
        return {name: first + LEVEL_COLUMNS.index(name) for name in self.terms.levels}

    @property
    def text(self) -> str:
        """The text of the plan."""
        return self.texts.whole


def assemble(
    terms: Terms,
    resolve: Resolve,
    *,
    tables: bool = True,
    curve: bool = True,
    venue_fills: bool = False,
) -> Assembly:
    """Bind every block and render the plan's text.

    `resolve` finds a feature step by name; `tables` False leaves the decision rows out;
    with `curve` False, too, equity is kept at the times of Q alone, and summed. A `venue_fills`
    plan matches no order against a bar: its fills come from the venue; it needs tables.
    """
    assert tables or not venue_fills
    trading = Trading(terms, resolve, tables=tables, curve=curve, venue_fills=venue_fills)
    context = trading.context()
    binder, graph, slow = trading.binder, trading.graph, trading.binder.slow_parts
    flavour = "uncompiled" if slow else "compiled"
    texts = Texts(
        {**context, "flavour": flavour},
        imports=binder.imports,
        uses=binder.uses,
        constants=trading.constants,
        arrays={name: f"{dtype}_{count}d" for name, (dtype, count) in trading.arrays.items()},
    )
    sizing_slots = len(terms.sizing.declaration.state_names(terms.sizing.config))
    return Assembly(
        texts=texts,
        flavour=flavour,
        terms=terms,
        graph=graph,
        parameters=binder.parameters,
        unit_parameters={unit: len(binder.numbers[unit]) for unit in UNITS},
        unit_rows={unit: tuple(binder.rows[unit]) for unit in UNITS},
        reasons=tuple(trading.reasons) + (() if venue_fills else VENUE_REASONS),
        rows=trading.observing.rows,
        across=bool(trading.observing.acrosses),
        features={
            name: trading.observing.f_row(graph.named[name])
            for owner in terms.features
            for name in graph.feature_columns[owner]
        },
        needed=tuple(trading.needed),
        model_row=trading.model_row,
        decision_row=trading.decision_row,
        decisions_kept=tables,
        arrays=tuple(trading.arrays),
        counts=_row_counts(trading),
        a_slots=trading.sizing_at + max(1, sizing_slots),
        c_slots=_checked_slots(trading)[-1] + (layout.C_PORTFOLIO if terms.portfolio else 0),
        b_slots=trading.position.slots,
        explained=trading.explained,
        tables=tuple(binder.tables),
        steps=tuple(binder.steps),
        halts=tuple(terms.halts.items()),
        wired=binder.wired,
        slow_parts=slow,
        slow_columns=binder.slow_columns,
        outside=tuple(trading.observing.outside),
        lookback_times=trading.lookback_times,
        look_back=trading.look_back,
        venue_fills=venue_fills,
        facts=_facts(trading),
    )


def _row_counts(trading: Trading) -> RowCounts:
    """Count the rows of the arrays whose heights a plan decides."""
    return RowCounts(
        F=max(1, trading.f_rows),
        D=layout.D_ROWS if trading.tables else 1,
        Y=trading.observing.rows.y_count,
        G=layout.G_ROWS if trading.tables else 1,
        T=trading.terms.hours_rows + int(trading.terms.members_row is not None),
    )


def _checked_slots(trading: Trading) -> tuple[int, ...]:
    """Return where C holds what is counted of each rule that is checked, and where it ends."""
    each = layout.CHECKED_SLOTS + trading.symbols
    return tuple(trading.checked_slot + each * n for n in range(len(trading.checked.rules) + 1))


def _weight_rows(trading: Trading) -> tuple[int, ...]:
    """Return the rows of the weights of a portfolio, and of what its turnover limit let through."""
    if trading.terms.portfolio is None or not trading.tables:
        return ()
    rows = (layout.F_WEIGHT, layout.F_TURNOVER)[: 2 if trading.terms.caps_turnover else 1]
    return tuple(trading.decision_row + each for each in rows)


def _level_rows(trading: Trading) -> tuple[int, ...]:
    """Return the rows of the levels of a position."""
    if not trading.level_rows:
        return ()
    first = trading.decision_row + layout.F_STOP
    return tuple(first + LEVEL_COLUMNS.index(name) for name in trading.terms.levels)


def _of(numbers: Mapping[str, int], name: str) -> tuple[int, ...]:
    return (numbers[name],) if name in numbers else ()


def _schedule(terms: Terms) -> DueTimes | None:
    """Return when rebalances or regular buys fall due."""
    if terms.due_every is None:
        return None
    return DueTimes(terms.due_every, terms.time_zone, terms.bar_ns)


def _facts(trading: Trading) -> PlanFacts:
    """Return the facts that the engine needs to name its actions and decisions."""
    terms, graph = trading.terms, trading.graph
    return PlanFacts(
        features=tuple(
            trading.observing.f_row(graph.named[name])
            for owner in terms.features
            for name in graph.feature_columns[owner]
        )
        + _weight_rows(trading),
        levels=_level_rows(trading),
        model_row=trading.model_row,
        decision_row=trading.decision_row if trading.tables else None,
        venue_reasons=trading.venue_reasons,
        checked=tuple(trading.checked.rules),
        checked_at=_checked_slots(trading)[:-1],
        increases=(*trading.increases, *_of(trading.weighed.reasons, "R_INCREASE")),
        partial=trading.partial,
        log_room=trading.room,
        schedule=_schedule(terms),
        timed=any("now_ns" in each.declaration.parameters for each in terms.halts.values()),
        hours_row=None if terms.hours is None else layout.ROW + trading.symbols,
        members_row=terms.members_row,
        enters_between=terms.grid is not None,
        adds_between=terms.adds_between,
    )
