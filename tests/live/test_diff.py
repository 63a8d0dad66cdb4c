"""The gap between a run and its backtest: each cause in its own part, and nothing left over."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from septet import messages as m
from septet._data.stamps import iso
from septet._diff.causes import PARTS
from septet._diff.compare import Gap, diff
from septet._diff.decision_rows import Row, differing, distinct_texts, is_same, rows_of_table
from septet._diff.live_side import Booking, read_lived
from septet._journal.journal_writer import Journal
from septet._live.replay import JOURNAL
from septet._store.run_folder import Run
from septet.cli import cli
from septet.errors import InputError
from tests.live.diffs import (
    WARMUP,
    Explain,
    Hand,
    Lives,
    backtested,
    explained,
    facts,
    lived,
    shelf,
    walk,
    write_file,
)  # fmt: skip
from tests.live.test_core import FEW_TREES

BARS = walk()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    return backtested(place, BARS)


@pytest.fixture(scope="module")
def explain(run: Run, place: Path) -> Explain:
    numbers = count()

    def of(lives: Lives) -> Gap:
        return explained(run, place / "pair.yaml", place / f"live{next(numbers)}", BARS, lives)

    return of


def only(gap: Gap, *names: str) -> None:
    """Fail unless these parts alone are not zero, and nothing is left over."""
    assert gap.explained, gap.remainder
    moved = {name for name in PARTS if abs(gap.parts[name]) > 1e-9}
    assert moved == set(names), gap.parts
    assert abs(gap.equity - gap.stages[0] - sum(gap.parts.values())) < 1e-9


@pytest.mark.parametrize("venue_fills", [False, True])
def test_identical_runs_have_no_gap(explain: Explain, venue_fills: bool) -> None:
    gap = explain(Lives(venue_fills=venue_fills))
    only(gap)
    if not venue_fills:
        assert gap.remainder == 0.0
        assert len(set(gap.stages)) == 1
        assert gap.causes == ()


# ---------------------------------------------------------------- one cause at a time


def test_a_revised_close_is_revision(explain: Explain) -> None:
    before = round(BARS[20].close * 1.03, 2)
    gap = explain(Lives(closes={20: before}))
    only(gap, "revision")
    assert {each["field"] for each in facts(gap, "revision", "bar")} <= {"close", "high"}
    [close] = [each for each in facts(gap, "revision", "bar") if each["field"] == "close"]
    assert (close["before"], close["after"]) == (before, BARS[20].close)
    assert facts(gap, "revision", "decision") or facts(gap, "revision", "amount")


def test_a_late_decision_is_late(explain: Explain) -> None:
    gap = explain(Lives(late=frozenset(range(5, 12))))
    only(gap, "late_or_missed")
    assert len([each for each in gap.causes if each.kind == "late"]) == 7
    assert facts(gap, "late_or_missed", "decision")


def test_a_missed_bar_is_missed(explain: Explain) -> None:
    gap = explain(Lives(missed=frozenset({9, 10})))
    only(gap, "late_or_missed")
    missed = [each.time_ns for each in gap.causes if each.kind == "missed bar"]
    assert missed == [BARS[9].open_ns, BARS[10].open_ns]


def test_a_refused_entry_is_timing(explain: Explain) -> None:
    gap = explain(Lives(venue_fills=True, hands={0: Hand(rejected="funds")}))
    only(gap, "timing")
    rejected, *blocked = facts(gap, "timing", "rejected")
    assert rejected["traded"] == 0.0
    assert rejected["simulated"] > 0.0
    assert rejected["reason"] == "funds"
    reasons = {each["reason"] for each in blocked}  # the account is not read in this run
    assert reasons == {"rejected_entry"}


def test_a_partial_fill_is_timing(explain: Explain) -> None:
    gap = explain(Lives(venue_fills=True, hands={0: Hand(share=0.5)}))
    only(gap, "timing")
    [partial] = facts(gap, "timing", "partial")
    assert 0.49 < partial["traded"] / partial["simulated"] < 0.51


@pytest.fixture(scope="module")
def last(explain: Explain) -> int:
    """Number of the last order that fills within the span: no size follows from its fill."""
    gap = explain(Lives(venue_fills=True, hands={n: Hand(fee=0.002) for n in range(99)}))
    assert gap.explained, gap.remainder
    return len(facts(gap, "cost", "fee")) - 1


def test_a_worse_price_is_fill(explain: Explain, last: int) -> None:
    gap = explain(Lives(venue_fills=True, hands={last: Hand(worse=0.003)}))
    only(gap, "fill")
    [price] = [each for each in facts(gap, "fill", "price") if abs(each["worse_bps"]) > 1e-6]
    assert price["worse_bps"] == pytest.approx(30.0)
    assert gap.parts["fill"] == pytest.approx(price["money"], rel=0.01)


@pytest.mark.parametrize("currency", ["quote", "BTC", "BNB"])
def test_another_fee_is_cost(explain: Explain, last: int, currency: str) -> None:
    gap = explain(Lives(venue_fills=True, hands={last: Hand(fee=0.004, currency=currency)}))
    only(gap, "cost")
    [fee] = [each for each in facts(gap, "cost", "fee") if abs(each["money"]) > 1e-6]
    assert fee["fee_currency"] == {"quote": "USDT"}.get(currency, currency)
    assert fee["paid"] == pytest.approx(4 * fee["simulated"], rel=1e-4)
    if currency != "BTC":  # coins kept back are worth something else by the end
        assert gap.parts["cost"] == pytest.approx(fee["money"])


def test_sizes_that_follow_from_worse_fills_are_timing(explain: Explain) -> None:
    gap = explain(Lives(venue_fills=True, hands={0: Hand(worse=0.02)}))
    assert gap.explained, gap.remainder
    assert gap.parts["fill"] < -10.0
    assert facts(gap, "timing", "other size")


def test_what_a_person_did_is_timing(explain: Explain) -> None:
    gap = explain(Lives(halted=12))
    only(gap, "timing")
    [deed] = facts(gap, "timing", "operator")
    assert deed["name"] == "ann"


# ---------------------------------------------------------------- everything at once

FEW = st.frozensets(st.integers(4, 58), max_size=4)
HANDS = st.builds(
    Hand, share=st.sampled_from([1.0, 1.0, 0.7, 0.3, 0.0]), worse=st.floats(-0.01, 0.01),
    fee=st.sampled_from([0.0, 0.001, 0.004]), currency=st.sampled_from(["quote", "BTC", "BNB"]),
    rejected=st.sampled_from(["", "", "", "funds"]),
)  # fmt: skip


@settings(max_examples=12)
@example(
    True,
    frozenset(),
    frozenset(),
    {},
    {0: Hand(share=1.0, fee=0.001, currency="BTC")},
    -1,
    frozenset(),
    6,
    0,
    False,
)  # a fee of the same worth, but in what was bought
@given(
    st.booleans(), FEW, FEW, st.dictionaries(st.integers(0, 58), st.floats(0.95, 1.05)),
    st.dictionaries(st.integers(0, 20), HANDS), st.sampled_from([-1, -1, 30]),
    FEW, st.integers(6, 50), st.integers(0, 6), st.booleans(),
)  # fmt: skip
def test_nothing_is_left_over_of_any_mixture(
    explain: Explain,
    venue_fills: bool,
    late: frozenset[int],
    missed: frozenset[int],
    changes: dict[int, float],
    hands: dict[int, Hand],
    halted: int,
    behind: frozenset[int],
    died: int,
    hours: int,
    flattened: bool,
) -> None:
    closes = {n: round(BARS[n].close * by, 2) for n, by in changes.items()}
    dead, resumed = (died, died + hours), died + hours + 3
    lives = Lives(
        late, missed, closes, hands, venue_fills, halted=halted, behind=behind, dead=dead,
        flattened=flattened, resumed=resumed,
    )  # fmt: skip
    gap = explain(lives)
    assert gap.explained, gap.remainder
    assert gap.equity - gap.stages[0] == pytest.approx(sum(gap.parts.values()), abs=1e-8)
    if not venue_fills:
        assert gap.remainder == 0.0
        assert gap.parts["fill"] == gap.parts["cost"] == 0.0
    assert {each.part for each in gap.causes} >= {
        name for name, part in gap.parts.items() if abs(part) > 1e-9
    }
    json.dumps(gap.document(), allow_nan=False)


@pytest.mark.parametrize("died", [9, 21])
def test_nothing_is_left_over_of_a_flatten_given_while_the_process_was_dead(
    explain: Explain, died: int
) -> None:
    gap = explain(Lives(dead=(died, died + 3), flattened=True, resumed=died + 8))
    assert gap.remainder == 0.0
    assert len(facts(gap, "timing", "operator")) == 2


def test_what_works_when_the_process_dies_fills_as_if_it_had_not(place: Path) -> None:
    """SEMANTICS: a simulated venue matches what rests in each bar, whoever is there."""
    whole = read_lived(lived(place / "pair.yaml", place / "whole", BARS, Lives()))
    fills = [each.traded for each in whole.moves if isinstance(each, Booking)]
    n = next(n for n, bar in enumerate(BARS) if bar.open_ns == fills[2].market_ns)
    killed = Lives(dead=(n, n + 3))
    read = read_lived(lived(place / "pair.yaml", place / "killed", BARS, killed))
    again = [each.traded for each in read.moves if isinstance(each, Booking)]
    assert again[:3] == fills[:3]


def test_a_row_that_only_asked_for_something_else_is_no_cause() -> None:
    same = Row("long", 6.329, "")
    assert differing({(1, 0): same}, {(1, 0): Row("long", 6.329, "")}) == []
    table = {
        "time": [1], "symbol": ["A"], "signal": ["long"], "requested": [6.32912],
        "granted": [6.329], "rejected_by": [""],
    }  # fmt: skip
    other = {**table, "requested": [6.32999]}
    assert differing(rows_of_table(table, ["A"]), rows_of_table(other, ["A"])) == []


@pytest.mark.parametrize(
    ("one", "other"), [(6.32900000001, 6.32900000002), (100.0, 100.0 + 2**-40), (0.1, 0.2)]
)
def test_values_that_differ_are_written_so_that_they_differ(one: float, other: float) -> None:
    assert len(set(distinct_texts(one, other))) == 2
    assert is_same(math.nan, math.nan)
    assert not is_same(one, other)


# ---------------------------------------------------------------- funding, marks, models


def test_funding_and_prices_between_bars_leave_nothing_over(tmp_path: Path) -> None:
    gap = shelf("perpetual-trend", tmp_path, venue_fills=True)
    assert gap.explained, gap.remainder
    assert facts(gap, "cost", "fee")
    assert [each for each in gap.causes if each.kind == "missed bar"]


def test_the_same_models_make_no_gap_and_a_late_one_is_late(tmp_path: Path) -> None:
    sets = ["universe.end=2021-11-12", "signal.regime.window=3d", *FEW_TREES]
    gap = shelf("demo", tmp_path, sets=sets, late_model=1)
    assert gap.explained, gap.remainder
    assert not [each for each in gap.causes if each.part == "revision"]
    [late] = facts(gap, "late_or_missed", "late model")
    assert late["decided_ns"] >= late["ready_ns"]
    assert gap.parts["revision"] == gap.parts["timing"] == 0.0


# ---------------------------------------------------------------- the backtest's side


def test_a_backtest_that_began_elsewhere_is_made_again(explain: Explain) -> None:
    gap = explain(Lives(first=12))
    only(gap)
    assert any("run again from its resolved.json" in note for note in gap.notes)


def test_data_that_has_changed_since_is_reported(tmp_path: Path) -> None:
    run = backtested(tmp_path, BARS)
    revised = [replace(bar, volume=bar.volume + (n == 7)) for n, bar in enumerate(BARS)]
    write_file(tmp_path, revised)
    gap = explained(run, tmp_path / "pair.yaml", tmp_path / "live", BARS, Lives())
    only(gap)
    assert any("SHA-256" in note for note in gap.notes)
    assert [each["field"] for each in facts(gap, "revision", "bar")] == ["volume"]


def test_data_that_is_gone_is_refused(tmp_path: Path) -> None:
    run = backtested(tmp_path, BARS)
    live = lived(tmp_path / "pair.yaml", tmp_path / "live", BARS, Lives())
    (tmp_path / "bars.csv").unlink()
    with pytest.raises(InputError, match="cannot be read again"):
        diff(live, run)


def test_other_rules_are_refused(tmp_path: Path) -> None:
    run = backtested(tmp_path, BARS, sets=["features.fast.period=3"])
    live = lived(tmp_path / "pair.yaml", tmp_path / "live", BARS, Lives())
    with pytest.raises(InputError, match=r"features\.fast\.period is 2 live and 3"):
        diff(live, run)


@pytest.mark.parametrize(("live_bars", "past_bars"), [((40, 60), (0, 30)), ((0, 30), (40, 60))])
def test_runs_that_do_not_overlap_are_refused_with_both_spans(
    tmp_path: Path, live_bars: tuple[int, int], past_bars: tuple[int, int]
) -> None:
    live = lived(
        write_file(tmp_path, BARS), tmp_path / "live", BARS[slice(*live_bars)], Lives()
    )  # fmt: skip
    run = backtested(tmp_path, BARS[slice(*past_bars)])
    with pytest.raises(InputError, match="have no decision time in common") as rejected:
        diff(live, run, base=tmp_path)
    first = iso(BARS[live_bars[0] + WARMUP].known_ns)
    assert f"the live run decided from {first} to " in rejected.value.message
    assert f", the backtest from {iso(run.facts.first_decision_ns)} to" in rejected.value.message
    assert rejected.value.hint == "backtest a span that the live run lies in"


def test_a_live_run_that_went_on_is_compared_as_far_as_both_went(tmp_path: Path) -> None:
    run = backtested(tmp_path, BARS[:30])
    live = lived(tmp_path / "pair.yaml", tmp_path / "live", BARS, Lives())
    gap = diff(live, run, base=tmp_path)
    only(gap)
    assert gap.until_ns == BARS[29].known_ns
    assert gap.notes == (
        f"the live run went on to {iso(BARS[59].known_ns)}: what it did after the last decision "
        "time that both have is not compared",
    )


def test_a_live_run_whose_every_order_was_refused_is_explained(explain: Explain) -> None:
    gap = explain(Lives(venue_fills=True, hands={n: Hand(rejected="funds") for n in range(60)}))
    only(gap, "timing")
    assert gap.equity == gap.capital


def test_a_backtest_is_no_live_run(run: Run) -> None:
    with pytest.raises(InputError, match="has no journal"):
        diff(run.folder, run)


# ---------------------------------------------------------------- the command


def test_what_cannot_be_explained_is_a_bug_and_reported(run: Run, place: Path) -> None:
    """A journal in which a fill was booked at another price than the one it names."""
    folder = lived(place / "pair.yaml", place / "right", BARS, Lives(venue_fills=True))
    wrong = place / "wrong"
    wrong.mkdir()
    with Journal.open(folder / JOURNAL, durability="process") as old:
        head, entries = old.head, list(old.read())
    changed = 0
    with Journal.create(wrong / JOURNAL, head, durability="process") as new:
        for entry in entries:
            commands = list(entry.commands)
            for n, each in enumerate(commands):
                if isinstance(each, m.Traded) and not changed:
                    commands[n] = structs.replace(each, price=each.price + 1.0)
                    changed += 1
            new.append(entry.event, commands)
        new.commit()
    gap = diff(wrong, run, base=place)
    assert not gap.explained
    assert gap.remainder > 1.0
    words = ["runs", "diff", str(wrong), str(run.folder), "--base", str(place)]
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 1
    assert "is left over" in shown.output


def test_the_command_prints_the_waterfall_and_its_causes(run: Run, place: Path) -> None:
    hands = {0: Hand(share=0.5), 1: Hand(worse=0.004), 2: Hand(fee=0.002)}
    lives = Lives(frozenset({30}), frozenset({20}), {15: 111.0}, hands, venue_fills=True)
    folder = lived(place / "pair.yaml", place / "shown", BARS, lives)
    words = ["runs", "diff", str(folder), str(run.folder), "--base", str(place)]
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 0, shown.output
    for word in ("backtest", "revision", "late or missed bars", "partial: 1", "left over", "bps"):
        assert word in shown.output
    reported = CliRunner().invoke(cli, [*words, "--json"])
    document = json.loads(reported.stdout)
    assert document["explained"] is True
    assert document["gap"] == pytest.approx(sum(document["parts"].values()))
    assert {each["part"] for each in document["causes"]} == set(PARTS)
