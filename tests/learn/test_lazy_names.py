"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import septet
from septet import _learn

PACKAGES = [
    each.name
    for each in pkgutil.walk_packages(septet.__path__, "septet.")
    if each.ispkg and not each.name.endswith("__main__")
]


@pytest.mark.parametrize("home", sorted(_learn._HOMES))
def test_each_name_is_that_of_its_module(home: str) -> None:
    module = importlib.import_module(f"septet._learn.{home}")
    for name in _learn._HOMES[home]:
        assert getattr(_learn, name) is getattr(module, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_a_name_that_its_package_hands_out(package: str) -> None:
    """Importing it would put the module in the place of what the name means."""
    made = importlib.import_module(package)
    if not hasattr(made, "__getattr__"):
        return  # all its names are in place before anybody imports a module
    modules = {each.name for each in pkgutil.iter_modules(made.__path__)}
    handed = set(getattr(made, "__all__", ()))
    assert not modules & handed
