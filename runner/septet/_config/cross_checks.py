"""Runs the cross-checks: the rules that involve more than one block of a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from septet._config import (
    cross_annualise,
    cross_data,
    cross_features,
    cross_hours,
    cross_levels,
    cross_model,
    cross_portfolio,
    cross_position,
    cross_risk,
    cross_rules,
    cross_settings,
    cross_sweep,
    cross_units,
    cross_values,
)
from septet._config.check_context import CheckContext
from septet._config.tree import Node, Path
from septet._host.plugin_registry import Host
from septet.errors import Problem
from septet_schemas.strategy import Strategy

__all__ = ["CHECKS", "cross_check"]

CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    *cross_data.CHECKS,
    *cross_hours.CHECKS,
    *cross_features.CHECKS,
    *cross_annualise.CHECKS,
    *cross_model.CHECKS,
    *cross_risk.CHECKS,
    *cross_position.CHECKS,
    *cross_levels.CHECKS,
    *cross_units.CHECKS,
    *cross_values.CHECKS,
    *cross_settings.CHECKS,
    *cross_sweep.CHECKS,
    *cross_rules.CHECKS,
    *cross_portfolio.CHECKS,
    *cross_features.LAST,
)
"""Every check; each takes the context and adds its findings to the problems."""


def cross_check(
    strategy: Strategy, tree: Node, host: Host, pruned: frozenset[Path]
) -> list[Problem]:
    """Run every check on a strategy; `pruned` paths were wrong in shape and are left out."""
    context = CheckContext(strategy, tree, host, pruned)
    for check in CHECKS:
        check(context)
    return context.problems
