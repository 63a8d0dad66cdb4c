"""Alerts about a start of a paper or live run that was refused before any run was opened.

The strategy file may be broken, or the journal damaged: nothing of them can be used. The newest run
in the output folder holds the resolved file that it began with, and in it the channel of alerts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._files import read_bounded
from septet._text import decode_json
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._config.access_rights import Access
    from septet._config.load import Loaded

__all__ = ["alert_refused_start"]

_NAME: Final = re.compile(r"^name:[ \t]*['\"]?([^'\"#\n]+)", re.MULTILINE)
_MODE: Final = re.compile(r"^mode:[ \t]*['\"]?(\w+)", re.MULTILINE)
_LONGEST: Final = 16 << 20
_WITHIN_S: Final = 10.0
"""How long the channel is waited for."""


def alert_refused_start(
    file: Path | str,
    error: SeptetError,
    *,
    out: Path,
    mode: str | None,
    access: Access | None,
    log: Callable[[str], None],
) -> bool:
    """Send an alert that a start was refused, if the newest run may hold something; return if so.

    Nothing is raised: what is wrong with the alert is passed to `log`.

    Parameters
    ----------
    file
        The file that was to be run.
    mode
        The mode that was asked for, None for that of the file.
    """
    try:
        folder = _newest(Path(file), out, mode)
        held = None if folder is None else _held_text(folder)
        if folder is None or held is None:
            return False
        loaded = _stored(folder, Path(file))
        if loaded.strategy.monitoring.alerts is None or mode not in (None, loaded.strategy.mode):
            return False
        lines = (
            f"no process runs {folder.name}, and {held}",
            "no exit is sent, and no stop acts but those that rest at the venue",
            f"the start of {Path(file).name} was refused: {error.message}",
        )
        asyncio.run(_send(loaded, lines, access, log))
    except Exception as problem:  # the refusal itself is reported all the same
        why = problem.message if isinstance(problem, SeptetError) else type(problem).__name__
        log(f"no alert about the refused start was sent: {why}")
        return False
    log(f"an alert about the refused start was given to the channel of {folder}")
    return True


def _newest(file: Path, out: Path, mode: str | None) -> Path | None:
    """Return the newest run of a file's strategy that no process holds, None without one.

    Where the name cannot be read, it is the newest run of all. The mode is that which was asked
    for, or else stands in the file.
    """
    from septet._journal.lease import holder_of
    from septet._store.find_runs import find_folder
    from septet._store.run_folder import folder_name

    text = ""
    with suppress(OSError, ValueError):  # a pipe is refused, as by the loader
        text = read_bounded(file, _LONGEST).decode()
    found, written = _NAME.search(text), _MODE.search(text)
    if (mode or (written and written[1])) not in ("paper", "live"):
        return None
    reference = "latest" if found is None else folder_name(found[1].strip())
    try:
        folder = find_folder(reference, out, live=True)
    except SeptetError:
        return None
    return None if holder_of(folder) is not None else folder


def _stored(folder: Path, file: Path) -> Loaded:
    """Return the strategy that a run began with, from its folder."""
    import yaml

    from septet._config.load import reopen
    from septet._config.read import parse_text
    from septet.errors import ConfigError

    resolved = decode_json(read_bounded(folder / "resolved.json", _LONGEST))
    text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
    tree, problems = parse_text(text, str(folder / "resolved.json"))
    if problems:
        raise ConfigError(problems)
    return reopen(tree, folder / "strategy.yaml", file.parent)


def _held_text(folder: Path) -> str | None:
    """Return in words what a run holds by its journal; None if it holds nothing."""
    from septet._report.open_state import open_state, stop_text
    from septet._store.journal_view import LiveRun

    unknown = "what it holds cannot be read: look at the venue"
    try:
        state: dict[str, Any] | None = open_state(LiveRun(folder))
    except Exception:  # whatever is wrong with the journal: something may be held
        return unknown
    if state is None or state["doubt"]:
        return unknown
    if not (state["positions"] or state["orders"]):
        return None
    options = {"simulated": state["simulated"], "currency": state["currency"]}
    positions = [
        f"{each['symbol']} {each['quantity']:g} ({stop_text(each, **options)})"
        for each in state["positions"]
    ]
    return f"it holds {', '.join(positions) or 'nothing'}; open orders: {len(state['orders'])}"


async def _send(
    loaded: Loaded, lines: tuple[str, ...], access: Access | None, log: Callable[[str], None]
) -> None:
    from septet._host.background_tasks import Tasks
    from septet._live.alert_texts import Alert
    from septet._live.alerts import Alerts

    def notify(level: str, event: str, fields: dict[str, Any]) -> None:
        log(f"{event}: {fields.get('text', '')}")

    strategy, tasks = loaded.strategy, Tasks("alerts")
    alerts = Alerts(
        strategy.monitoring.alerts, f"{strategy.name} {strategy.mode}", loaded.base_dir, notify,
        access, goes_on=True,
    )  # fmt: skip
    alerts.start(tasks)
    what = "start_refused", "start refused"
    alerts.put(Alert(frozenset({"error"}), "failure", *what, lines))
    await alerts.close(_WITHIN_S)
    await tasks.close()
