"""The page: every target on it, whatever was measured; what is missing is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from . import conftest  # noqa: F401 - puts the folder of the scripts on the path

FACTS = {
    "day": "today", "minutes": 1.0, "rounds": 5, "machine": "M", "software": "S", "state": "T",
}  # fmt: skip


def _module(name: str) -> Any:
    return __import__(name)


def _result(key: str, *seconds: float, **more: Any) -> Any:
    contest = _module("contest")
    who = contest.Contestant(key, key, "septet" if key == "septet" else "peers", "x.py", "w")
    return contest.Result(who, list(seconds), **more)


def _findings(**held: Any) -> Any:
    found = _module("targets").Findings()
    found.contests["w1"] = held
    found.bars["w1"] = 1_000_000
    return found


def _verdicts(findings: Any) -> dict[tuple[str, str], Any]:
    evaluated = _module("targets").evaluate(findings)
    return {(target.work, target.text): verdict for target, verdict in evaluated.items()}


def test_nothing_measured_leaves_every_target_on_the_page() -> None:
    page, targets, contests = (_module(name) for name in ("page", "targets", "contests"))
    text = page.write(targets.Findings(), contests.Sizes(), FACTS, ["raptorbt==1"], "")
    for target in targets.TARGETS:
        assert f"| {target.work} | {target.text} | not measured in this run |  |  |" in text
    assert "left out: raptorbt==1" in text


def test_a_ratio_is_decided_by_medians() -> None:
    ours = _result("septet", 0.010, 0.011, 0.500)
    found = _findings(septet=ours, raptorbt=_result("raptorbt", 0.044, 0.044, 0.9))
    verdict = _verdicts(found)["W1", "at least 4 times raptorbt"]
    assert (verdict.ratio, verdict.met) == ("4.00", True)
    found = _findings(septet=ours, raptorbt=_result("raptorbt", 0.043))
    assert _verdicts(found)["W1", "at least 4 times raptorbt"].met is False


def test_a_peer_that_is_missing_is_no_target_met() -> None:
    gone = _result("raptorbt", missing="raptorbt is not installed")
    found = _findings(septet=_result("septet", 0.01), raptorbt=gone)
    verdict = _verdicts(found)["W1", "at least 4 times raptorbt"]
    assert verdict.met is None
    assert "raptorbt is not installed" in verdict.measured


def test_a_row_of_a_script_is_decided_by_the_issue_not_by_itself() -> None:
    targets, row = _module("targets"), _module("common").Row
    found = targets.Findings()
    found.rows = [
        row("W3", "ten features, 1 M bars", "20 ms", ""),
        row("W3", "the same, its result arrays made anew", "30 ms", ""),
        row("W3", "polars, the same features", "80 ms", "septet 3 times as fast", 1.33),
        row("W3", "pandas, the same features", "0.18 s", "septet 6 times as fast", 1.5),
        row("ML", "training excluded", "1 s", "vectorised pandas, target 2.5", 2.4, must=False),
        row("W4", "forest: 1,000,000 rows", "2 s", "scikit-learn; target 2.5", 2.6, must=False),
        row("W4", "forest: one row", "5.9 µs", "target 6 µs", 1.02),
        row("W4", "forest: one row, scikit-learn", "900 µs", "septet against scikit-learn", 99.0),
        row("W4", "forest: largest difference", "2.2e-16", ""),
        row("W4", "histogram boosting: largest difference", "2.2e-15", ""),
        row("growth", "one bar of 10 M bars", "9 ns", "", 0.99),
    ]
    given = _verdicts(found)
    polars, pandas = (
        given["W3", f"at least {text}"] for text in ("3 times polars", "6 times pandas")
    )
    assert (polars.ratio, polars.met, pandas.ratio, pandas.met) == ("2.67", False, "6.00", True)
    assert given["ML strategy, 1 M bars", "at least 2.5 times a vectorised pipeline"].met is False
    rows = "1 M rows at least 2.5 times scikit-learn on two threads"
    assert given["W4, forest", rows].met is True
    assert given["W4, forest", "a single row in at most 6 µs"].met is True
    assert given["W4, forest", "exact to 1e-15"].met is True
    assert given["W4, boosting", "exact to 1e-15"].met is False
    assert given["growth", "time a bar within 10 % from 1 M to 10 M bars"].met is False


def test_a_contest_shows_who_is_missing_and_how_trades_differ() -> None:
    page, contests = _module("page"), _module("contests")
    found = _findings(
        septet=_result("septet", 0.01, same="the same 7"),
        raptorbt=_result("raptorbt", 0.05, same="6 of 7, and 1 others", peak_bytes=10**9),
        vectorbt=_result("vectorbt", missing="vectorbt is not installed"),
    )
    text = page.write(found, contests.Sizes(), FACTS, [], "results.png")
    row = "| raptorbt |  | 50 ms | 50 ms to 50 ms | 20 M | 5.00 | 1.00 GB | 6 of 7, and 1 others |"
    assert row in text
    assert "| vectorbt |  | not measured: vectorbt is not installed |" in text
    assert [bar["name"] for bar in page.panels(found)[0]["bars"]] == ["septet", "raptorbt"]


def test_one_peer_that_does_not_install_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = _module("environments")

    def succeeds(command: list[str], log: Path) -> bool:
        return not any(word.startswith("raptorbt") for word in command)

    monkeypatch.setattr(environments, "_succeeds", succeeds)
    logged: list[str] = []
    made = environments.prepare("peers", logged.append, tmp_path)
    assert len(made.refused) == 1
    assert made.refused[0].startswith("raptorbt==")
    assert made.python is not None
    assert "could not be installed: raptorbt" in logged[-1]


def test_without_venv_there_is_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = _module("environments")
    monkeypatch.setattr(environments, "_succeeds", lambda command, log: False)
    made = environments.prepare("peers-nautilus", lambda message: None, tmp_path)
    assert made.python is None
    assert made.refused == ["no environment could be made"]


@pytest.mark.parametrize("words", [["--only", "w9"], ["--rounds", "0"]])
def test_wrong_words_are_reported(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _module("bench_all").options(words)
    assert f"{words[0]} was {words[1]}; expected" in capsys.readouterr().err
