"""Runs a strategy against a local venue that injects faults."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from septet._files import make_folder, replace_file
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._config.load import Loaded
    from septet._drill.options import Options
    from septet._drill.outcome import Outcome

__all__ = ["DrillRequest", "PreparedDrill", "drill_folder", "prepare_drill", "run_drill"]


@dataclass(frozen=True, slots=True)
class DrillRequest:
    """Options of a drill: its faults, their rate, and its bars; `seed` determines everything."""

    seed: int = 1
    faults: str = "all"
    times: int = 1
    kills: int = 0
    bars: int | None = None
    bar: str = "1s"
    mode: Literal["live", "paper"] = "live"
    synthetic: bool = False
    keep_going: bool = False


@dataclass(frozen=True, slots=True)
class PreparedDrill:
    """A loaded file and the options of its drill; its folder exists."""

    loaded: Loaded
    options: Options


def prepare_drill(
    file: str | Path, request: DrillRequest, *, sets: Sequence[str] = (), out: Path | None = None
) -> PreparedDrill:
    """Load the file, read the request and make the drill's folder; nothing runs.

    Raises
    ------
    InputError
        If the request is invalid, or the folder is not empty.
    """
    from septet._config import load
    from septet._drill.fault_kinds import codes_of
    from septet._drill.options import Options

    codes = codes_of(request.faults)
    bar_wall_ns = _duration(request.bar)
    loaded = load(file, mode="backtest", sets=sets)
    options = Options(
        seed=request.seed, codes=codes, folder=drill_folder(out, loaded.strategy.name),
        mode=request.mode, times=request.times, kills=request.kills, bars=request.bars or 0,
        bar_wall_ns=bar_wall_ns, synthetic=request.synthetic, keep_going=request.keep_going,
        sets=tuple(sets),
    )  # fmt: skip
    return PreparedDrill(loaded, options)


def run_drill(prepared: PreparedDrill, *, log: Callable[[str], None]) -> Outcome:
    """Run a drill and store its outcome as drill.json in its folder."""
    from septet._drill.rehearsal import drill

    outcome = drill(prepared.loaded, prepared.options, log=log)
    text = json.dumps(outcome.document(), indent=1) + "\n"
    replace_file(prepared.options.folder / "drill.json", text)
    return outcome


def _duration(text: str) -> int:
    from septet_schemas.units import parse_duration

    try:
        nanoseconds = int(parse_duration(text))
    except ValueError as error:
        raise InputError(f"--bar {text}: {error}", hint="write 500ms or 1s") from None
    if nanoseconds < 50_000_000:
        raise InputError(f"--bar {text} is too short for a rehearsal", hint="write 250ms or more")
    return nanoseconds


def drill_folder(out: Path | None, name: str) -> Path:
    """Return an empty folder for a drill of the strategy `name`.

    Raises
    ------
    InputError
        If it cannot be made, or is not empty.
    """
    from septet._store.run_folder import folder_name

    try:
        if out is None:
            make_folder(Path("drills"))
            return Path(tempfile.mkdtemp(prefix=f"{folder_name(name)}-", dir="drills")).resolve()
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the drill cannot be stored: {error}", hint="name a folder with --out"
        ) from None
    if any(out.iterdir()):
        raise InputError(f"{out} is not empty", hint="name a new folder with --out")
    return out.resolve()
