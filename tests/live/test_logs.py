"""Logs: one event a line, machine readable, nothing secret, never in the way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from septet import messages as m
from septet._core.engine_messages import halted
from septet._live.logs import NOT_RECEIVED, RunLog, lines_of

SYMBOLS = ("BTC/USDT", "ETH/USDT")
AT_NS = 1_700_000_000_123_456_789


def log(folder: Path | None, **options: Any) -> tuple[RunLog, io.StringIO]:
    out = io.StringIO()
    options = {"stream": out, "run": "r1", "strategy": "s", **options}
    return RunLog(folder, now_ns=lambda: AT_NS, **options), out


def test_a_line_is_one_json_document_with_run_and_time(tmp_path: Path) -> None:
    written, out = log(tmp_path)
    written.notify("warning", "venue", {"text": "binance is down", "trace": "b7"})
    line = json.loads(out.getvalue())
    assert line == {
        "timestamp": "2023-11-14T22:13:20.123456Z", "level": "warning", "event": "venue",
        "run": "r1", "strategy": "s", "text": "binance is down", "trace": "b7",
    }  # fmt: skip
    assert json.loads((tmp_path / "log.jsonl").read_text()) == line
    assert written.close() == 0


def test_levels_below_the_least_are_left_out() -> None:
    written, out = log(None, level="warning")
    for level in ("debug", "info", "warning", "error", "critical"):
        written.notify(level, "x", {})
    assert [json.loads(line)["level"] for line in out.getvalue().splitlines()] == [
        "warning", "error", "critical",
    ]  # fmt: skip


def test_nothing_secret_is_written() -> None:
    written, out = log(None)
    written.notify("info", "x", {"api_key": "abc123", "url": "https://me:word@host/", "text": "ok"})
    assert "abc123" not in out.getvalue()
    assert "word" not in out.getvalue()


def test_a_terminal_gets_text_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    written, _ = log(None, stream=out)
    written.notify("info", "fill", {"text": "bought 1 BTC/USDT"})
    assert "bought 1 BTC/USDT" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    written, out = log(tmp_path / "gone")
    out.close()
    written.notify("info", "x", {})
    assert written.close() == 1


def test_the_trace_ties_signal_order_and_fill() -> None:
    decided = m.Decided(
        trace="b1", time_ns=AT_NS, symbol=0, features=b"", probability_up=0.6, confidence=0.2,
        signal="long", requested=0.5, granted=0.4, capped_by="position",
    )  # fmt: skip
    submit = m.Submit(
        trace="b1", client_id="t1-0", parent=1, symbol=0, side="buy", order_type="market",
        quantity=0.4, reduces=False, deadline_ns=1,
    )  # fmt: skip
    bar = m.Ticked(at_ns=1, market_ns=1)
    lines = list(lines_of(bar, [decided, submit], SYMBOLS))
    assert [name for _, name, _ in lines] == ["decided", "order"]
    assert {fields["trace"] for _, _, fields in lines} == {"b1"}
    assert lines[0][2]["text"] == "long, confidence 0.2, asks 0.5, gets 0.4 (position)"
    assert lines[1][2]["text"] == "market buy 0.4 BTC/USDT"


def test_a_block_is_one_line_that_shows_what_ends_it() -> None:
    tripped = m.Tripped(
        rule="venue_down:main", then="block_entries", clears_when="the venue answers again",
        equity=1.0, text="connection lost",
    )  # fmt: skip
    alert = m.Alerted(level="error", event="venue_down", text="venue_down:main: connection lost")
    [(level, name, fields)] = lines_of(m.Ticked(at_ns=1, market_ns=1), [tripped, alert], SYMBOLS)
    assert (level, name, fields["rule"]) == ("error", "venue_down", "venue_down:main")
    assert fields["text"] == (
        "venue_down:main: no entries, until: the venue answers again (connection lost)"
    )


def test_a_halt_that_a_person_clears_names_the_command() -> None:
    """The file says `manual`; a person needs the command."""
    tripped = m.Tripped(
        rule="monitoring.losses", then="cancel_open_orders", clears_when="manual", equity=1.0
    )
    [(_, _, fields)] = lines_of(m.Ticked(at_ns=1, market_ns=1), [tripped], SYMBOLS)
    assert fields["text"].endswith("until: a person resumes the run (septet resume)")


def test_a_usual_start_and_stop_have_no_line_that_warns() -> None:
    rule = "feed_down:bars:BTC/USDT"
    down = m.FeedChanged(at_ns=1, stream="bars", symbol=0, state="down", reason=NOT_RECEIVED)
    tripped = m.Tripped(
        rule=rule,
        then="block_entries",
        clears_when="the stream is live again",
        equity=1.0,
        text=NOT_RECEIVED,
    )
    alert = m.Alerted(level="warning", event="feed_down", text=f"{rule}: {NOT_RECEIVED}", symbol=0)
    live = m.FeedChanged(at_ns=2, stream="bars", symbol=0, state="live")
    stop = m.Operated(at_ns=3, action="stop", name="septet", reason="SIGTERM was received")
    lines = [
        *lines_of(down, [tripped, alert], SYMBOLS),
        *lines_of(live, [m.Cleared(rule=rule, by="live")], SYMBOLS),
        *lines_of(stop, [], SYMBOLS),
    ]
    assert [(level, name) for level, name, _ in lines] == [
        ("info", "feed"), ("info", "feed_down"), ("info", "feed"), ("info", "cleared"),
        ("info", "operated"),
    ]  # fmt: skip
    later = m.Tripped(
        rule=rule, then="block_entries", clears_when="", equity=1.0, text="connection lost"
    )
    [(level, _, _)] = lines_of(m.Ticked(at_ns=4, market_ns=4), [later, alert], SYMBOLS)
    assert level == "warning"


def test_orders_have_the_names_that_why_takes() -> None:
    rejected = m.Changed(
        order=5, client_id="", symbol=1, state="rejected", filled=0.0, reason="venue_down"
    )
    [(level, _, fields)] = lines_of(m.Ticked(at_ns=1, market_ns=1), [rejected], SYMBOLS)
    assert (level, fields["order"]) == ("warning", "o6")
    assert fields["text"] == "o6 of ETH/USDT rejected: venue_down"


def test_a_decision_to_do_nothing_is_for_debugging_only() -> None:
    idle = m.Decided(
        time_ns=1, symbol=1, features=b"", probability_up=None, confidence=0.0, signal="none",
        requested=0.0, granted=0.0,
    )  # fmt: skip
    [(level, _, _)] = lines_of(m.Ticked(at_ns=1, market_ns=1), [idle], SYMBOLS)
    assert level == "debug"


@given(st.integers(-1, 5), st.sampled_from(["live", "stale", "down"]), st.text(max_size=20))
def test_events_about_the_world_have_lines(symbol: int, state: Any, reason: str) -> None:
    event = m.FeedChanged(at_ns=1, stream="bars", symbol=symbol, state=state, reason=reason)
    [(level, name, fields)] = lines_of(event, [], SYMBOLS)
    assert (level == "info") == (state == "live" or reason == NOT_RECEIVED)
    assert name == "feed"
    assert json.dumps(fields)


def test_an_exit_has_the_line_of_its_decision() -> None:
    exit_ = m.Decided(
        trace="b2", time_ns=AT_NS, symbol=0, features=b"", probability_up=None, confidence=0.0,
        signal="flat", requested=0.0, granted=0.0,
    )  # fmt: skip
    submit = m.Submit(
        trace="b2", client_id="t2-0", parent=2, symbol=0, side="sell", order_type="market",
        quantity=0.4, reduces=True, deadline_ns=1,
    )  # fmt: skip
    lines = lines_of(m.Ticked(at_ns=1, market_ns=1), [exit_, submit], SYMBOLS)
    assert [(level, name) for level, name, _ in lines] == [("info", "decided"), ("info", "order")]
    cancel = m.Cancel(trace="b2", client_id="t1-0", symbol=0, reduces=True)
    lines = lines_of(m.Ticked(at_ns=1, market_ns=1), [exit_, cancel], SYMBOLS)
    assert [(level, name) for level, name, _ in lines] == [("info", "decided"), ("info", "cancel")]
    assert lines[1][2]["text"] == f"cancels t1-0 of {SYMBOLS[0]}, a stop or an exit"


def test_a_halt_shows_what_it_does_and_for_how_long() -> None:
    given = {
        clears_when: halted("drawdown", "flatten", clears_when, 812.5)
        for clears_when in ("manual", "12h")
    }
    assert given["manual"] == (
        "drawdown tripped at equity 812.50: orders are cancelled and positions closed, until a "
        "person resumes the run"
    )
    assert given["12h"].endswith("positions closed, for 12h")
    assert halted("x", "block_entries", "next_day", 1.0).endswith(
        "no entries, until the next day begins"
    )


def test_the_message_comes_first() -> None:
    written, out = log(None)
    written.notify("info", "fill", {"order": "o1", "text": "bought 1 BTC/USDT"})
    assert list(json.loads(out.getvalue()))[:4] == ["timestamp", "level", "event", "text"]
