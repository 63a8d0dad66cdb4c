"""An argument of another kind is refused by its name, in a sentence, and nothing runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import septet
from tests.python.samples import bars, written


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> septet.Run:
    return septet.run(septet.load(written(tmp_path_factory.mktemp("run"))))


@pytest.fixture(scope="module")
def swept(run: septet.Run) -> septet.Sweep:
    return septet.sweep(run.strategy, {"features.fast.period": [4, 5]}, threads=1)


UNTYPED: Any = septet
"""septet as a caller without a type checker has it."""


class Odd:
    """Fits no argument, and no operation."""

    __hash__ = None  # type: ignore[assignment]


def wrong(function: Callable[..., Any], needed: dict[str, Any], skipped: set[str]) -> list[str]:
    """Give each parameter in turn what fits none; return those that were not refused by name."""
    missed = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in skipped:
            continue
        given: dict[str, Any] = {**needed, name: Odd()}
        first = [given.pop(name)] if parameter.kind is parameter.POSITIONAL_ONLY else []
        try:
            found = function(*first, **given)
            list(found) if inspect.isgenerator(found) else found
        except septet.SeptetError as error:
            if not (name in error.message and "Odd" in error.message):
                missed.append(f"{name}: {error.message}")
        except Exception as error:
            missed.append(f"{name}: {error!r}")
        else:
            missed.append(f"{name}: taken")
    return missed


@pytest.mark.parametrize(
    "name",
    ["load", "loads", "run", "run_many", "sweep", "train", "runs", "open_run", "trials",
     "halt", "resume"],
)  # fmt: skip
def test_every_argument_of_a_function_is_named(name: str, run: septet.Run, tmp_path: Path) -> None:
    given: dict[str, dict[str, Any]] = {
        "load": {"source": tmp_path / "gone.yaml"}, "loads": {"text": "version: 1"},
        "run": {"strategy": run.strategy}, "run_many": {"strategies": []},
        "sweep": {"strategy": run.strategy}, "train": {"strategy": run.strategy},
        "open_run": {"reference": "latest"},
        "halt": {"run": run, "name": "ann", "reason": "news"},
        "resume": {"run": run, "name": "ann", "reason": "news"},
    }  # fmt: skip
    needed = given.get(name, {})
    skipped = {"name", "reason"} if name in ("halt", "resume") else set()  # a backtest comes first
    skipped |= {"data"}  # frames are refused with more words: tests/python/test_frames.py
    assert wrong(getattr(septet, name), needed, skipped) == []


def test_every_argument_of_a_method_is_named(run: septet.Run, swept: septet.Sweep) -> None:
    assert wrong(run.strategy.with_, {}, set()) == []
    assert wrong(run.strategy.save, {"path": "x.yaml"}, set()) == []
    for method in (run.scan, run.why, run.diff, run.save, run.report, swept.best, swept.strategy):
        assert wrong(method, {}, set()) == [], method
    assert wrong(septet.check, {"source": run.strategy}, {"source"}) == []
    (problem,) = septet.check(Odd()).problems  # type: ignore[arg-type]
    assert problem.message == "source: expected a path or a mapping, found a Odd"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: UNTYPED.run(s, threads=0), "threads was 0"),
        (lambda s: UNTYPED.run(s, threads=True), "threads: expected a whole number, found a bool"),
        (lambda s: UNTYPED.run(s, progress="yes"), "progress: expected a function, found a str"),
        (lambda s: UNTYPED.run_many(s), "strategies: expected strategies in a list or another"),
        (lambda s: UNTYPED.run_many({"a": s}), "found a dict"),
        (lambda s: UNTYPED.run_many([s], zone="UTC"), "no data was given"),
        (lambda s: UNTYPED.load("x.yaml", mode="fast"), "there is no mode 'fast'"),
        (lambda s: UNTYPED.sweep(s, method="best"), "there is no method 'best'"),
        (lambda s: UNTYPED.sweep(s, trials=0), "trials was 0"),
        (lambda s: UNTYPED.sweep(s, seed=-1), "seed was -1"),
        (lambda s: s.save(None), "path: expected a path, found None"),
        (lambda s: UNTYPED.open_run(b"latest"), "reference: expected a path, found a bytes"),
        (lambda s: UNTYPED.runs(root=3), "root: expected a path, found an int"),
    ],
)
def test_what_was_found_is_reported(call: Any, words: str, run: septet.Run) -> None:
    with pytest.raises(septet.InputError) as caught:
        call(run.strategy)
    assert words in caught.value.message


def test_many_runs_on_a_frame_with_another_column_and_zone(run: septet.Run) -> None:
    frame = bars(zone=None).rename({"time": "opened"})
    variants = [run.strategy, run.strategy.with_({"features.fast.period": 6})]
    found = list(septet.run_many(variants, data=frame, time="opened", zone="UTC", threads=1))
    assert [type(each) for each in found] == [septet.Run, septet.Run]
    first = found[0]
    assert isinstance(first, septet.Run)
    assert first.summary.final_equity == run.summary.final_equity
    (failed,) = septet.run_many(variants[:1], data=frame, time="opened", threads=1)
    assert isinstance(failed, septet.Failed)
    assert "zone" in failed.error.message
    (failed,) = septet.run_many(variants[:1], data=frame, zone="UTC", threads=1)
    assert isinstance(failed, septet.Failed)
    assert "time" in failed.error.message


def test_a_second_root_gets_a_second_folder(tmp_path: Path, run: septet.Run) -> None:
    made = septet.run(run.strategy)
    first = made.save(tmp_path / "a", report=False)
    assert made.save(tmp_path / "a") == first, "the same root has it already"
    second = made.save(tmp_path / "b", report=False)
    assert second == tmp_path / "b" / "cross" / first.name
    assert made.folder == first
    one, other = septet.open_run(first), septet.open_run(second)
    assert one.trades.equals(other.trades)
    made.close()
    third = made.save(tmp_path / "c")
    assert third == made.save(tmp_path / "c") == tmp_path / "c" / "cross" / first.name
    names = [sorted(p.relative_to(d).as_posix() for p in d.rglob("*")) for d in (first, third)]
    assert names[0] == names[1]
    assert (third / "trades.parquet").read_bytes() == (first / "trades.parquet").read_bytes()
    assert septet.open_run(third).save(tmp_path / "c") == third
    assert septet.open_run(third).save(tmp_path / "a") == first
    assert [each.name for each in (tmp_path / "c" / "cross").iterdir()] == [first.name]


def test_a_copy_that_cannot_be_written_leaves_nothing(tmp_path: Path, run: septet.Run) -> None:
    stored = septet.open_run(septet.run(run.strategy).save(tmp_path / "a", report=False))
    (tmp_path / "file").write_text("")
    with pytest.raises(septet.RunError, match="could not be copied"):
        stored.save(tmp_path / "file")
    assert stored.folder is not None
    (stored.folder / "log.jsonl").write_text("")
    with pytest.raises(septet.InputError, match="is a paper or live run, and stays in"):
        stored.save(tmp_path / "b")
    assert not (tmp_path / "b").exists()
