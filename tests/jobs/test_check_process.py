"""Checks in a process of their own: what passes a bound ends that process, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from septet._agents.guide import EXAMPLE
from septet._jobs.bounds import Bounds
from septet._jobs.check_process import MOST_WAITING, CheckAnswer, CheckProcess, CheckRequest
from septet._jobs.check_worker import check_here
from septet.errors import InputError

LARGE = EXAMPLE.replace("{use: sample}", "{use: synthetic, bars: 10000000}").replace("15m", "1m")


@contextmanager
def started(bounds: Bounds) -> Iterator[CheckProcess]:
    checks = CheckProcess(bounds)
    try:
        yield checks
    finally:
        checks.close()


@pytest.fixture(scope="module")
def checks() -> Iterator[CheckProcess]:
    with started(Bounds(seconds=600.0)) as found:
        yield found


def wanted(folder: Path, text: str = EXAMPLE, **settings: object) -> CheckRequest:
    return CheckRequest(str(folder), None, text, settings)


def test_it_finds_what_a_check_here_finds(checks: CheckProcess, tmp_path: Path) -> None:
    for text in (EXAMPLE, EXAMPLE.replace("sma,", "smaa,"), LARGE.replace("000000}", "}"), "a: ["):
        given = wanted(tmp_path, text)
        assert checks.check(given) == check_here(given)
    given = CheckRequest(str(tmp_path), None, EXAMPLE, {"universe.bar": "1h"})
    assert checks.check(given) == check_here(given)


def test_what_is_refused_there_is_refused_here(checks: CheckProcess, tmp_path: Path) -> None:
    for given in (
        CheckRequest(str(tmp_path), "../x.yaml", None, {}),
        wanted(tmp_path, "x" * 300_000),
    ):
        with pytest.raises(InputError) as here:
            check_here(given)
        with pytest.raises(InputError) as there:
            checks.check(given)
        assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)


def test_the_process_is_kept_and_one_that_ended_is_replaced(
    checks: CheckProcess, tmp_path: Path
) -> None:
    checks.check(wanted(tmp_path))
    first = checks.pid
    assert checks.check(wanted(tmp_path)).ok
    assert checks.pid == first is not None
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert checks.check(wanted(tmp_path)).ok
    assert checks.pid != first


def test_a_check_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with started(Bounds(seconds=0.2)) as short:  # less than the process needs to begin
        with pytest.raises(InputError, match=r"longer than 0\.2 s and was ended"):
            short.check(wanted(tmp_path))
        assert short.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="the bound of memory is Linux's")
def test_a_check_that_takes_too_much_memory_ends_with_a_message(tmp_path: Path) -> None:
    with started(Bounds(memory=512 << 20)) as small:
        with pytest.raises(InputError, match=r"0\.5 GiB of memory") as refused:
            small.check(wanted(tmp_path, LARGE))
        assert "fewer symbols" in refused.value.hint
        assert small.check(wanted(tmp_path)).ok, "the next check is served"


def test_a_process_that_waits_in_a_check_ends_with_the_server(tmp_path: Path) -> None:
    """Nobody waits for the answer any more: `close` ends it in the middle of a check."""
    with started(Bounds(seconds=600.0)) as checks, ThreadPoolExecutor(1) as threads:
        assert checks.check(wanted(tmp_path)).ok
        pid = checks.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        waiting = threads.submit(checks.check, wanted(tmp_path))
        checks.close()
        error = waiting.exception()
        assert error is None or isinstance(error, InputError)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_too_many_checks_at_once_are_refused(tmp_path: Path) -> None:
    with started(Bounds(seconds=600.0)) as checks, ThreadPoolExecutor(2 * MOST_WAITING) as threads:
        assert checks.check(wanted(tmp_path)).ok
        pid = checks.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            sent = [threads.submit(checks.check, wanted(tmp_path)) for _ in range(MOST_WAITING + 3)]
            done: set[Future[CheckAnswer]] = set()
            while len(done) < 3:  # all but those that may wait are refused while it stands still
                done = wait(sent, timeout=60, return_when=FIRST_COMPLETED).done
                assert done
        finally:
            os.kill(pid, signal.SIGCONT)
        found = [each.exception() for each in sent]
    words = [str(each) for each in found if each is not None]
    assert len(words) == 3
    assert all("8 checks wait already" in each for each in words)
