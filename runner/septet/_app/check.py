"""Checks a strategy file: its shape, references and data, and on request the venue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from septet._app.documents import problem_document
from septet.errors import ConfigError, Problem

if TYPE_CHECKING:
    from septet._config.access_rights import Access
    from septet._config.load import Loaded
    from septet._live.world_check import World
    from septet._shell.training_checks import Windows

__all__ = ["CheckRequest", "Checked", "check_file", "check_loading"]

LoadWith = Callable[[Sequence[Any]], Any]


class CheckRequest(msgspec.Struct, frozen=True):
    """Options of a check: the data of the file, and with `world` its feed and venue.

    `clock` is the address of a local venue that provides market time.
    """

    data: bool = True
    world: bool = False
    clock: str | None = None


class Checked(msgspec.Struct, frozen=True):
    """Result of a check of a valid file: its warnings and findings.

    `settings` is the number of settings of its sweep; `world` are the findings on feed and venue;
    `windows` are the training windows of its model.
    """

    loaded: Loaded
    file: str
    problems: tuple[Problem, ...]
    settings: int | None = None
    world: World | None = None
    windows: Windows | None = None

    @property
    def ok(self) -> bool:
        """Whether a run may start: no findings, or only findings on the venue."""
        return self.world is None or self.world.ok

    def document(self) -> dict[str, Any]:
        """Return the result as plain data."""
        strategy = self.loaded.strategy
        fields: dict[str, Any] = {
            "ok": self.ok,
            "file": self.file,
            "name": strategy.name,
            "mode": strategy.mode,
            "problems": [problem_document(each) for each in self.problems],
            "plugins": [each.document() for each in self.loaded.verdicts],
        }
        if self.settings is not None:
            fields["settings_of_sweep"] = self.settings
        if self.world is not None:
            fields["world"] = [asdict(each) for each in self.world.rows]
        if self.windows is not None:
            fields["training"] = self.windows.document()
        return fields


def check_file(
    file: str | Path,
    request: CheckRequest,
    *,
    mode: str | None = None,
    sets: Sequence[Any] = (),
    access: Access | None = None,
    unchecked: bool = False,
    log: Callable[[str], None] | None = None,
) -> Checked:
    """Load a file, and check it and its data.

    Raises
    ------
    ConfigError
        With every error and warning, each with its place.
    """
    from septet._config.load import load

    load_again = partial(load, file, mode=mode, access=access, unchecked=unchecked)
    return check_loading(load_again, request, sets=sets, log=log, file=str(file))


def check_loading(
    load_again: Callable[..., Loaded],
    request: CheckRequest,
    *,
    sets: Sequence[Any] = (),
    log: Callable[[str], None] | None = None,
    file: str,
) -> Checked:
    """Check the strategy that `again` loads, and its data.

    Parameters
    ----------
    again
        Loads the strategy with the settings `sets`, and reports slow steps to `log`.
    file
        Name of the file in the result.

    Raises
    ------
    ConfigError
        With every error and warning, each with its place.
    """
    reads = request.data and not request.world
    load_with: LoadWith | None = (
        (lambda settings_added: load_again(sets=[*sets, *settings_added])) if reads else None
    )
    try:
        loaded = load_again(sets=sets, log=log)
    except ConfigError as error:
        raise ConfigError([*error.problems, *_besides(error, load_with)]) from None
    settings = _settings_of_sweep(loaded) if loaded.strategy.sweep is not None else None
    ahead, windows = _preflight(loaded, request, load_with)
    problems = (*loaded.warnings, *ahead)
    if any(each.severity == "error" for each in ahead):
        raise ConfigError(problems)
    loaded = replace(loaded, warnings=problems)
    world = _look(loaded, request.clock) if request.world else None
    if world is not None:
        problems = (*problems, *world.problems)
    return Checked(loaded, file, problems, settings, world, windows)


def _besides(error: ConfigError, load_with: LoadWith | None) -> list[Problem]:
    """Return problems of the data other than a missing key, if there are no others."""
    if load_with is None:
        return []
    from septet._shell.missing_keys import known_besides

    return known_besides(error, load_with)


def _preflight(
    loaded: Loaded, request: CheckRequest, load_with: LoadWith | None
) -> tuple[list[Problem], Windows | None]:
    """Report what would stop a run of this file here, and the training windows of its model."""
    from septet._shell.preflight import check_data, check_model, check_secrets

    if loaded.strategy.mode == "backtest":
        if not request.data or request.world:
            return check_model(loaded), None
        checked = check_data(loaded)
        if not checked.missing_key or load_with is None:
            return checked.problems, checked.windows
        from septet._shell.missing_keys import problems_without

        return [*checked.problems, *problems_without([checked.missing_key], load_with)], None
    from septet._live.listen_address import check_port
    from septet._live.wiring import check_feed

    feed = check_feed(loaded)
    if request.world:
        return [*feed, *check_model(loaded)], None
    secrets = check_secrets(loaded) if loaded.strategy.mode == "live" else []
    return [*feed, *secrets, *check_port(loaded), *check_model(loaded)], None


def _look(loaded: Loaded, address: str | None) -> World:
    from septet._live.clock import clock_from
    from septet._live.world_check import look

    return look(loaded, clock_from(address) if address else None)


def _settings_of_sweep(loaded: Loaded) -> int:
    """Check every value of the file's sweep; return the number of its settings."""
    from septet._sweep.space import space_of
    from septet._sweep.value_checks import check_values

    space = space_of(loaded)
    check_values(loaded, space)
    return len(space)
