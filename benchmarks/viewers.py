"""What viewers of a live run cost its trading process: the third part of `viewing.py`.

The same work is done in blocks of three kinds, in an order that changes from round to round:

- `alone`: the viewers and the dashboard are halted;
- `viewed`: all viewers are connected, and each reads the page again whenever the run has written;
- `other`: they are halted, and a process that knows nothing of the run uses as much processor time
  as the dashboard and the viewers used in the last viewed block.

A round compares viewed with alone, and other with alone. What viewed costs more than other is
what reading the run costs its writer (locks of SQLite, the log that grows while it is read); what
other costs is competition for the processors and their caches. Figures are medians over rounds,
each with the interval that holds the median with 95 % confidence: an upper bound of it below the
target states that the target is met, a lower bound above it that it is missed, and an interval
with the target in it states neither.
"""

from __future__ import annotations

import http.client
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import live_mill
from live_common import Figure, median, quantile

__all__ = ["crowd", "dashboard", "interval_of_median", "run_address", "spent"]

VIEWERS: Final = 50
OF_SESSION: Final = 10
EVENTS: Final = 4_000
AT_ONCE: Final = 100
PAUSE_S: Final = 0.05
BUDGET_S: Final = 240.0
LEAST_ROUNDS: Final = 12
"""The interval of the median is between the third and the tenth of twelve values."""
RESTS_WITHIN_S: Final = 1.5
"""So long a dashboard may finish what is under way before it is halted; then it is halted in it."""
_ENDS_WITHIN_S: Final = 120.0
KINDS: Final = ("alone", "viewed", "other")


# ---------------------------------------------------------------- processes beside this one


@contextmanager
def dashboard(root: Path) -> Iterator[tuple[str, Iterator[str], int]]:
    """Serve the runs in a process of its own; yield its host, its codes in turn, and its id."""
    command = [sys.executable, __file__, "serve", str(root)]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        host = served.stdout.readline().strip()
        yield host, map(str.strip, served.stdout), served.pid
    finally:
        served.terminate()
        served.communicate(timeout=_ENDS_WITHIN_S)


def _serve(root: Path) -> None:
    from septet._dashboard.serve import NICE, make_server, open_socket

    os.nice(NICE)  # as the product does
    with open_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        print(f"127.0.0.1:{port}", flush=True)
        server = make_server(root, port, partial(print, flush=True), listening=listening)
        server.run([listening])


def run_address(mill: live_mill.Mill) -> str:
    """Return the address of the page of a run."""
    place = mill.world.strategy_run.location.folder
    return "/run?" + urlencode({"run": f"{place.parent.name}/{place.name}"})


