"""How many jobs may be open, of one owner and of all, in which order they run, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from septet._jobs.jobs import CHECKS, LONG, Job, Jobs, TooManyJobs, Work
from septet._progress import Progress


class Held:
    """Work that goes on until it is released, or cancelled; and the order in which it began."""

    def __init__(self) -> None:
        self.released, self.began = threading.Event(), list[str]()

    def work(self, name: str = "") -> Work:
        def run(progress: Progress) -> dict[str, Any]:
            self.began.append(name)
            while not self.released.wait(0.01):
                progress("held", 0, None, "")
            return {}

        return run


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.released.set()


def test_one_owner_and_all_together_have_a_limit(held: Held) -> None:
    jobs = Jobs("cancel one")
    own = [jobs.start("run", held.work(), owner="ada") for _ in range(LONG.most_each)]
    with pytest.raises(TooManyJobs, match="4 of your jobs are open, the limit is 4") as refused:
        jobs.start("run", held.work(), owner="ada")
    assert own[0].id in refused.value.hint
    others = [
        jobs.start("run", held.work(), owner=f"user {number}")
        for number in range(LONG.most - LONG.most_each)
    ]
    with pytest.raises(TooManyJobs, match="8 jobs are open, the limit is 8"):
        jobs.start("run", held.work(), owner="another")
    others[0].cancel()
    others[0].wait()
    assert jobs.start("run", held.work(), owner="another").is_open
    assert jobs.end()


def test_checks_do_not_wait_for_long_work_and_are_not_kept(held: Held) -> None:
    jobs = Jobs("cancel one")
    long = [jobs.start("run", held.work(), owner="ada") for _ in range(LONG.most_each)]
    checks = Held()
    check = jobs.start("check", checks.work(), CHECKS, "ada")
    with pytest.raises(TooManyJobs, match="1 of your checks are open"):
        jobs.start("check", checks.work(), CHECKS, "ada")
    assert [each.id for each in jobs.latest()] == [check.id, *(each.id for each in long[::-1])]
    checks.released.set()
    check.wait()
    assert check.state == "done"
    assert check not in jobs.latest()
    assert jobs.end()
    assert [each.state for each in long] == ["cancelled"] * len(long)


def test_they_run_in_the_order_in_which_they_were_begun(held: Held) -> None:
    jobs = Jobs("cancel one")
    begun = [jobs.start("run", held.work(str(number))) for number in range(6)]
    begun[3].cancel()
    begun[3].wait()
    held.released.set()
    for each in begun:
        each.wait()
    assert held.began == ["0", "1", "2", "4", "5"]


def test_one_that_waits_ends_when_it_is_cancelled_and_not_at_its_turn(held: Held) -> None:
    """The one before it may run for an hour."""
    jobs = Jobs("cancel one")
    first, second = (jobs.start("run", held.work()) for _ in range(2))
    second.cancel()
    second.wait()
    assert (second.state, first.is_open) == ("cancelled", True)
    assert jobs.end()


def test_what_is_begun_after_the_end_does_not_run(held: Held) -> None:
    jobs = Jobs("cancel one")
    jobs.close()
    job: Job = jobs.start("run", held.work())
    job.wait()
    assert (job.state, held.began) == ("cancelled", [])
