"""The hooks a plugin package implements: one a layer, and one for commands.

A package names one import-light manifest module in the entry-point group ``septet``. Each hook
in it returns `Component` declarations whose `target` is a string, so that listing every
installed plugin imports none of them::

    from septet.hookspecs import Component, hookimpl

    @hookimpl
    def septet_features() -> list[Component]:
        return [Component("features", "distance", "my_plugin.trend:distance")]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import pluggy

__all__ = [
    "HOOK_OF_LAYER",
    "LAYERS",
    "PROJECT",
    "Component",
    "HookSpecs",
    "Kind",
    "Layer",
    "hookimpl",
    "hookspec",
]

PROJECT: Final = "septet"
"""The group of entry points, and pluggy's name of the project."""
Layer = Literal[
    "data", "features", "models", "signals", "risk", "execution", "monitoring", "commands"
]
"""The name of a layer."""
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)
"""Every layer, in the order of a decision."""
Kind = Literal[
    "candles", "series", "feature", "model", "signal", "regime", "sizing", "limit", "stop", "halt",
    "venue", "order", "monitor", "alerts", "command",
]  # fmt: skip
"""What a component is within its layer."""

hookspec = pluggy.HookspecMarker(PROJECT)
"""Marks the specification of a hook."""
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a manifest module as the implementation of a hook."""


@dataclass(frozen=True, slots=True)
class Component:
    """One plugin: its layer, its name in YAML, and where its declaration is found.

    `target` is ``module:attribute``; the attribute is what a decorator of `septet.plugin`
    made. `kind` is what the component is within its layer (a limit, a stop, a halt, ...);
    it may be left out where a layer has one kind.
    """

    layer: Layer
    name: str
    target: str
    kind: Kind | None = None
    summary: str = ""


class HookSpecs:
    """What a manifest module may implement; each hook takes nothing and returns components."""

    @hookspec
    def septet_data(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Sources of bars (`kind="candles"`) and of outside series (`kind="series"`)."""

    @hookspec
    def septet_features(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Features: one float64 for each symbol and decision time."""

    @hookspec
    def septet_models(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Models: a feature vector to a probability up and down."""

    @hookspec
    def septet_signals(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Signals (`kind="signal"`) and regime filters (`kind="regime"`)."""

    @hookspec
    def septet_risk(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Sizing, limits, stops and halts; `kind` states which."""

    @hookspec
    def septet_execution(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Venues (`kind="venue"`) and order styles (`kind="order"`)."""

    @hookspec
    def septet_monitoring(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Monitors (`kind="monitor"`) and alert channels (`kind="alerts"`)."""

    @hookspec
    def septet_commands(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Further commands of the command line: targets are `click.Command` objects."""


HOOK_OF_LAYER: Final[dict[Layer, str]] = {layer: f"septet_{layer}" for layer in LAYERS}
"""The name of the hook that gives a layer's components."""
