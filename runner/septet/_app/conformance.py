"""Runs the conformance kit on plugins: whether they load and fulfil their contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from septet.errors import PluginError

if TYPE_CHECKING:
    from septet._host.declare import Declaration, Step
    from septet._host.plugin_registry import Host, Registered
    from septet.testing.budget import Budget
    from septet_schemas.base import Config

__all__ = ["check_entries"]


def check_entries(
    host: Host, entries: Sequence[Registered], log: Callable[[str], None] | None = None
) -> list[dict[str, Any]]:
    """Check components one by one; `log` receives the name of each before it is checked.

    Components of a package share its time limit; all are checked in two other processes. The
    `state` of each is ``kept``, ``failed``, ``not tried`` or ``watched``, and `message` states what
    failed or why it could not be tried; `ok` is false where something failed.
    """
    from septet._host.manifests import StrangersError, strangers_code
    from septet.testing.budget import Budget
    from septet.testing.other_process import keep_processes

    results = []
    counts = Counter(entry.distribution for entry in entries)
    budgets = {name: Budget(count) for name, count in counts.items()}
    with keep_processes():
        for entry in entries:
            if log is not None:
                log(f"checking {entry.qualified}")
            try:
                with strangers_code():
                    state, message = _check(host, entry, budgets[entry.distribution])
            except StrangersError as error:
                state, message = "failed", error.message
            result = {"plugin": entry.qualified, "ok": state != "failed"}
            results.append({**result, "state": state, "message": message})
    _compile(host, entries, results)
    return results


def _compile(host: Host, entries: Sequence[Registered], results: list[dict[str, Any]]) -> None:
    """Compile live plans with the steps of other packages that passed the kit.

    They are compiled together, which is fast; after a failure separately, to find the cause.
    """
    from septet._host.declare import Step
    from septet._host.plugin_registry import BUILT_IN
    from septet.testing.planning import compile_steps

    steps = []
    for entry, result in zip(entries, results, strict=True):
        if result["state"] in ("failed", "not tried") or entry.distribution == BUILT_IN:
            continue
        declaration = host.load(entry)
        config = _settings(declaration) if isinstance(declaration, Step) else None
        if isinstance(declaration, Step) and config is not None:
            steps.append((declaration, config, result))
    try:
        compile_steps([each[:2] for each in steps])
    except PluginError:
        for step, config, result in steps:
            try:
                compile_steps([(step, config)])
            except PluginError as error:
                result |= {"ok": False, "state": "failed", "message": error.message}


def _check(host: Host, entry: Registered, budget: Budget) -> tuple[str, str]:
    """Return the state of one component, and its reason; the checks are kept for the list."""
    from septet._config.plugin_verdicts import keep_check
    from septet._host.declare import Declaration
    from septet._host.plugin_registry import BUILT_IN

    try:
        declaration = host.load(entry)
    except PluginError as error:
        return "failed", error.message
    component = entry.component
    if component.layer == "commands":
        return "not tried", "the kit runs no command"
    if not isinstance(declaration, Declaration):
        return "failed", f"{component.target} is not what a decorator of septet.plugin makes"
    if not (declaration.config.__doc__ or "").strip():
        name = declaration.config.__name__
        return "failed", f"{name} has no docstring: septet plugins show needs one"
    config = _settings(declaration)
    if config is None:
        return "not tried", "it needs settings: its author's tests name them"
    state, message = _try(host, entry, declaration, config, budget)
    if entry.distribution != BUILT_IN and not budget.is_spent:
        keep_check(entry.qualified, declaration, state, message)
    return state, message


def _try(
    host: Host, entry: Registered, declaration: Declaration, config: Config, budget: Budget
) -> tuple[str, str]:
    """Try a component with its defaults: the decisive checks, then the rest of the kit."""
    from septet._host.sources import place_of
    from septet.testing.budget import Spent
    from septet.testing.verdict import decisive, state_of
    from septet.testing.watchdog import NotEnded

    owner = entry.distribution

    def resolve(use: str) -> Any:
        return host.load(host.inner(use, owner))

    checks = decisive(declaration, config, resolve=resolve, budget=budget)
    failed = [f"{each.name}: {each.message}" for each in checks if each.state == "failed"]
    if failed:
        return "failed", failed[0]
    source = place_of(declaration)
    try:
        message = budget.run(lambda: _whole_kit(declaration, config, resolve), source)
    except Spent as why:
        return "not tried", str(why)
    except NotEnded as why:
        return "failed", str(why)
    if message:
        return "failed", message
    untried = [f"{each.name}: {each.message}" for each in checks if each.state != "kept"]
    return state_of(checks), "; ".join(untried)


def _settings(declaration: Declaration) -> Config | None:
    """Return a component's defaults, with its required inputs filled in; None if that fails."""
    from septet.testing.evaluate import column_fields

    model = declaration.config
    inputs = {
        name: "close" if kind == "input" else "close > open"
        for name, kind in column_fields(model).items()
        if model.model_fields[name].is_required()
    }
    try:
        config: Config = model(**inputs)
    except ValueError:  # required keys: the author's tests supply them
        return None
    return config


def _whole_kit(declaration: Declaration, config: Config, resolve: Any) -> str:
    """Run the whole kit on a feature.

    A plugin does not declare whether a NaN may have no effect, so this is accepted here; the
    author's own tests are stricter.
    """
    from septet._host.declare import Step
    from septet.testing import ConformanceError, check_component

    if not isinstance(declaration, Step) or declaration.kind not in ("feature", "regime"):
        return ""
    if _is_over_columns(declaration, config):
        return ""
    try:
        check_component(declaration, config, absorbs_nan=True, resolve=resolve)
    except ConformanceError as error:
        return "; ".join(line.strip() for line in str(error).splitlines())
    return ""


def _is_over_columns(step: Step, config: Config) -> bool:
    """Whether a feature reads several columns by one key; the kit has no bars for that case."""
    from septet.testing.evaluate import column_fields

    marks = column_fields(type(config))
    return any(not isinstance(getattr(config, name), str | None) for name in marks)
