"""Every name that a room imports lazily is found, and is no module of the same name."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

ROOMS = ["septet", "septet._data", "septet._learn"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_lazy_name_is_found_where_it_is_listed(room: str) -> None:
    module = importlib.import_module(room)
    for name in module.__all__:
        assert not isinstance(getattr(module, name), ModuleType) or name == "errors"


def test_a_name_of_the_learning_room_is_never_shadowed_by_a_module() -> None:
    text = (
        "import septet._learn as learn, septet._shell.learning\n"
        "import septet._learn.walk_forward_run, septet._learn.estimator_trial\n"
        "assert callable(learn.walk_forward) and callable(learn.trial_fit)\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)
