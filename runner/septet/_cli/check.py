"""``septet check FILE``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from septet._app.documents import problem_document, to_json
from septet._cli import options
from septet._cli.render import (
    count_text,
    render_problems,
    render_table,
)
from septet._cli.terminal import echo, echo_json, echo_text, styled
from septet.errors import ConfigError, Problem

if TYPE_CHECKING:
    from septet._config.load import Loaded
    from septet._live.world_check import World
    from septet._shell.training_checks import Windows

__all__ = ["check"]

LoadWith = Callable[[Sequence[str]], Any]


@click.command()
@options.strategy_file
@options.mode
@options.settings
@click.option(
    "--world",
    is_flag=True,
    help="Paper and live: ask the feed and the venue, too. Reads only.",
)
@click.option(
    "--clock",
    metavar="URL",
    help="With --world: take market time from the local venue at this address.",
)
@options.unchecked
@options.access
@click.option("--no-data", is_flag=True, help="Leave the data unread: for a machine without it.")
@options.as_json
def check(
    file: str,
    mode: str | None,
    sets: tuple[str, ...],
    world: bool,
    clock: str | None,
    unchecked: bool,
    secrets: tuple[str, ...],
    hosts: tuple[str, ...],
    no_data: bool,
    as_json: bool,
) -> int:
    """Check a strategy file: its shape, what it refers to, and whether it makes sense.

    Nothing is downloaded and nothing runs, but plugins of other packages, which are tried once for
    each version of their source. Every problem is shown at once, each with its place.
    The data of a backtest is read as a run reads it: a missing file, a span without data and
    windows longer than the data are found. In live mode secrets that cannot be read are.
    With --world the exchange is asked whether it lists the symbols, takes the sizes and orders,
    how far its history reaches, what the key may do, and what the clocks say; what would stop a
    run, or keep it from ever entering, is an error and leaves with status 2. The file reads no
    secret, and reaches no address of its own, that was not allowed here.
    """
    from septet._config.load import load

    access = options.access_of(secrets, hosts)
    again = partial(load, file, mode=mode, access=access, unchecked=unchecked)
    load_with: LoadWith | None = (
        None if no_data or world else lambda more: again(sets=[*sets, *more])
    )
    try:
        loaded = again(sets=sets, log=options.log_to_stderr)
    except ConfigError as error:
        raise ConfigError([*error.problems, *_besides(error, load_with)]) from None
    settings = _settings_of_sweep(loaded) if loaded.strategy.sweep is not None else None
    ahead, windows = _preflight(loaded, load_with, world=world)
    if any(each.severity == "error" for each in ahead):
        raise ConfigError([*loaded.warnings, *ahead])
    loaded = replace(loaded, warnings=(*loaded.warnings, *ahead))
    seen = _look(loaded, clock) if world else None
    if as_json:
        training = {} if windows is None else {"training": windows.document()}
        echo_json(to_json({**_document(loaded, file, settings, seen), **training}))
    else:
        _show(loaded, file, settings, seen, windows)
    return 0 if seen is None or seen.ok else 2


def _besides(error: ConfigError, load_with: LoadWith | None) -> list[Problem]:
    """Return the problems of the data besides a missing key, if there are no others."""
    if load_with is None:
        return []
    from septet._shell.missing_keys import known_besides

    return known_besides(error, load_with)


def _preflight(
    loaded: Loaded, load_with: LoadWith | None, *, world: bool
) -> tuple[list[Problem], Windows | None]:
    """Report what would stop a run of this file here, and what its model is trained on."""
    from septet._shell.preflight import check_data, check_model, check_secrets

    if loaded.strategy.mode == "backtest":
        if load_with is None:
            return check_model(loaded), None
        found = check_data(loaded)
        if not found.unsaid:
            return found.problems, found.windows
        from septet._shell.missing_keys import besides_unsaid

        return [*found.problems, *besides_unsaid([found.unsaid], load_with)], None
    from septet._live.ports import check_port
    from septet._live.wiring import check_feed

    feed = check_feed(loaded)
    if world:
        return [*feed, *check_model(loaded)], None
    secrets = check_secrets(loaded) if loaded.strategy.mode == "live" else []
    return [*feed, *secrets, *check_port(loaded), *check_model(loaded)], None


def _look(loaded: Loaded, address: str | None) -> World:
    from septet._live.clock import clock_from
    from septet._live.world_check import look

    return look(loaded, clock_from(address) if address else None)


def _document(
    loaded: Loaded, file: str, settings: int | None, seen: World | None
) -> dict[str, Any]:
    problems = [*loaded.warnings, *(seen.problems if seen is not None else ())]
    document: dict[str, Any] = {
        "ok": seen is None or seen.ok,
        "file": file,
        "name": loaded.strategy.name,
        "mode": loaded.strategy.mode,
        "problems": [problem_document(each) for each in problems],
        "plugins": [each.document() for each in loaded.verdicts],
    }
    if settings is not None:
        document["settings_of_sweep"] = settings
    if seen is not None:
        document["world"] = [asdict(each) for each in seen.rows]
    return document


def _show(
    loaded: Loaded, file: str, settings: int | None, seen: World | None, windows: Windows | None
) -> None:
    problems = loaded.warnings
    if seen is not None:
        rows = [{"what": r.what, "verdict": r.verdict, "found": r.found} for r in seen.rows]
        echo_text(render_table(rows, ("what", "verdict", "found")))
        problems = (*problems, *seen.problems)
    render_problems(problems, total=False)
    counted = count_text(problems)
    tail = f", {counted}" if counted else ""
    if settings is not None:
        tail += f", a sweep of {settings:,} setting" + ("" if settings == 1 else "s")
    good = seen is None or seen.ok
    word = styled("ok", fg="green", bold=True) if good else styled("no", fg="red")
    echo(f"{word}: {file}{tail}")
    if windows is not None:
        echo(windows.text())


def _settings_of_sweep(loaded: Loaded) -> int:
    """Check every value of the file's sweep; return how many settings it has."""
    from septet._sweep.space import space_of
    from septet._sweep.value_checks import check_values

    space = space_of(loaded)
    check_values(loaded, space)
    return len(space)
