"""A journal fed again gives the same commands; its shadow gives the same rows (P2, P3)."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet import messages as m
from septet._config import load
from septet._diff.live_side import Booking, read_lived
from septet._journal.journal_files import Mark, make_mark
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import mark_path
from septet._journal.reader import Reader
from septet._kernel.layout import AGE
from septet._live import replay as replay_module
from septet._live import shadow as shadow_module
from septet._live.build_core import Build, core_of
from septet._live.journal_head import facts_of
from septet._live.metrics import Seen
from septet._live.replay import JOURNAL, Replayed, replay
from septet._live.shadow import shadow
from septet._live.start import fingerprints_of
from septet._live.wiring import core_terms
from septet._shell.backtest import backtest
from septet._shell.session import Session, open_session
from septet.cli import cli
from septet.errors import JournalError
from tests.journal.drawn import spoil
from tests.live.test_core import FEW_TREES, STRATEGIES, bars_at, instruments, ready_models

TAG = "sabcdefg"
SETS = ("universe.end=2021-11-17", "signal.regime.window=3d", *FEW_TREES)


@dataclass
class Writer:
    """A core whose events and commands are kept, as the shell does."""

    build: Build
    journal: Journal

    def handle(self, event: m.Event) -> None:
        self.journal.append(event, self.build.core.handle(event))


def paper(name: str, folder: Path, session: Session) -> Writer:
    loaded = load(STRATEGIES / f"{name}.yaml", mode="paper", sets=SETS)
    build = core_of(loaded, tag=TAG, instruments=instruments(session), run_folder=folder)
    terms = core_terms(None, 1.0)
    head = Head(
        run_id="run", strategy=name, mode="paper", account="", created_ns=1, origin_ns=0,
        fingerprints=fingerprints_of(loaded, build.plan.name),
        facts=facts_of(loaded, build, terms=terms, tag=TAG, market_ns=0),
    )  # fmt: skip
    return Writer(build, Journal.create(folder / JOURNAL, head, durability="process"))


def _while_held(result: Any, known: list[int]) -> int:
    """Return a time past the middle at which a position has been held for three bars."""
    entries, exits = (result.trades[name] for name in ("entry_time", "exit_time"))
    held = zip(map(int, entries), map(int, exits), strict=True)
    middle, bar_ns = known[len(known) // 2], known[1] - known[0]
    entry_ns = next(one for one, other in held if one > middle and other - one > 8 * bar_ns)
    return known.index(entry_ns) + 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper run of the demo with late decisions, missed bars and a person's halt."""
    folder = tmp_path_factory.mktemp("run")
    loaded = load(STRATEGIES / "demo.yaml", sets=SETS)
    result, session = backtest(loaded, engine="batch"), open_session(loaded)
    models = ready_models(result, folder)
    writer = paper("demo", folder, session)
    known = session.aligned.T[0].tolist()
    first_ns = known[session.first]
    flattened = _while_held(result, known)
    writer.handle(
        m.Started(
            at_ns=1, session=1, run_id="run", mode="paper", strategy="demo", origin_ns=0,
            market_ns=known[0], fingerprints={},
        )
    )  # fmt: skip
    for t, now_ns in enumerate(known):
        while models and models[0].trained_to_ns <= now_ns:
            writer.handle(models.pop(0))
        bars = bars_at(session, t)
        for bar in bars:
            writer.handle(bar)
        present = tuple(bar.symbol for bar in bars)
        late, missed = t % 71 == 70, t % 61 in (20, 21, 22)
        decides = now_ns >= first_ns and not missed
        writer.handle(
            m.DecisionTimeReached(
                at_ns=now_ns, time_ns=now_ns, present=present, decides=decides, late=late
            )
        )
        if t == flattened:
            halt = m.Operated(
                at_ns=now_ns, action="flatten", name="ann", reason="a look",
                market_ns=now_ns + 60_000_000_000,
            )  # fmt: skip
            writer.handle(halt)
        if t == flattened + 50:
            writer.handle(m.Operated(at_ns=now_ns, action="resume", name="ann", reason="well"))
    writer.journal.commit()
    writer.journal.close()
    return folder


def test_what_a_person_orders_fills_at_no_price_from_before(run: Path) -> None:
    """The bar that runs when somebody closes all positions opened earlier: its open is past."""
    lived = read_lived(run)
    [deed] = [e for e in lived.events if isinstance(e, m.Operated) and e.action == "flatten"]
    closes = [each for each in lived.placed.values() if each.reason == "operator"]
    assert [each.time_ns for each in closes] == [deed.market_ns] * len(closes) != []
    numbers = {each.order for each in closes}
    fills = [
        each.traded for each in lived.moves
        if isinstance(each, Booking) and each.traded.order in numbers
    ]  # fmt: skip
    assert [each.market_ns > deed.market_ns for each in fills] == [True] * len(closes)


def test_bars_that_were_missed_meet_what_rests(run: Path) -> None:
    with Journal.open(run / JOURNAL, durability="process") as journal:
        entries = [(e.event, e.commands) for e in journal.read()]
    kinds = {
        type(each)
        for event, commands in entries
        if isinstance(event, m.DecisionTimeReached) and not event.decides
        for each in commands
    }
    assert m.Traded in kinds
    assert not kinds & {m.Decided, m.Ruled}


def test_the_metrics_count_what_paper_trades(run: Path) -> None:
    with Journal.open(run / JOURNAL, durability="process") as journal:
        rows = [(entry.event, entry.commands) for entry in journal.read()]
    seen = Seen()
    for event, commands in rows:
        seen.take(event, commands, ["BTC/USDT", "ETH/USDT"])
    made = [type(each) for _, commands in rows for each in commands]
    assert (seen.orders, seen.fills) == (made.count(m.Placed), made.count(m.Traded))
    assert seen.orders > 0


