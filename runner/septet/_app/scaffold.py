"""Creates a new plugin package that is complete and passes its test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from septet._files import make_folders, replace_file
from septet.errors import InputError

__all__ = ["write_package"]

_PROJECT: Final = """\
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "A septet plugin."
requires-python = ">=3.11"
dependencies = ["septet"]

[project.optional-dependencies]
test = ["pytest>=8"]

# septet finds the package through this entry point.
[project.entry-points.septet]
{package} = "{package}.manifest"

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]
"""
_MANIFEST: Final = '''\
"""What this package brings; listing it imports none of the plugins."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_features"]


@hookimpl
def septet_features() -> list[Component]:
    """List the features."""
    return [
        Component(
            "features",
            "distance",
            "{package}.distance:distance",
            "feature",
            "distance of a column from its mean",
        )
    ]
'''
_FEATURE: Final = '''\
"""Distance of a column from its rolling mean."""

from septet.plugin import Bars, Config, Input, feature

__all__ = ["Distance", "distance"]


class Distance(Config):
    """Distance of a column from its mean over `period` bars, as a fraction of the mean."""

    of: Input = "close"
    """The column that is compared with its mean."""
    period: Bars = 20
    """Bars of the mean."""


@feature(Distance, lookback=lambda config: config.period - 1)
def distance(i, of, period):
    """Return ``of / mean - 1``, a fraction; NaN where the mean is not above zero."""
    total = 0.0
    for j in range(i - period + 1, i + 1):
        total += of[j]
    mean = total / period
    if not mean > 0.0:
        return float("nan")
    return of[i] / mean - 1.0
'''
_TEST: Final = '''\
"""The kit of septet checks what every feature promises: no look-ahead, declared memory."""

from septet.testing import check_component

from {package}.distance import Distance, distance


def test_distance_keeps_its_promises():
    check_component(distance, Distance(period=10))
'''
_README: Final = """\
# {name}

A plugin package for septet. `pip install -e .` registers it; a strategy file then has
`features: {{away: {{use: distance, period: 20}}}}`.

    pip install -e ".[test]"
    pytest
    septet plugins check {name}
"""


def write_package(folder: Path) -> list[str]:
    """Write the package's files and return their names.

    Raises
    ------
    InputError
        If the folder is not empty, its name cannot be a package name, or it cannot be written.
    """
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    package = name.replace("-", "_")
    if not package.isidentifier():
        raise InputError(
            f"{folder.name!r} makes no package name",
            hint="name the folder with letters and dashes, such as my-septet-plugin",
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty", hint="name a new folder")
    files = {
        "README.md": _README,
        "pyproject.toml": _PROJECT,
        f"src/{package}/__init__.py": '"""A septet plugin."""\n',
        f"src/{package}/manifest.py": _MANIFEST,
        f"src/{package}/distance.py": _FEATURE,
        "tests/test_distance.py": _TEST,
    }
    try:
        for path, text in files.items():
            target = folder / path
            make_folders(folder, *Path(path).parent.parts)
            filled = text.replace("{package}", package).replace("{name}", name)
            replace_file(target, filled.replace("{{", "{").replace("}}", "}"))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    return sorted(files)
