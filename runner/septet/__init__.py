"""septet: a declarative trading strategy runner. One YAML file, seven plugin layers.

What a program may use is listed in `__all__`, and imported when it is first asked for: importing
septet alone imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from septet_schemas import __version__

if TYPE_CHECKING:
    from septet._app.halt import Halted
    from septet._progress import Cancel, Progress
    from septet._python.results import Gap, Model, Summary, Trials, Verdict, Why
    from septet._python.running import Data, Engine, Failed, run, run_many
    from septet._python.runs import Run, Table, halt, open_run, resume, runs
    from septet._python.strategies import Check, Mode, Settings, Strategy, check, load, loads
    from septet._python.sweeps import Method, Sweep, sweep, train
    from septet._python.trials import trials
    from septet.errors import (
        Cancelled,
        ConfigError,
        DataError,
        HaltedError,
        InputError,
        JournalError,
        ModelError,
        PluginError,
        Problem,
        RunError,
        SeptetError,
    )

__all__ = [
    "Cancel",
    "Cancelled",
    "Check",
    "ConfigError",
    "Data",
    "DataError",
    "Engine",
    "Failed",
    "Gap",
    "Halted",
    "HaltedError",
    "InputError",
    "JournalError",
    "Method",
    "Mode",
    "Model",
    "ModelError",
    "PluginError",
    "Problem",
    "Progress",
    "Run",
    "RunError",
    "SeptetError",
    "Settings",
    "Strategy",
    "Summary",
    "Sweep",
    "Table",
    "Trials",
    "Verdict",
    "Why",
    "__version__",
    "check",
    "halt",
    "load",
    "loads",
    "open_run",
    "resume",
    "run",
    "run_many",
    "runs",
    "sweep",
    "train",
    "trials",
]

_HOMES: Final[dict[str, str]] = {
    "_app.halt": "Halted",
    "_progress": "Cancel Progress",
    "_python.results": "Gap Model Summary Trials Verdict Why",
    "_python.running": "Data Engine Failed run run_many",
    "_python.runs": "Run Table halt open_run resume runs",
    "_python.strategies": "Check Mode Settings Strategy check load loads",
    "_python.sweeps": "Method Sweep sweep train",
    "_python.trials": "trials",
    "errors": "Cancelled ConfigError DataError HaltedError InputError JournalError ModelError "
    "PluginError Problem RunError SeptetError",
}
"""Module -> the public names that it defines."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    for home, names in _HOMES.items():
        if name in names.split():
            value = getattr(importlib.import_module(f"septet.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
