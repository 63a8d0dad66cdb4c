"""All features of one installed distribution, for a parametrised test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from septet._host.declare import Step
from septet._host.register import Host
from septet.testing.checks import check_component
from septet.testing.rules import check_rule
from septet_schemas.base import Config

__all__ = ["check_package", "features_of"]


def features_of(distribution: str) -> dict[str, Step]:
    """Every feature a distribution brings, by the name it has in YAML."""
    host = Host()
    found = {}
    for entry in host.components("features"):
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
    """Run the kit on every feature of a distribution.

    `configs` gives settings by feature name; a feature it leaves out is checked with its
    defaults, and one that looks across the universe as a rule is. Raises `ConformanceError` at
    the first feature that fails, `KeyError` for a name that the distribution does not bring.
    """
    features = features_of(distribution)
    for name in configs or {}:
        if name not in features:
            known = ", ".join(sorted(features)) or "none"
            raise KeyError(f"{distribution} brings no feature {name!r}; it brings {known}")
    for name, declaration in features.items():
        for settings in (configs or {}).get(name, [{}]):
            config: Config = declaration.config(**settings)
            if declaration.kind == "across":
                check_rule(declaration, config)
            else:
                check_component(declaration, config, **options)
