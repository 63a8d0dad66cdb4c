"""The drill: runs one fault after another against the live stack, and checks after each."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from septet._config.load import Loaded, load
from septet._drill.fault_audits import audit, is_noticed
from septet._drill.fault_kinds import ANSWERS_FINAL_AFTER, CATALOGUE, KILL, TIMEOUT, Kind, order_of
from septet._drill.local_market import (
    KEY,
    SECRET,
    LocalMarket,
    compile_plan,
    make_local_market,
    settings_for,
)
from septet._drill.options import Options
from septet._drill.outcome import Outcome, Row
from septet._drill.ownership import count_open, is_waiting, ours_of
from septet._drill.processes import RunProcess, VenueProcess
from septet._drill.record_checks import Finding, check_all, check_bars, check_trading, unreported
from septet._drill.record_watch import (
    HALTED,
    LOOK_S,
    NO_DECISION,
    QUIET,
    WAITING,
    BarsOverError,
    GivenUpError,
    RecordWatch,
)  # fmt: skip
from septet._drill.replays import replay_all
from septet._drill.trading_records import OPERATOR
from septet._live.kill_switch import ask_halt, ask_resume
from septet._live.market_data.opening import request_of

__all__ = ["drill"]

Log = Callable[[str], None]
_NS: Final = 1_000_000_000
_RESOLVE_WITHIN_S: Final = 90.0
_RESUME_EVERY_S: Final = 1.0
_IN_PROGRESS: Final = "are under way"
_FEE_REMAINDER: Final = 0.02
"""Share of the largest order that fees in the base may leave of less than a lot."""
_FIRST_PROCESS_FAULT: Final = 1_000_000
"""Numbers of faults from here on are of the run's own process; below are those of the venue."""


def drill(loaded: Loaded, options: Options, log: Log = lambda text: None) -> Outcome:
    """Run a strategy against a local venue with faults; return the outcome.

    Parameters
    ----------
    loaded
        The strategy, loaded for a backtest: its data is what is played.
    say
        Called with its progress.

    Raises
    ------
    SeptetError
        It could not begin, or the local venue ended.
    """
    began = time.monotonic()
    played = _require_valid_options(loaded, options)
    local_market = make_local_market(
        loaded, options.folder, seed=options.seed, bars=options.bars_needed,
        bar_wall_ns=options.bar_wall_ns, synthetic=options.synthetic,
    )  # fmt: skip
    codes = [*options.codes, *([KILL] if options.kills else [])]
    strategy = loaded.strategy
    outcome = Outcome(
        strategy=strategy.name, mode=options.mode, seed=options.seed, origin=local_market.origin,
        folder=str(options.folder), rows=[Row(code) for code in codes],
        terms=(
            f"a bar lasts {options.bar_wall_ns / 1e6:g} ms; the client's timeout is {TIMEOUT}, "
            f"the venue's answers are final after {ANSWERS_FINAL_AFTER}; "
            "all other times are the real ones",
        ),
    )  # fmt: skip
    compile_plan(played, log)  # before the first bar plays
    with VenueProcess(local_market.config, options.folder) as venue:
        words = [
            str(loaded.path), "--mode", options.mode, "--yes", "--clock", venue.admin,
            "--out", str(options.folder / "runs"), "--log-level", "info",
        ]  # fmt: skip
        for each in [*options.sets, *settings_for(loaded, options.mode, venue.urls)]:
            words += ["--set", each]
        for each in (KEY, SECRET):
            words += ["--allow-secret", f"{each}@127.0.0.1"]
        environment = {
            KEY: local_market.config.api_key, SECRET: local_market.config.secret,
            "SEPTET_STATE_DIR": str(options.folder / "state"),
        }  # fmt: skip
        inside = any(CATALOGUE[code].way == "process" for code in options.codes)
        report = options.folder / "process-faults.jsonl" if inside else None
        run = RunProcess(words, environment, options.folder / "run.log", report)
        kinds = request_of(played.strategy).kinds
        rehearsal = _Rehearsal(venue, run, local_market, options, outcome, kinds, log)
        try:
            rehearsal.play()
        finally:
            run.stop()
            rehearsal.close()
    replay_all(outcome, log)
    outcome.seconds = time.monotonic() - began
    return outcome


