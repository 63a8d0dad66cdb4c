"""Finds plugins for the schema, and checks that required packages are installed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pydantic import ConfigDict
from pydantic_core import PydanticCustomError

from septet._host.plugin_registry import Host, same_distribution
from septet.errors import PluginError
from septet.hookspecs import LAYERS, Layer
from septet_schemas.base import Config
from septet_schemas.late_patterns import late_pattern

__all__ = ["HostResolver", "LenientResolver", "check_requirement", "listed_in"]

_REQUIREMENT: Final = late_pattern(
    r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*"
    r"((?:[<>=!~]=?=?\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*)$"
)


_SHOWN: Final = 12
_NOUNS: Final = {
    "alerts": "an alert channel",
    "candles": "a source of candles",
    "feature": "a feature",
    "halt": "a halt",
    "limit": "a limit",
    "model": "a model",
    "monitor": "a monitor",
    "order": "an order style",
    "regime": "a regime filter",
    "series": "a source of series",
    "signal": "a signal",
    "sizing": "a sizing",
    "stop": "a stop",
    "venue": "a venue",
}


_MEANT: Final = {
    ("signal", "grid"): "a grid is no signal: write risk: {position: {grid: {centre: close, step: "
    "1%, levels: 4, size: 20%}}} in place of signal and risk.sizing",
    ("signal", "buy_every"): "regular buys are no signal: write risk: {position: {buy_every: "
    "{every: 1w, amount: 50}}} in place of signal and risk.sizing",
    ("signal", "dca"): "regular buys are no signal: write risk: {position: {buy_every: {every: 1w, "
    "amount: 50}}} in place of signal and risk.sizing",
    ("signal", "portfolio"): "a portfolio is a block of its own: write portfolio: {use: top, by: "
    "NAME of a feature, long: 3, rebalance: {every: 1w}} in place of signal and risk.sizing",
    ("signal", "top"): "top is a portfolio: write portfolio: {use: top, by: NAME of a feature, "
    "long: 3, rebalance: {every: 1w}} in place of signal and risk.sizing",
    ("signal", "threshold"): "write use: confidence, threshold: 10%",
    ("signal", "model"): "write use: confidence, threshold: 10%",
    ("model", "random_forest"): "write use: sklearn, estimator: RandomForestClassifier",
    ("model", "logistic"): "write use: sklearn, estimator: LogisticRegression",
    ("model", "logistic_regression"): "write use: sklearn, estimator: LogisticRegression",
    ("model", "mlp"): "write use: sklearn, estimator: MLPClassifier",
    ("model", "neural_network"): "write use: sklearn, estimator: MLPClassifier",
    ("model", "gradient_boosting"): "write use: sklearn, estimator: HistGradientBoostingClassifier",
    ("model", "xgboost"): "write use: lightgbm, or use: sklearn, estimator: "
    "HistGradientBoostingClassifier",
    ("model", "LGBMClassifier"): "write use: lightgbm",
    ("model", "XGBClassifier"): "write use: lightgbm, or use: sklearn, estimator: "
    "HistGradientBoostingClassifier",
}
"""The plugin to propose for a name that beginners use for a plugin of a kind."""
_CLASSIFIER: Final = late_pattern(
    r"(?:[A-Z]\w*(?:Classifier(?:CV)?|NB|Analysis)|\w*SVC|LogisticRegression(?:CV)?)"
)


def _meant(kind: str, name: str) -> str:
    """Return the proposal for a name that is not a plugin: a block, or an estimator's class."""
    advice = _MEANT.get((kind, name)) or _MEANT.get((kind, name.lower()), "")
    if not advice and kind == "model" and len(name) <= 60 and _CLASSIFIER.fullmatch(name):
        return f"a class of scikit-learn is an estimator: write use: sklearn, estimator: {name}"
    return advice