def _cookie(host: str, code: str) -> str:
    name, port = host.split(":")
    connection = http.client.HTTPConnection(name, int(port), timeout=60)
    headers = {
        "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    connection.request("POST", "/login", urlencode({"code": code}), headers)
    cookie = str(connection.getresponse().getheader("set-cookie")).partition(";")[0]
    connection.close()
    return cookie


def _view(host: str, path: str, streams: int, cookies: Sequence[str]) -> None:
    """Be so many viewers: read the page whenever the run has written; report when all see it."""
    ready, read = threading.Barrier(streams + 1), [0] * streams

    name, port = host.split(":")
    # Threads of libraries were begun before: a blocked signal would end the process in one of them,
    # and a handler waits for this thread, which reads: so whatever thread is given it writes.
    asked, ask = os.pipe()
    os.set_blocking(ask, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(ask)

    def viewer(number: int, cookie: str) -> None:
        events = http.client.HTTPConnection(name, int(port))
        events.request("GET", path.replace("/run?", "/events?"), headers={"Cookie": cookie})
        answer = events.getresponse()
        assert answer.status == 200, answer.status
        ready.wait()
        for line in answer:
            if line.startswith(b"event: grew"):
                page = http.client.HTTPConnection(name, int(port))
                page.request("GET", path, headers={"Cookie": cookie})
                answered = page.getresponse()
                text = answered.read()
                page.close()
                read[number] += 1
                if answered.status != 200 or b'id="chart-price"' not in text:
                    print(f"a page without figures: {answered.status}", file=sys.stderr, flush=True)
                    os._exit(1)

    for number in range(streams):
        given = (number, cookies[number // OF_SESSION])
        threading.Thread(target=viewer, args=given, daemon=True).start()
    ready.wait()
    print("all", flush=True)
    os.read(asked, 1)
    print(sum(read), flush=True)
    os._exit(0)  # viewers may be reading


def _burn() -> None:
    """Use a share of a processor, over memory that no cache holds; the share comes on stdin."""
    import numpy as np

    share, memory = [0.0], np.ones(4 << 20)

    def take() -> None:
        for line in sys.stdin:
            share[0] = float(line)
        os._exit(0)

    threading.Thread(target=take, daemon=True).start()
    while True:
        until = time.thread_time() + 0.02 * share[0]
        while time.thread_time() < until:
            first = int(time.monotonic_ns() % 200) * 16_384
            memory[first : first + 16_384].sum()
        time.sleep(0.02 * (1.0 - min(0.95, share[0])))


def spent(pid: int) -> float:
    """Return the processor time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rest(pid: int) -> None:
    """Let a process finish what is under way: until it uses a twentieth of a processor."""
    until = time.monotonic() + RESTS_WITHIN_S
    while time.monotonic() < until:
        before = spent(pid)
        time.sleep(0.2)
        if spent(pid) - before <= 0.011:
            return


@dataclass
class Beside:
    """What runs beside the trading process: dashboard, viewers, and other work as large."""

    served: int
    looking: subprocess.Popen[str]
    burning: list[subprocess.Popen[str]]
    share: float = 0.0
    began: tuple[float, float] = (0.0, 0.0)
    pages: int = 0

    def _used(self) -> float:
        return spent(self.served) + spent(self.looking.pid)

    def begin(self, kind: str) -> None:
        """Let what belongs to a block go on."""
        if kind == "viewed":
            for pid in (self.served, self.looking.pid):
                os.kill(pid, signal.SIGCONT)
        for each in self.burning:
            self._set(each, self.share / len(self.burning) if kind == "other" else 0.0)
        self.began = self._used(), time.monotonic()

    def end(self, kind: str) -> None:
        """Halt it; after a viewed block, remember what share of a processor it used."""
        if kind == "viewed":
            used, at_s = self.began
            self.share = (self._used() - used) / (time.monotonic() - at_s)
            os.kill(self.looking.pid, signal.SIGSTOP)
            _rest(self.served)
            os.kill(self.served, signal.SIGSTOP)
        for each in self.burning:
            self._set(each, 0.0)

    @staticmethod
    def _set(burning: subprocess.Popen[str], share: float) -> None:
        assert burning.stdin is not None
        burning.stdin.write(f"{share}\n")
        burning.stdin.flush()


def _pages_read(looking: subprocess.Popen[str]) -> int:
    """End the viewers, and return how many pages they have read.

    Raises
    ------
    RuntimeError
        If they had ended before, or do not say.
    """
    had_ended = looking.poll() is not None
    if not had_ended:
        looking.terminate()
    text, status = looking.communicate(timeout=_ENDS_WITHIN_S)[0].strip(), looking.returncode
    if had_ended or status != 0 or not text.isdigit():
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        when = "before they were asked to" if had_ended else "when they were asked to"
        raise RuntimeError(
            f"the viewers ended {when}, {how}, and printed {text!r}, expected a count of pages; "
            "one that gets a page without figures ends all of them, and says so on stderr"
        )
    return int(text)


@contextmanager
def _beside(mill: live_mill.Mill, root: Path, viewers: int) -> Iterator[Beside]:
    """Begin all of it, and end it; a process that is halted is resumed first."""
    with dashboard(root) as (host, codes, served):
        cookies = [_cookie(host, next(codes)) for _ in range(0, viewers, OF_SESSION)]
        view = [sys.executable, __file__, "view", host, run_address(mill), str(viewers), *cookies]
        burn = [sys.executable, __file__, "burn"]
        looking = subprocess.Popen(view, stdout=subprocess.PIPE, text=True)
        burning = [subprocess.Popen(burn, stdin=subprocess.PIPE, text=True) for _ in range(2)]
        try:
            assert looking.stdout is not None
            assert looking.stdout.readline() == "all\n"
            made = Beside(served, looking, burning)
            yield made
            os.kill(looking.pid, signal.SIGCONT)
            made.pages = _pages_read(looking)
        finally:
            for pid in (served, looking.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            for each in (looking, *burning):
                each.terminate()
                each.communicate(timeout=_ENDS_WITHIN_S)


# ---------------------------------------------------------------- the trading process


@dataclass
class Block:
    """The processor time of the work of a block, and how long each bar with its decision took."""

    used_s: float = 0.0
    took_ms: list[float] = field(default_factory=list)


def _block(mill: live_mill.Mill, events: int) -> Block:
    """Let events pass, a bar and its decision at a time, and the journal be moved as they do."""
    mill.run(20, batch=2)  # what was begun or halted before is under way
    done, journal = Block(), mill.world.strategy_run.journal
    assert journal is not None
    for _ in range(events // AT_ONCE):
        began_s = time.process_time()
        for _ in range(AT_ONCE // 2):
            began_ns = time.perf_counter_ns()
            mill.run(2, batch=2)
            done.took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        journal.move()
        journal.checkpoint_if_idle()
        done.used_s += time.process_time() - began_s
        time.sleep(PAUSE_S)  # the run goes on for a while, and is looked at meanwhile
    return done


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """Return bounds between which the median of what is measured lies, with 95 % confidence.

    They are two of the values, by the binomial distribution of how many lie below the median:
    nothing is assumed of how they are distributed.
    """
    found, count = sorted(values), len(values)
    below, rank = 0.5**count, 0
    while below <= 0.025 and rank < count // 2:
        rank += 1
        below += math.comb(count, rank) * 0.5**count
    return found[max(0, rank - 1)], found[min(count - 1, count - rank)]


def crowd(
    mill: live_mill.Mill, root: Path, quick: bool, notify: Callable[[str], None]
) -> Iterator[Figure]:
    """Compare blocks of events alone, viewed, and beside other work; within a fixed time."""
    viewers, events, budget_s = (5, 400, 0.0) if quick else (VIEWERS, EVENTS, BUDGET_S)
    least = 3 if quick else LEAST_ROUNDS
    found: dict[str, list[Block]] = {kind: [] for kind in KINDS}
    shares = list[float]()
    with _beside(mill, root, viewers) as beside:
        began_s, number = time.monotonic(), 0
        for kind in ("viewed", "alone"):  # what is read or compiled once does not count
            beside.begin(kind)
            _block(mill, events)
            beside.end(kind)
        while number < least or time.monotonic() - began_s < budget_s:
            for kind in (*KINDS[number % 3 :], *KINDS[: number % 3]):
                beside.begin(kind)
                found[kind].append(_block(mill, events))
                beside.end(kind)
            shares.append(beside.share)
            number += 1
            past = time.monotonic() - began_s
            notify(f"viewers: round {number}, {past:.0f} of about {budget_s:.0f} s")
    yield from _figures(found, shares, viewers, beside.pages)


def _figures(
    found: dict[str, list[Block]], shares: list[float], viewers: int, pages: int
) -> Iterator[Figure]:
    """Compare the blocks of each round."""
    alone = found["alone"]
    p99 = {kind: median([quantile(each.took_ms, 0.99) for each in found[kind]]) for kind in KINDS}
    beside = f"dashboard and viewers use {100 * median(shares):.0f} % of a processor, "
    beside += f"{pages:,} pages were read"
    for kind, what, bound in (
        ("viewed", f"with {viewers} viewers", 2.0),
        ("other", "beside other work as large as they are", None),
    ):
        more = [
            100.0 * (each.used_s / first.used_s - 1.0)
            for each, first in zip(found[kind], alone, strict=True)
        ]
        low, high = interval_of_median(more)
        note = (
            f"{len(more)} rounds, 95 % interval {low:+.1f} to {high:+.1f} %; "
            f"{1e3 * median([each.used_s for each in alone]):.0f} ms a block alone"
        )
        yield Figure(
            "viewers", f"processor time of a trading process more {what}", median(more), "%",
            bound, note=f"{note}; {beside}" if bound else note,
        )  # fmt: skip
    for kind, what in (("alone", "alone"), ("viewed", "viewed"), ("other", "beside other work")):
        yield Figure("viewers", f"a bar and its decision, {what}, p99", p99[kind], "ms")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", root]:
            _serve(Path(root))
        case ["view", host, path, streams, *cookies]:
            _view(host, path, int(streams), cookies)
        case ["burn"]:
            _burn()
