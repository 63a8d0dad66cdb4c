"""Finds plugins by every distribution's manifest; a plugin is imported when it is used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from septet._host.contradictions import refuse_other_kind
from septet._host.installed import points
from septet._host.manifests import (
    StrangersError,
    components_of,
    name_of,
    require_valid_distribution,
    strangers_code,
)
from septet.errors import PluginError
from septet.hookspecs import LAYERS, Component, Layer

__all__ = ["BUILT_IN", "Failure", "Host", "Registered", "same_distribution"]

BUILT_IN: Final = "septet"
"""The distribution whose plugins every file may name without listing it."""


class Registered(msgspec.Struct, frozen=True):
    """A component and the distribution that brought it."""

    component: Component
    distribution: str
    version: str

    @property
    def qualified(self) -> str:
        """``distribution:name``, the unambiguous form of `use:`."""
        return f"{self.distribution}:{self.component.name}"


class Failure(msgspec.Struct, frozen=True):
    """A distribution that is set aside whole, and why; the others still work."""

    distribution: str
    target: str
    reason: str


class Host:
    """The plugins of one environment: discovered once, imported one by one when used."""

    def __init__(self, manifests: Iterable[tuple[str, str, object]] | None = None) -> None:
        """Discover installed manifests, or take ``(distribution, version, module)`` as given."""
        self._failures: list[Failure] = []
        self._table: dict[Layer, dict[str, list[Registered]]] = {layer: {} for layer in LAYERS}
        self._loaded: dict[str, Any] = {}
        for distribution, version, manifest in (
            self._discover() if manifests is None else list(manifests)
        ):
            self.register(distribution, version, manifest)

    def _discover(self) -> Iterable[tuple[str, str, object]]:
        registered: set[tuple[str, str]] = set()
        for point in points():
            target = name = point.entry.value
            try:
                with strangers_code():  # metadata that is damaged raises as well
                    name, version = point.distribution
                    if (name, target) in registered:
                        continue
                    registered.add((name, target))
                    manifest = point.load()
            except StrangersError as error:
                self._failures.append(Failure(str(name), target, error.message))
            else:
                yield name, version, manifest

    def register(self, distribution: str, version: str, manifest: object) -> None:
        """Add the components of one manifest module (or object with the hooks).

        A manifest with a fault adds nothing: its distribution is set aside and named in
        `failures`.
        """
        target = name_of(manifest)
        try:
            require_valid_distribution(distribution, version)
            components = components_of(manifest)
        except PluginError as error:
            self._failures.append(Failure(str(distribution), target, error.message))
            return
        for component in components:
            entry = Registered(component, distribution, version)
            self._table[component.layer].setdefault(component.name, []).append(entry)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Distributions that were set aside because their manifest has a fault."""
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

    def find(
        self,
        layer: Layer,
        name: str,
        kind: str | None = None,
        *,
        scope: Collection[str] | None = None,
    ) -> Registered:
        """Find one component by its name, or by ``distribution:name``.

        A name alone means septet's plugin, else that of a distribution in `scope` (None: of
        any). A package that is installed beside them changes the meaning of no name.

        Raises
        ------
        PluginError
            If the name is unknown (with the closest known ones), is only known outside of the
            scope, or two distributions of the scope claim it.
        """
        distribution, colon, short = name.rpartition(":")
        every = [
            entry
            for entry in self._table[layer].get(short, [])
            if (not colon or same_distribution(entry.distribution, distribution))
            and (kind is None or entry.component.kind in (None, kind))
        ]
        candidates = every
        if not colon:
            built_in = [each for each in every if each.distribution == BUILT_IN]
            candidates = built_in or [each for each in every if _within(each.distribution, scope)]
        if len(candidates) == 1:
            return candidates[0]
        spellings = " or ".join(f"use: {entry.qualified}" for entry in candidates or every)
        if candidates:
            owners = " and ".join(entry.distribution for entry in candidates)
            raise PluginError(
                f"{layer} plugin {name!r} is declared by {owners}", hint=f"write {spellings}"
            )
        if every:
            owners = " and ".join(entry.distribution for entry in every)
            listed = " or ".join(f"plugins: [{entry.distribution}]" for entry in every)
            raise PluginError(
                f"{layer} plugin {name!r} comes from {owners}, which the file does not list",
                hint=f"write {listed} at the top of the file, or {spellings}",
            )
        raise PluginError(
            f"unknown {kind or layer} plugin {name!r}", hint=self._closest(layer, name, kind)
        )

    def inner(self, name: str, owner: str) -> Registered:
        """Find an inner feature: in the package that declares it, then in septet.

        Raises
        ------
        PluginError
            If neither has the name; one of another package is written ``distribution:name``.
        """
        of_owner = [
            each for each in self._table["features"].get(name, []) if each.distribution == owner
        ]
        return of_owner[0] if of_owner else self.find("features", name)

    def hidden_by(self, layer: Layer, name: str, kind: str, scope: Collection[str]) -> list[str]:
        """Distributions of the scope that have a plugin of a name which means septet's."""
        every = [
            entry
            for entry in self._table[layer].get(name, [])
            if entry.component.kind in (None, kind)
        ]
        if not any(entry.distribution == BUILT_IN for entry in every):
            return []
        return [each.distribution for each in every if _within(each.distribution, scope)]

    def _closest(self, layer: Layer, name: str, kind: str | None) -> str:
        names = self.names(layer, kind)
        similar = difflib.get_close_matches(name, names, n=3)
        stem = name.lower().rstrip("0123456789_")  # RSI14 means rsi
        similar = similar or difflib.get_close_matches(stem, names, n=3)
        similar = similar or [each for each in names if len(each) > 2 and stem.startswith(each)]
        text = f"did you mean {' or '.join(similar)}?" if similar else f"known: {', '.join(names)}"
        broken = "; ".join(
            f"{each.distribution} failed to load: {each.reason}" for each in self._failures
        )
        return f"{text}; {broken}" if broken else text

    def load(self, entry: Registered) -> Any:
        """Import a component's target: what its decorator made.

        Raises
        ------
        PluginError
            If the import fails, naming the distribution, or the target is of another kind than
            the manifest states; other plugins still work.
        """
        target = entry.component.target
        if target not in self._loaded:
            module_name, _, attribute = target.partition(":")
            try:
                with strangers_code():
                    module = importlib.import_module(module_name)
                    loaded = getattr(module, attribute)
                    _build_settings(loaded)
                    self._loaded[target] = loaded
            except StrangersError as error:
                raise PluginError(
                    f"{entry.component.layer} plugin {entry.component.name!r} of "
                    f"{entry.distribution} cannot be imported from {target}: {error.message}",
                    hint=_import_hint(error.__cause__, entry),
                ) from error.__cause__
        refuse_other_kind(entry.component, self._loaded[target], entry.distribution)
        return self._loaded[target]

    def declaration(
        self,
        layer: Layer,
        name: str,
        kind: str | None = None,
        *,
        scope: Collection[str] | None = None,
    ) -> Any:
        """Find and import in one call."""
        return self.load(self.find(layer, name, kind, scope=scope))

    def versions(self) -> Mapping[str, str]:
        """Version of every distribution that brought a component."""
        return {entry.distribution: entry.version for entry in self.components()}


def _build_settings(declared: Any) -> None:
    """Build the validator of a plugin's settings, which raises for a class that has none."""
    config = getattr(declared, "config", None)
    from septet_schemas.base import Config

    if isinstance(config, type) and issubclass(config, Config):
        config.model_rebuild()


def _import_hint(error: BaseException | None, entry: Registered) -> str:
    """Return a hint if a plugin's module cannot be imported."""
    distribution, module = entry.distribution, entry.component.target.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{module}.".startswith(f"{error.name}."):
            return (
                f"{module}, which the manifest of {distribution} names, is not there: reinstall it"
            )
        return f"install the module {error.name}, which {distribution} imports"
    if isinstance(error, AttributeError | ImportError):
        return f"{distribution} and what it imports do not fit: install versions that do"
    return (
        f"this is a fault in the code of {distribution}: mend the line, or report it to its author"
    )


def same_distribution(first: str, second: str) -> bool:
    """Whether two spellings name one distribution: case, dots, dashes do not count."""
    return _spelling(first) == _spelling(second)


def _within(distribution: str, scope: Collection[str] | None) -> bool:
    return scope is None or any(same_distribution(distribution, each) for each in scope)


def _spelling(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