class HostResolver:
    """Resolves the declaration that `use:` names, for the schema.

    A name alone is looked for in septet and in the packages that the file lists under `plugins:`.
    """

    def __init__(self, host: Host, listed: Sequence[str] = ()) -> None:
        self.host = host
        self.listed = tuple(listed)

    def resolve(self, layer: str, kind: str, name: str) -> tuple[Any, str]:
        """Return the declaration and its distribution.

        Raises
        ------
        PydanticCustomError
            If the name is unknown, ambiguous, of another kind, or cannot be imported.
        """
        layer_name: Any = layer
        try:
            entry = self.host.find(layer_name, name, kind, scope=self.listed)
            declaration = self.host.load(entry)
        except PluginError as error:
            raise _refusal(error.message, self._hint(layer_name, kind, name, error.hint)) from None
        return declaration, entry.distribution

    def _hint(self, layer: Layer, kind: str, name: str, hint: str) -> str:
        elsewhere = "" if hint.startswith("write ") else self._elsewhere(layer, kind, name)
        if elsewhere:
            return elsewhere
        names, failed = self.host.names(layer, kind), hint.partition("; ")[2]
        if not names:
            return "no plugin of this kind is installed"
        if not hint.startswith("known: ") or len(names) <= _SHOWN:
            return hint
        listed = f"known: {', '.join(names[:_SHOWN])}, ...; septet plugins list --layer {layer}"
        return f"{listed}; {failed}" if failed else listed

    def _elsewhere(self, layer: Layer, kind: str, name: str) -> str:
        if advice := _meant(kind, name):
            return advice
        for other_layer in LAYERS:
            for entry in self.host.components(other_layer):
                has_name = entry.component.name == name
                if has_name and (other_layer != layer or entry.component.kind not in (None, kind)):
                    is_a = _NOUNS.get(
                        entry.component.kind or "", entry.component.kind or other_layer
                    )
                    return f"{name} is {is_a}, not {_NOUNS[kind]}"
        return ""


class _Anything(Config):
    """The config of a plugin that is not installed: it accepts every key."""

    model_config = ConfigDict(extra="allow")


class _Absent(msgspec.Struct, frozen=True):
    """The declaration of a plugin that is not installed."""

    kind: str
    config: type[Config] = _Anything

    def __getattr__(self, name: str) -> None:
        """Return None for every fact of a declaration: a check treats it as undeclared."""
        if name.startswith("__"):
            raise AttributeError(name)


class LenientResolver:
    """Resolves any name, so that a file with an unknown plugin can be checked otherwise."""

    def __init__(self, strict: HostResolver) -> None:
        self.strict = strict

    def resolve(self, layer: str, kind: str, name: str) -> tuple[Any, str]:
        """Return the declaration, or a stand-in that accepts every key."""
        try:
            return self.strict.resolve(layer, kind, name)
        except PydanticCustomError:
            return _Absent(kind), ""


def _refusal(message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("plugin", "{message}", {"message": message, "hint": hint})


def listed_in(requirements: object) -> tuple[str, ...]:
    """Return the packages in `plugins:` of a file.

    Entries that are not requirements are left out.
    """
    texts = requirements if isinstance(requirements, list | tuple) else ()
    matches = (_REQUIREMENT.match(text) for text in texts if isinstance(text, str))
    return tuple(match[1] for match in matches if match is not None)


def check_requirement(text: object, host: Host) -> tuple[str, str, str]:
    """Check one entry of `plugins:`; return (message, expected, hint), all empty when it holds."""
    match = _REQUIREMENT.match(text) if isinstance(text, str) else None
    if match is None:
        return "this is not a package requirement", "a package such as 'my-plugin >=1.0'", ""
    name, versions = match[1], match[2].strip().rstrip(",")
    for each in host.failures:
        if same_distribution(each.distribution, name):
            message = f"the plugins of {name} cannot be used: {each.reason}"
            return message, "", f"report this to {name}, or install another version of it"
    brought = {_plain(each): version for each, version in host.versions().items()}
    try:
        installed = brought.get(_plain(name)) or importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        requirement = f"{name}{versions.replace(' ', '')}"
        return f"the package {name} is not installed", requirement, f'pip install "{requirement}"'
    if versions and not _satisfies(installed, versions):
        hint = f'pip install "{name}{versions.replace(" ", "")}"'
        return f"{name} {installed} is installed", f"{name} {versions}", hint
    return "", "", ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _satisfies(installed: str, versions: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(versions).contains(installed, prereleases=True)
    except InvalidSpecifier:
        return False
