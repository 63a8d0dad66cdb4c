"""All steps of one installed distribution, for a parametrised test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from septet._host.declare import Step
from septet._host.plugin_registry import Host
from septet.hookspecs import Layer
from septet.testing.checks import check_component
from septet.testing.planning import compile_steps
from septet.testing.rules import check_rule
from septet_schemas.base import Config

__all__ = ["check_package", "features_of", "steps_of"]

LAYERS: Final[tuple[Layer, ...]] = ("features", "signals", "risk", "execution")
"""Layers that have steps."""


def features_of(distribution: str) -> dict[str, Step]:
    """Return every feature of an installed distribution by its name in YAML."""
    return _steps_of(distribution, "features")


def steps_of(distribution: str) -> dict[str, Step]:
    """Return every step of an installed distribution by its name in YAML.

    A name that two layers have stands behind that of the later layer: ``risk.NAME``.
    """
    found: dict[str, Step] = {}
    for layer in LAYERS:
        for name, step in _steps_of(distribution, layer).items():
            found[name if name not in found else f"{layer}.{name}"] = step
    return found


def _steps_of(distribution: str, layer: Layer) -> dict[str, Step]:
    host = Host()
    found = {}
    for entry in host.components(layer):
        if entry.distribution == distribution:
            declaration = host.load(entry)
            if isinstance(declaration, Step):
                found[entry.component.name] = declaration
    return found


def check_package(
    distribution: str,
    configs: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    **options: Any,
) -> None:
    """Run the kit on every step of a distribution, and compile all of them for a live run.

    `configs` gives settings by name, as `steps_of` has it; a step it leaves out is checked with
    its defaults. `options` are those of `check_component`, for features and regimes.

    Raises
    ------
    ConformanceError
        At the first step that fails.
    PluginError
        Where a live plan cannot be compiled with the steps.
    KeyError
        For a name that the distribution does not bring.
    """
    steps = steps_of(distribution)
    checked = list[tuple[Step, Config]]()
    for name in configs or {}:
        if name not in steps:
            known = ", ".join(sorted(steps)) or "none"
            raise KeyError(f"{distribution} brings no step {name!r}; it brings {known}")
    for name, declaration in steps.items():
        for settings in (configs or {}).get(name, [{}]):
            config: Config = declaration.config(**settings)
            if declaration.kind in ("feature", "regime"):
                check_component(declaration, config, **options)
            else:
                check_rule(declaration, config)
            checked.append((declaration, config))
    compile_steps(checked)
