"""What a plan imports when its whole text runs as plain Python: steps and helpers as written."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from septet._host.declare import Step
from septet._plan.plan import Plan
from septet._plan.uncompiled import *  # noqa: F403 - whatever a plan may import, it finds here

__all__ = ["run_plainly", "use"]

FLAVOURS = ("compiled", "uncompiled")


def use(target: Any) -> Any:  # type: ignore[no-redef]  # in place of the one above
    """Leave a step or a helper as it is."""
    return target.function if isinstance(target, Step) else target


def run_plainly(plan: Plan) -> None:
    """Give a plan a module that no compiler has seen."""
    module = ModuleType(plan.name)
    text = plan.assembly.text
    for flavour in FLAVOURS:
        text = text.replace(f"from septet._plan.{flavour} import", f"from {__name__} import")
    exec(compile(text, plan.name, "exec"), module.__dict__)
    plan.__dict__["module"] = module
    plan.assembly.slow_parts = ("the whole text",)  # arrays are handed over as arrays
