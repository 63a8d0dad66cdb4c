"""The first decision of a sweep: one time for every setting, the latest of them.

A setting can decide once its features are warm and, with a model, once the first one is trained.
Each key is looked at by itself; the setting that has of each key the value that begins last is
then run to its first decision. Where `where` leaves that very setting out, the sweep begins no
earlier than it had to, and perhaps a little later. A setting that begins later all the same is a
failed row with that reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from septet._config.error_places import placed, problem_of
from septet._config.load import Loaded, variant
from septet._config.overlay import Setting as FileSetting
from septet._sweep.space import Axis, Space
from septet._sweep.swept_parameters import AxisNumbers, Numbers
from septet.errors import ConfigError, InputError, SeptetError

if TYPE_CHECKING:
    from septet._shell.session import Session
    from septet._trials.months import Month

__all__ = ["Beginning", "begin_sweep", "data_hashes_of"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first decision of a sweep, with the calendar and the fingerprints of its data.

    `changes` turn the file into the setting that begins last, whose data was read. `doubts` are the
    sentences of a run's verdict on the data read in the search.
    """

    first_ns: int
    calendar: str
    data_hashes: dict[str, str]
    changes: tuple[FileSetting, ...] = ()
    doubts: tuple[str, ...] = ()
    months: tuple[Month, ...] = ()


def begin_sweep(
    loaded: Loaded, space: Space, numbers: Numbers, log: Callable[[str], None]
) -> Beginning:
    """Find the first decision of all settings.

    Raises
    ------
    InputError
        If the setting that begins last cannot begin at all, with its message and place.
    """
    latest, doubts = [], dict[str, None]()
    for axis, axis_numbers in zip(space.axes, numbers.axes, strict=True):
        place = _latest_of(loaded, axis, axis_numbers, doubts)
        if place is not None:
            latest.append((axis, place))
    changes = [FileSetting(axis.path, axis.values[place].node) for axis, place in latest]
    try:
        begun = _first_of(variant(loaded, changes))
    except SeptetError as error:
        texts = ", ".join(f"{axis.key}={axis.values[place].text}" for axis, place in latest)
        raise _not_begun(error, texts or "the file as it is") from error
    doubts |= dict.fromkeys(begun.doubts)
    for text in doubts:
        log(f"warning: {text}")
    return replace(begun, changes=tuple(changes), doubts=tuple(doubts))


def _not_begun(error: SeptetError, setting: str) -> InputError:
    """Return why no setting can begin, at the place of the file that causes it."""
    front = f"the sweep cannot begin: with {setting}, "
    problems = problem_of(error)
    if any(each.line for each in problems):
        return ConfigError([replace(each, message=front + each.message) for each in problems])
    return InputError(front + error.message, hint=error.hint or "leave such values out")


def data_hashes_of(loaded: Loaded, changes: Sequence[FileSetting]) -> dict[str, str]:
    """Return the fingerprints of the data of a sweep that begins with `changes`, as read now."""
    from septet._data.load import fingerprints
    from septet._shell.session import open_session

    return dict(fingerprints(open_session(variant(loaded, changes)).market))


def _latest_of(
    loaded: Loaded, axis: Axis, axis_numbers: AxisNumbers, doubts: dict[str, None]
) -> int | None:
    """Return the index of the value that begins last; None if the key does not affect it.

    `doubts` receives the doubts about the data that is read for it.
    """
    numbers = [value.number for value in axis.values]
    ends = sorted({numbers.index(min(numbers)), numbers.index(max(numbers))})
    if (
        axis_numbers.warmup_bars
        and len(set(axis_numbers.warmup_bars)) > 1
        and not _moves_data(axis)
    ):
        return axis_numbers.warmup_bars.index(max(axis_numbers.warmup_bars))
    if not _moves_data(axis):
        return None
    begun = []
    for place in ends:
        changed = variant(loaded, [FileSetting(axis.path, axis.values[place].node)])
        try:
            beginning = _first_of(changed)
            doubts |= dict.fromkeys(beginning.doubts)
            begun.append((beginning.first_ns, place))
        except SeptetError:
            continue  # the row of the setting reports the error
    return max(begun)[1] if begun else None


def _moves_data(axis: Axis) -> bool:
    """Return whether a key may move the first decision by other means than warm-up."""
    return axis.path[0] in ("universe", "data", "model") or axis.path[-1] == "bar"


def _first_of(loaded: Loaded) -> Beginning:
    """Return the first decision of one file, from its aligned bars and its trained model.

    The plan is the one with which settings are run, so that no other is compiled.
    """
    from septet._data.bad_rows import doubts
    from septet._data.load import fingerprints
    from septet._kernel import layout
    from septet._shell.session import open_session
    from septet._trials.months import months_of

    session = open_session(loaded, tables=False, curve=False)
    if loaded.strategy.model is not None:
        _wait_for_model(session)
    first = int(session.aligned.T[layout.KNOWN, session.first])
    return Beginning(
        first, session.market.calendar, dict(fingerprints(session.market)),
        doubts=tuple(each.message for each in doubts(session.market.findings)),
        months=months_of(session.market.bars, first, int(session.aligned.T[layout.KNOWN, -1])),
    )  # fmt: skip


def _wait_for_model(session: Session) -> None:
    """Move the first decision of a session to that of a run of its file."""
    from septet._shell.backtest import refuse_unserved
    from septet._shell.model_layer import learn_walk, move_first, observed_features

    with placed(session.loaded, "execution", "simulation", "fills"):
        refuse_unserved(session.strategy)
    move_first(session, learn_walk(session, observed_features(session)))
