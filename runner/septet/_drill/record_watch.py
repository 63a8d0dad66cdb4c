"""Follows both records of a running drill, and waits for bars, for the run or for a person.

What is waited for needs bars to come: once all were played nothing but open requests can still
change, so a wait ends at once. While a person's halt stands the drill waits for that person.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from septet._drill.local_market import LocalMarket, terms_of
from septet._drill.options import BARS_PER_FAULT, Options
from septet._drill.outcome import Outcome
from septet._drill.ownership import claim_known
from septet._drill.processes import RunProcess, VenueProcess
from septet._drill.stop_cover import Cover
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL
from septet._text import one_line
from septet.errors import RunError

__all__ = [
    "HALTED", "LOOK_S", "NO_DECISION", "QUIET", "WAITING", "BarsOverError", "GivenUpError",
    "RecordWatch",
]  # fmt: skip

QUIET: Final = "quiet"
HALTED: Final = "a person's halt stands"
NO_DECISION: Final = "no decision is made"
WAITING: Final = frozenset({QUIET, HALTED, NO_DECISION})
"""What is not right yet, and may come right with no more than further bars or a person."""
LOOK_S: Final = 0.1
_NS: Final = 1_000_000_000
_LIVE_WITHIN_S: Final = 120.0
_PERSON_WITHIN_S: Final = 600.0
"""How long a person's halt holds the drill up; then it clears it, and reports it."""
_MAX_DEATHS: Final = 3
"""Ends that nobody asked for, after which a drill that keeps going gives up as well."""


class BarsOverError(Exception):
    """Every bar has been replayed, and the awaited condition needs more of them."""


class GivenUpError(Exception):
    """The run ended, or was never live; the text gives details, if there are any."""


class RecordWatch:
    """Both records of a drill, and the time limits of its waits."""

    def __init__(
        self, venue: VenueProcess, run: RunProcess, local_market: LocalMarket, options: Options,
        outcome: Outcome, log: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._venue, self._run, self._local_market = venue, run, local_market
        self._options, self._outcome, self._log = options, outcome, log
        self._theirs = VenueRecord(
            bars=local_market.bars, cover=Cover(terms_of(local_market.config))
        )
        self._ours: RunRecord | None = None
        self._reader: Reader | None = None
        self._over = False
        self._live_bar: int | None = None
        """The venue's bar at which the run was live for the first time."""
        self._halt_ns, self._waits_until_s = 0, 0.0
        self._ended = self._deaths = self._begun_start = self._begun_ns = 0

    def close(self) -> None:
        """Close the journal."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def _patience_s(self) -> float:
        return max(5.0, BARS_PER_FAULT * self._options.bar_wall_ns / _NS)

    @property
    def _mode(self) -> str:
        return self._outcome.mode

    # ------------------------------------------------------------ looking

    def _look(self) -> None:
        """Read the new rows of both journals."""
        self._theirs.take([*self._venue.rows(), *self._run.rows()])
        if self._reader is None:
            found = sorted((self._options.folder / "runs").glob(f"*/*/{JOURNAL}"))
            if not found:
                return
            self._reader = Reader(found[-1])
            self._ours = RunRecord(self._reader.head)
            self._outcome.run = str(found[-1].parent)
        assert self._ours is not None
        # As far as it is now: behind a run that writes faster than this reads there is no end.
        self._ours.take(self._reader.read(self._ours.seq, self._reader.last_seq))
        claim_known(self._theirs, self._ours)

    def _is_over(self) -> bool:
        """Whether all requested bars have been replayed, counted from when the run was live."""
        if not self._over:
            clock = self._venue.clock()
            if clock.failure:
                raise RunError(f"the local venue failed: {clock.failure}")
            asked, live = self._options.bars, self._live_bar
            are_over = asked > 0 and live is not None and clock.bar >= live + asked
            self._over = clock.ended or are_over
        return self._over

    # ------------------------------------------------------------ a person

    @property
    def _waits_for_person(self) -> bool:
        """Whether a person's halt is active, for ten minutes at most."""
        ours = self._ours
        if ours is None or not ours.halted_by:
            return False
        halted_ns = ours.halts[-1][0]
        if halted_ns != self._halt_ns:
            self._halt_ns, self._waits_until_s = halted_ns, time.monotonic() + _PERSON_WITHIN_S
            run = self._outcome.run.rpartition("/")[2]
            self._log(
                f"{one_line(ours.halted_by)} has halted the run: the drill waits for septet resume "
                f"{run} --name YOU --reason WHY --runs {self._options.folder / 'runs'}, for "
                f"{_PERSON_WITHIN_S / 60:g} minutes at most"
            )
        if time.monotonic() < self._waits_until_s:
            return True
        if self._waits_until_s:
            self._waits_until_s = 0.0
            self._log("nobody has resumed the run: the drill clears the halt")
        return False

    # ------------------------------------------------------------ waiting

    def _until(self, done: Callable[[], bool], within_s: float, *, plays: bool = True) -> bool:
        """Check repeatedly until a condition is true; False if it never was.

        `plays` means that it needs bars to come: a wait that they end is no verdict.

        Raises
        ------
        BarsOverError
            It was not so when all bars had been played.
        """
        until_s = time.monotonic() + within_s
        while True:
            self._look()
            if done():
                return True
            self._require_alive()
            if plays and self._is_over():
                raise BarsOverError
            if self._waits_for_person:
                until_s = time.monotonic() + within_s
            if time.monotonic() > until_s:
                return False
            time.sleep(LOOK_S)

    def _wait(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._look()
            self._require_alive()
            time.sleep(LOOK_S)

    def _has_died(self) -> bool:
        """Whether the run of the latest start has ended, and nobody asked it to; it is noted."""
        if self._run.ended is None or self._run.starts <= self._ended:
            return False
        text = f"septet run ended with status {self._run.ended}:\n{self._run.tail()}"
        self._outcome.failures.append(text)
        self._ended, self._deaths = self._run.starts, self._deaths + 1
        return True

    def _require_alive(self) -> None:
        """Restart a run that ended unexpectedly if the drill is to continue."""
        if not self._has_died():
            return
        if not self._options.keep_going or self._deaths >= _MAX_DEATHS:
            raise GivenUpError
        self._start_again()

    def _start_again(self) -> None:
        self._run.start()
        self._await_live()

    def _await_live(self) -> None:
        """Wait until the run of the latest start has made a decision."""
        if self._run.starts > self._begun_start:
            self._begun_start, self._begun_ns = self._run.starts, time.time_ns()

        def live() -> bool:
            ours = self._ours
            return (
                ours is not None
                and ours.sessions > 0
                and ours.decided_ns > max(ours.begun_ns, self._begun_ns)
            )

        if not self._until(live, _LIVE_WITHIN_S):
            raise GivenUpError(
                f"the run was not live within {_LIVE_WITHIN_S:g} s:\n{self._run.tail()}"
            )
