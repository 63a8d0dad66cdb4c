"""Settings by key path, in the form of the loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from septet.errors import ConfigError, Problem

__all__ = ["laid"]


def laid(settings: Mapping[str, object]) -> list[Any]:
    """Return settings in the form of the loader.

    Raises
    ------
    ConfigError
        With every invalid setting.
    """
    from septet._config.overlay import value_setting

    settings_laid, problems = [], list[Problem]()
    for path, value in settings.items():
        try:
            settings_laid.append(value_setting(path, value))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return settings_laid