def test_a_replay_finds_no_difference(run: Path) -> None:
    found = replay(run)
    assert found.differences == 0, str(found.first)
    assert found.decisions > 2_500
    assert found.text == f"{found.decisions:,} decisions, 0 differences"


def test_the_shadow_has_the_same_rows(run: Path) -> None:
    found = shadow(run)
    assert found.differences == 0, str(found.first)
    assert found.decisions > 2_500


def test_the_shadow_counts_the_bars_that_are_known_at_each_time(run: Path) -> None:
    """A fill between bars takes the distances of a stop from the newest bar."""
    with Reader(run / JOURNAL) as journal:
        builds = [replay_module.build_again(journal.head, run) for _ in range(2)]
        taken = shadow_module._collect_inputs(journal, journal.last_seq, builds[0])
        engine = shadow_module._engine_over(builds[1], taken)
    known = [0] * len(taken.widths)
    for event in taken.decision_times:
        engine._take_in(event)
        known = [n + int(age >= 0) for n, age in zip(known, event.facts[:, AGE], strict=True)]
        assert engine.window.arrays["N"].tolist() == known
    assert known == taken.widths
    assert min(known) > 0


@pytest.mark.parametrize("proof", [replay, shadow])
def test_a_run_that_goes_on_is_proved_as_far_as_it_was_stored(
    run: Path, tmp_path: Path, proof: Callable[[Path], Replayed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a proof reads the journal, the run stores the next entries."""
    with Journal.open(run / JOURNAL, durability="process") as old:
        head, entries = old.head, list(old.read(until=4_000))
    shutil.copytree(run / "models", tmp_path / "models")
    with Journal.create(tmp_path / JOURNAL, head, durability="process") as goes_on:
        waiting = iter(entries)
        for entry in itertools.islice(waiting, 2_000):
            goes_on.append(entry.event, entry.commands)
        goes_on.commit()
        build = replay_module.build_again

        def build_meanwhile(*words: Any, **more: Any) -> Build:
            for entry in itertools.islice(waiting, 500):
                goes_on.append(entry.event, entry.commands)
            goes_on.commit()
            return build(*words, **more)

        for module in (replay_module, shadow_module):
            monkeypatch.setattr(module, "build_again", build_meanwhile)
        found = proof(tmp_path)
    assert (found.entries, found.differences, found.gone) == (2_000, 0, 0), str(found.first)


def test_a_changed_price_is_found_where_it_acts(run: Path, tmp_path: Path) -> None:
    """One bar of a copied journal is another: the first command that follows is named."""
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / JOURNAL).unlink()
    with Journal.open(run / JOURNAL, durability="process") as old:
        head, entries = old.head, list(old.read())
    changed = 0
    with Journal.create(folder / JOURNAL, head, durability="process") as new:
        for entry in entries:
            event = entry.event
            if isinstance(event, m.BarClosed) and event.at_ns == entries[8_000].at_ns:
                higher = 1.25 * event.high
                event = m.BarClosed(**{**_fields(event), "high": higher, "close": higher})
                changed += 1
            new.append(event, entry.commands)
        new.commit()
    assert changed == 1
    found = replay(folder)
    assert found.differences > 0
    assert found.first is not None
    assert found.first.kind == "decision_time"
    assert "decided" in found.first.place
    seen = shadow(folder)
    assert seen.first is not None
    assert seen.first.seq == found.first.seq


CHANGED = {  # what is done to the journal, and what is reported of it
    "a volume that nothing reads": (
        ("UPDATE entries SET event = replace(event, 'volume\":', 'volume\":1') WHERE seq = 90",),
        "entry 90 was changed",
    ),
    "a command": (("UPDATE entries SET commands = '[]' WHERE seq = 8002",), "entry 8002 was"),
    "removed": (("DELETE FROM entries WHERE seq = 70",), "entry 70 was removed: 71 follows 69"),
    "swapped": (
        (
            "UPDATE entries SET seq = -1 WHERE seq = 70", "UPDATE entries SET seq = 70 WHERE seq "
            "= 71", "UPDATE entries SET seq = 71 WHERE seq = -1",
        ),
        "entry 70 was changed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_journal_proves_nothing(run: Path, tmp_path: Path, name: str) -> None:
    """Also where the core would decide the same: the chain is verified first."""
    statements, place = CHANGED[name]
    folder = shutil.copytree(run, tmp_path / "copy")
    spoil(folder / JOURNAL, *statements)
    for proof in (replay, shadow, read_lived):
        with pytest.raises(JournalError, match=place):
            proof(folder)


def test_an_end_that_is_gone_is_reported(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's mark knows of more: what is there is proved, and what is not is counted."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    folder = shutil.copytree(run, tmp_path / "runs" / "demo" / "run")
    with Journal.open(folder / JOURNAL) as journal:
        last = journal.seq
    mark = mark_path("run")
    mark.parent.mkdir(parents=True)
    make_mark(mark, Mark(last, last, "process", "")).close()
    assert replay(folder).proved
    spoil(folder / JOURNAL, f"DELETE FROM entries WHERE seq > {last - 3}")
    found = replay(folder)
    assert (found.differences, found.gone, found.proved) == (0, 3, False)
    lacks = f"3 entries are gone after entry {last - 3:,} of the journal"
    assert found.text.endswith(f"0 differences; {lacks}")
    assert shadow(folder).gone == 3
    [note] = read_lived(folder).notes
    assert f"{note} of the journal".endswith(lacks)
    output = CliRunner().invoke(cli, ["replay", str(folder)])
    assert (output.exit_code, "3 entries are gone" in output.output) == (1, True)


def _fields(event: m.BarClosed) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}
