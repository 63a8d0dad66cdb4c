"""The columns that the rules of a strategy read: all of them must be ready before a decision."""

from __future__ import annotations

from collections.abc import Iterator

from septet._expressions import names_in, parse_expression
from septet._plan.graph import Column, Graph
from septet._plan.portfolio import portfolio_columns
from septet._plan.position_steps import WORDS_OF_POSITION
from septet._plan.run_terms import Terms
from septet_schemas.base import marks_of
from septet_schemas.position import Distance, distances_of

__all__ = ["columns_of_rules"]


def columns_of_rules(terms: Terms, graph: Graph) -> Iterator[Column]:
    """Yield what the rules and the model read."""
    for text in _expressions(terms, graph):
        for each in names_in(parse_expression(text)):
            if str(each) not in WORDS_OF_POSITION:
                yield graph.column(str(each))
    for name in portfolio_columns(terms):
        yield graph.column(name)
    if terms.has_model:
        every = [name for names in graph.feature_columns.values() for name in names]
        for name in terms.model_inputs or every:
            yield graph.column(name)


def _expressions(terms: Terms, graph: Graph) -> Iterator[str]:
    """Yield every expression of the rules; a column that a rule names is one."""
    rules = (*terms.limits.values(), *terms.stops.values(), *terms.halts.values())
    for block in (terms.signal, terms.sizing, *rules, terms.order):
        for name in (*marks_of(type(block.config)), *distances_of(type(block.config))):
            value = getattr(block.config, name)
            if isinstance(value, Distance):
                value = value.formula
            if value and isinstance(value, str):
                yield value
    if terms.position is not None:
        yield from terms.position.expressions