def _require_valid_options(loaded: Loaded, options: Options) -> Loaded:
    """Refuse what `septet run` would refuse, before it starts; return what it will run."""
    sets = [*options.sets, *settings_for(loaded, options.mode, {})]
    return load(loaded.path, mode=options.mode, sets=sets)


class _Rehearsal(RecordWatch):
    """A running drill: its plan, and the latest injections."""

    def __init__(
        self, venue: VenueProcess, run: RunProcess, local_market: LocalMarket, options: Options,
        outcome: Outcome, kinds: frozenset[str], log: Log,
    ) -> None:  # fmt: skip
        super().__init__(venue, run, local_market, options, outcome, log)
        self._kinds = kinds
        self._rows = {row.code: row for row in outcome.rows}
        self._numbers: dict[int, str] = {}
        self._counted: dict[int, int] = {}
        self._unchecked: list[str] = []
        """The injected faults that were not yet seen to be resolved."""
        self._reported: set[Finding] = set()
        self._resumed_s = 0.0

    # ------------------------------------------------------------ the whole

    def play(self) -> None:
        """Start the run, inject everything, end it, and check once more."""
        self._run.start()
        self._log("the run starts: it reads its history, and trains a model if it has one")
        try:
            self._await_live()
            self._live_bar = self._outcome.bars_before = self._venue.clock().bar
            self._inject_all()
        except BarsOverError:
            self._not_reached()
        except GivenUpError as given_up:
            if given_up.args:
                self._outcome.failures.append(str(given_up))
        self._finish()

    def _not_reached(self) -> None:
        """Report how many faults were not reached; one that was not resolved is not checked."""
        for code in self._unchecked:
            self._rows[code].take_back(1, "the bars were over before it was resolved")
        self._unchecked = []
        rows = self._outcome.rows
        for row in rows:
            if row.asked > row.injected and not row.notes:
                row.notes.append("the bars were over")
        left = sum(max(0, row.asked - row.injected) for row in rows)
        played = f"all {self._options.bars or self._local_market.to_play:,} bars were played"
        self._outcome.over = f"{played}, and {left} of {sum(row.asked for row in rows)} faults " + (
            "were not reached"
        )
        self._log(self._outcome.over)

    def _inject_all(self) -> None:
        asked = self._options
        plan = order_of(asked.codes, asked.times, asked.kills, asked.seed)
        for code in plan:
            self._rows[code].asked += 1
        for place, code in enumerate(plan):
            if not self._options.keep_going and any(r.held == "no" for r in self._outcome.rows):
                return
            kind = CATALOGUE[code]
            self._until(lambda: not self._waits_for_person, self._patience_s)
            if self._is_over():
                raise BarsOverError
            self._log(f"{place + 1} of {len(plan)}: {code} {kind.what}")
            self._window(kind, random.Random(f"{self._options.seed}:{place}:{code}"))
        self._linger()

    def _linger(self) -> None:
        """Wait for the faults that are still armed, then for the requested number of bars."""
        while self._options.bars and not self._is_over():
            self._look()
            self._require_alive()
            time.sleep(LOOK_S)

    def _is_at_rest(self) -> bool:
        return self._ours is None or self._ours.is_at_rest(over=self._over)

    def _finish(self) -> None:
        """Stop the market, resolve everything, stop the run and compare at the end."""
        outcome, began_ns = self._outcome, time.time_ns()
        try:
            if not self._has_died() and self._run.ended is None and self._ours is not None:
                with contextlib.suppress(BarsOverError):  # then they are silent already
                    # Once the market stands still, silent streams would block for ever.
                    self._await_live()
                    self._until(self._is_at_rest, self._patience_s)
                self._theirs.until_ns = self._venue.pause().market_ns
                self._over = True
                self._wait_until_resolved([], began_ns, bars=0)
        except GivenUpError as given_up:
            outcome.failures.append(str(given_up) or "the run did not come to rest")
        self._run.stop()
        self._look()
        ours, theirs = self._ours, self._theirs
        if (ours is None or ours.decisions == 0) and not outcome.failures:
            text = "the run had made no decision when the drill ended: nothing was rehearsed"
            outcome.failures.append(f"{text}; play more bars with --bars")
        if ours is None:
            return
        found = set(check_all(theirs, ours))
        outcome.findings = sorted([*outcome.findings, *unreported(found, self._reported)])
        self._reported |= found
        totals = outcome.totals
        totals.kinds.update(each.kind for each in self._reported)
        orders, fills = ours_of(theirs, ours)
        totals.orders, totals.fills = len(orders), len(fills)
        totals.decisions, totals.starts = ours.decisions, self._run.starts

    # ------------------------------------------------------------ one fault

    def _window(self, kind: Kind, draw: random.Random) -> None:
        """Inject a fault, wait until it has acted and is over, and until everything is resolved."""
        if not self._await_need(kind):
            return
        asked_ns = time.time_ns()
        occurred: list[str] = []
        if kind.way == "kill":
            self._run.kill()
            self._rows[kind.code].injected += 1
            occurred = [kind.code]
            self._unchecked.append(kind.code)
            self._start_again()
        elif kind.way == "operator":
            occurred = self._halt(kind, draw)
        elif kind.way == "restart":
            self._stop_run()
            self._arm(kind, draw)
            occurred = self._await_fault(kind)
            self._start_again()
        else:
            self._arm(kind, draw)
            occurred = self._await_fault(kind)
            if kind.way == "stop" and kind.code in occurred:
                self._stop_run()
                self._start_again()
        if occurred:
            self._wait((kind.duration_ms + kind.rest_ms) / 1e3)
            self._wait_until_resolved(occurred, asked_ns, bars=2)

    def _halt(self, kind: Kind, draw: random.Random) -> list[str]:
        """Halt the run as an operator does, and wait until it has acted."""
        assert self._reader is not None
        assert self._ours is not None
        folder, parameters = self._reader.path.parent, kind.draw(draw)
        how, restarts = parameters["how"], bool(parameters.get("restarts"))
        if self._mode == "live":  # then there is something to close, where the strategy trades
            self._until(lambda: self._is_there(CATALOGUE["N12"]), self._patience_s)
        self._rows[kind.code].injected += 1
        self._unchecked.append(kind.code)
        before, ours = len(self._ours.halts), self._ours
        for _ in range(2 if restarts else 1):
            if how == "signal":
                self._run.signal(signal.SIGUSR1)
            else:
                ask_halt(
                    folder, flatten=how == "flatten", name=OPERATOR, reason=kind.what,
                    now_ns=time.time_ns(),
                )  # fmt: skip
            if restarts:
                self._ended = self._run.starts
                self._run.kill()
                self._run.start()
        within_s = _RESOLVE_WITHIN_S if restarts else self._patience_s  # a start takes seconds
        if not self._until(lambda: len(ours.halts) > before, within_s):
            self._not_done(kind, f"{how}: the run was not halted")
        elif not self._until(lambda: not self._left_open(), self._patience_s):
            self._not_done(kind, f"{how}: {self._left_open()} of its orders are open")
        elif how == "flatten" and not self._until(self._is_flat, self._patience_s):
            self._not_done(kind, "flatten: something is still held")
        return [kind.code]

    def _not_done(self, kind: Kind, text: str) -> None:
        self._rows[kind.code].findings.append(Finding("operator", kind.code, text))
        self._outcome.totals.kinds["operator"] += 1

    def _left_open(self) -> int:
        assert self._ours is not None
        return count_open(self._theirs, self._ours)

    def _is_flat(self) -> bool:
        """Whether no position is held beyond a remainder from fees."""
        assert self._ours is not None
        most = max((abs(each.quantity) for each in self._ours.sent.values()), default=0.0)
        return all(abs(held) <= _FEE_REMAINDER * most for held in self._ours.positions.values())

    def _stop_run(self) -> None:
        self._ended = self._run.starts
        self._run.stop()

    def _arm(self, kind: Kind, draw: random.Random) -> None:
        if kind.way == "process":
            number = _FIRST_PROCESS_FAULT + len(self._numbers)
            self._numbers[number] = kind.code
            self._run.make(kind.order(draw, number))
            return
        self._numbers[self._venue.inject(kind.fault(draw))] = kind.code

    def _await_need(self, kind: Kind) -> bool:
        """Wait for a position or an order to be there; False if none came."""
        if kind.needs == "book":
            return "book" in self._kinds
        if kind.needs and self._mode != "live":
            return False
        if kind.needs not in ("position", "open_order"):
            return True
        return self._until(lambda: self._is_there(kind), self._patience_s)

    def _is_there(self, kind: Kind) -> bool:
        assert self._ours is not None
        if kind.needs == "position":
            return any(abs(held) > 1e-8 for held in self._ours.positions.values())
        return self._left_open() > 0

    def _await_fault(self, kind: Kind) -> list[str]:
        """Wait until the fault has acted; return every fault that acted meanwhile."""
        occurred: list[str] = []

        def hit() -> bool:
            occurred.extend(self._new_faults())
            return kind.code in occurred

        self._until(hit, self._patience_s)
        return occurred

    def _new_faults(self) -> list[str]:
        """Count the faults that acted since the last call; one armed earlier may act late."""
        found = []
        for number, rows in self._theirs.injections.items():
            count = max(row.count for row in rows)
            new = count - self._counted.get(number, 0)
            code = self._numbers.get(number, rows[0].code)
            self._counted[number] = count
            if new:
                self._rows[code].injected += new
                found += [code] * new
                self._unchecked += [code] * new
        return found

    # ------------------------------------------------------------ resolving

    def _wait_until_resolved(self, occurred: list[str], since_ns: int, *, bars: int) -> None:
        """Wait until both records agree and nothing blocks; record what remains wrong."""
        first_ns = self._occurred_ns(since_ns)
        over_ns, bad_ns = time.time_ns(), first_ns
        until_s = time.monotonic() + _RESOLVE_WITHIN_S
        found: list[Finding] = []
        why = lasting = ""
        while True:
            self._look()
            occurred += self._new_faults()
            lasting = str(found[0]) if found else lasting
            why, found = self._trouble(over_ns, bars)
            if not why:
                break
            if why not in WAITING:
                bad_ns = time.time_ns()
            if self._waits_for_person:
                until_s = time.monotonic() + _RESOLVE_WITHIN_S
            if self._run.ended is not None:
                break
            if bars and self._is_over():  # `_finish` sees to what is still wrong
                raise BarsOverError
            if time.monotonic() > until_s:
                break
            time.sleep(LOOK_S)
        if lasting and why.endswith(_IN_PROGRESS):
            why += f"; before that: {lasting}"
        for code in dict.fromkeys(occurred):
            row = self._rows[code]
            row.resolved = row.injected if not why else row.resolved
            row.worst_ms = max(row.worst_ms, (bad_ns - first_ns) / 1e6)
        self._unchecked = []
        self._audit(occurred, first_ns)
        self._attribute(occurred, found, why)
        self._require_alive()

    def _audit(self, occurred: Sequence[str], first_ns: int) -> None:
        """Return the effects that a fault should have had and did not have."""
        if self._ours is None or self._reader is None or self._mode != "live":
            return
        folder = self._reader.path.parent
        for code in dict.fromkeys(occurred):
            kind, row = CATALOGUE[code], self._rows[code]
            if kind.answered and not self._theirs.was_banned_since(first_ns):
                row.take_back(occurred.count(code))
                continue
            if kind.listed and not self._theirs.lists_since(first_ns):
                row.take_back(occurred.count(code), "the venue rejected the order that it met")
                continue
            # what occurred a moment ago may not have been read yet
            noticed = partial(is_noticed, kind, self._ours, folder, first_ns)
            self._until(noticed, self._patience_s, plays=False)
            now_ns = time.time_ns()
            for each in audit(kind, self._theirs, self._ours, folder, first_ns, now_ns):
                row.findings.append(each)
                self._outcome.totals.kinds[each.kind] += 1

    def _occurred_ns(self, since_ns: int) -> int:
        rows = (row for rows in self._theirs.injections.values() for row in rows)
        return min((row.at_ns for row in rows if row.at_ns >= since_ns), default=since_ns)

    def _attribute(self, occurred: Sequence[str], found: Sequence[Finding], why: str) -> None:
        """Assign new findings, and a block that did not end, to the faults of the window."""
        assert self._ours is not None
        bars = check_bars(self._theirs, self._ours)
        fresh = unreported([*found, *bars], self._reported)
        self._reported |= set(fresh)
        for each in (*fresh, *([f"not resolved: {why}"] if why else [])):
            self._log(f"  {', '.join(dict.fromkeys(occurred))}: {each}")
        for code in dict.fromkeys(occurred):
            row = self._rows[code]
            row.findings += fresh
            if why:
                row.notes.append(f"not resolved: {why}")
        if not occurred:
            self._outcome.findings += fresh
            if why:
                self._outcome.failures.append(f"not resolved: {why}")

    def _trouble(self, over_ns: int, bars: int) -> tuple[str, list[Finding]]:
        """Return what is still wrong, one of `WAITING` while only time is missing, or ""."""
        ours = self._ours
        assert ours is not None
        if self._run.ended is not None:
            return "the run ended", []
        live = self._mode == "live"
        busy = [
            name for name, (state, _) in ours.states.items()
            if state in ("intent", "submitted", "unknown") and not is_waiting(name, ours)
        ]  # fmt: skip
        if live and busy:
            return f"{len(busy)} orders, such as {busy[0]}, {_IN_PROGRESS}", []
        if blocks := ours.unmet(over=self._over):
            return f"entries are blocked: {', '.join(blocks)}", []
        if ours.is_halted_by_drill:
            self._resume()
            return QUIET, []
        unprotected_ns = time.time_ns() - _NS
        found = check_trading(self._theirs, ours, unprotected_ns) if live else []
        found = unreported(found, self._reported)
        if found:
            return str(found[0]), found
        if not bars and ours.file_halts:  # a run may end so
            self._log(f"a halt of the strategy file holds: {', '.join(ours.file_halts)}")
            return "", []
        if self._waits_for_person:
            return (HALTED, []) if bars else ("", [])  # a run may end halted
        if any(each.by_hand for each in ours.blocks.values()) or ours.halted:
            self._resume()
            return QUIET, []
        waits = bars * self._options.bar_wall_ns
        if bars and ours.decided_ns < over_ns + waits:
            late = time.time_ns() - max(ours.decided_ns, over_ns) > 10 * waits + 2 * _NS
            return NO_DECISION if late else QUIET, []
        return "", []

    def _resume(self) -> None:
        """Clear the blocks that wait for a person, as an operator would after a check."""
        assert self._ours is not None
        assert self._reader is not None
        now_s = time.monotonic()
        if now_s - self._resumed_s < _RESUME_EVERY_S:
            return
        self._resumed_s = now_s
        names = sorted({each.rule.partition(":")[0] for each in self._ours.blocks.values()})
        for code in () if self._ours.is_halted_by_drill else self._latest:
            self._rows[code].resumed.update(names)
        ask_resume(
            self._reader.path.parent, name="drill", now_ns=time.time_ns(),
            reason=f"both journals agree; clears {', '.join(names) or 'the halt'}",
        )  # fmt: skip

    @property
    def _latest(self) -> list[str]:
        """Return the fault that acted last."""
        rows = [rows[-1] for rows in self._theirs.injections.values() if rows]
        last = max(rows, key=lambda row: row.at_ns, default=None)
        return [self._numbers[last.number]] if last is not None else []
