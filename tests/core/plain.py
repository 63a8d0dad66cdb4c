"""What a plan imports when its whole text runs as plain Python: steps and helpers as written."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from septet._host.declare import Step
from septet._plan.plan import Plan
from septet._plan.uncompiled import *  # noqa: F403 - whatever a plan may import, it finds here

__all__ = ["plain_module", "use"]

FLAVOURS = ("compiled", "uncompiled")


def use(target: Any) -> Any:  # type: ignore[no-redef]  # in place of the one above
    """Leave a step or a helper as it is."""
    return target.function if isinstance(target, Step) else target


def plain_module(plan: Plan) -> ModuleType:
    """Make a plan's module without a compiler."""
    module = ModuleType(plan.name)
    text = plan.assembly.text
    for flavour in FLAVOURS:
        text = text.replace(f"from septet._plan.{flavour} import", f"from {__name__} import")
    exec(compile(text, plan.name, "exec"), module.__dict__)
    return module
