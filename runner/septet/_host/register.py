"""Finding plugins: every distribution's manifest, no plugin imported until it is used."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from septet.errors import PluginError
from septet.hookspecs import HOOK_OF_LAYER, LAYERS, PROJECT, Component, HookSpecs, Layer

__all__ = ["Failure", "Host", "Registered"]

GROUP = "septet"


@dataclass(frozen=True, slots=True)
class Registered:
    """A component and the distribution that brought it."""

    component: Component
    distribution: str
    version: str

    @property
    def qualified(self) -> str:
        """``distribution/name``, the unambiguous form of `use:`."""
        return f"{self.distribution}/{self.component.name}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A distribution whose manifest could not be imported; the others still work."""

    distribution: str
    target: str
    reason: str


class Host:
    """The plugins of one environment: discovered once, imported one by one when used."""

    def __init__(self, manifests: Iterable[tuple[str, str, object]] | None = None) -> None:
        """Discover installed manifests, or take ``(distribution, version, module)`` as given."""
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._failures: list[Failure] = []
        self._table: dict[Layer, dict[str, list[Registered]]] = {layer: {} for layer in LAYERS}
        self._loaded: dict[str, Any] = {}
        for distribution, version, manifest in (
            self._discover() if manifests is None else list(manifests)
        ):
            self.register(distribution, version, manifest)

    def _discover(self) -> Iterable[tuple[str, str, object]]:
        seen: set[tuple[str, str]] = set()
        for point in importlib.metadata.entry_points(group=GROUP):
            name = point.dist.name if point.dist else point.value
            version = point.dist.version if point.dist else "0"
            if (name, point.value) in seen:
                continue
            seen.add((name, point.value))
            try:
                yield name, version, point.load()
            except Exception as error:  # a stranger's module may raise anything
                self._failures.append(
                    Failure(name, point.value, f"{type(error).__name__}: {error}")
                )

    def register(self, distribution: str, version: str, manifest: object) -> None:
        """Add the components of one manifest module (or object with the hooks)."""
        label = f"{distribution}:{getattr(manifest, '__name__', id(manifest))}"
        self._manager.register(manifest, name=label)
        for layer in LAYERS:
            hook = getattr(manifest, HOOK_OF_LAYER[layer], None)
            if hook is None:
                continue
            for component in hook():
                if component.layer != layer:
                    raise PluginError(
                        f"{distribution}: {HOOK_OF_LAYER[layer]} declares {component.name!r} "
                        f"for layer {component.layer!r}, expected {layer!r}"
                    )
                entry = Registered(component, distribution, version)
                self._table[layer].setdefault(component.name, []).append(entry)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Distributions whose manifest could not be imported."""
        return tuple(self._failures)

    def components(self, layer: Layer | None = None, kind: str | None = None) -> list[Registered]:
        """Every registered component, in order of layer and name."""
        layers = LAYERS if layer is None else (layer,)
        return [
            entry
            for each in layers
            for name in sorted(self._table[each])
            for entry in self._table[each][name]
            if kind is None or entry.component.kind == kind
        ]

    def names(self, layer: Layer, kind: str | None = None) -> list[str]:
        """Names that `use:` may give in a layer."""
        return sorted({entry.component.name for entry in self.components(layer, kind)})

    def find(self, layer: Layer, name: str, kind: str | None = None) -> Registered:
        """Find one component by its name, or by ``distribution/name``.

        Raises
        ------
        PluginError
            If the name is unknown (with the closest known ones) or two distributions claim it.
        """
        distribution, slash, short = name.rpartition("/")
        found = [
            entry
            for entry in self._table[layer].get(short, [])
            if (not slash or entry.distribution == distribution)
            and (kind is None or entry.component.kind in (None, kind))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            owners = " and ".join(entry.distribution for entry in found)
            ways = " or ".join(f"use: {entry.qualified}" for entry in found)
            raise PluginError(
                f"{layer} plugin {name!r} is declared by {owners}", hint=f"write {ways}"
            )
        raise PluginError(
            f"unknown {kind or layer} plugin {name!r}", hint=self._closest(layer, name, kind)
        )

    def _closest(self, layer: Layer, name: str, kind: str | None) -> str:
        known = self.names(layer, kind)
        close = difflib.get_close_matches(name, known, n=3)
        text = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
        broken = "; ".join(
            f"{each.distribution} failed to load: {each.reason}" for each in self._failures
        )
        return f"{text}; {broken}" if broken else text

    def load(self, entry: Registered) -> Any:
        """Import a component's target: what its decorator made.

        Raises
        ------
        PluginError
            If the import fails, naming the distribution; other plugins still work.
        """
        target = entry.component.target
        if target not in self._loaded:
            module_name, _, attribute = target.partition(":")
            try:
                module = importlib.import_module(module_name)
                self._loaded[target] = getattr(module, attribute)
            except Exception as error:  # a stranger's module may raise anything
                raise PluginError(
                    f"{entry.component.layer} plugin {entry.component.name!r} of "
                    f"{entry.distribution} cannot be imported from {target}: "
                    f"{type(error).__name__}: {error}",
                    hint=f"reinstall or remove {entry.distribution}",
                ) from error
        return self._loaded[target]

    def declaration(self, layer: Layer, name: str, kind: str | None = None) -> Any:
        """Find and import in one call."""
        return self.load(self.find(layer, name, kind))

    def versions(self) -> Mapping[str, str]:
        """Version of every distribution that brought a component."""
        return {entry.distribution: entry.version for entry in self.components()}
