"""Processes of a drill: the local venue, and the live run as a user starts it.

Both end with the drill, also one that is killed: see `septet._drill.parent_death`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from septet._drill.parent_death import command_of
from septet._drill.process_faults import Order
from septet._drill.venue.admin import ClockReading
from septet._drill.venue.config import Fault, VenueConfig
from septet._drill.venue.venue_journal import FaultInjected, Row
from septet._files import open_append, replace_file
from septet._live.clock import without_redirects
from septet._text import decode_json
from septet.errors import RunError

__all__ = ["RunProcess", "VenueProcess"]

_ASK_S: Final = 10.0
_STOP_S: Final = 20.0


def _end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> int:
    """Terminate a process; kill it if it does not end."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


class VenueProcess:
    """The local venue; `with` starts and stops it."""

    def __init__(self, config: VenueConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._rows = msgspec.json.Decoder(Row)
        self._read = 0

    def __enter__(self) -> Self:
        path = self._folder / "venue.json"
        replace_file(path, msgspec.json.encode(self._config))
        command = command_of("septet._drill.venue", "--config", str(path))
        with os.fdopen(open_append(self._folder / "venue.log"), "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _end(self._process)
            raise RunError(
                "the local venue did not start", hint=f"see {self._folder / 'venue.log'}"
            )
        ready: dict[str, Any] = decode_json(line)
        self.urls: dict[str, Any] = ready["urls"]
        self.admin = f"http://127.0.0.1:{ready['admin_port']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        at: TracebackType | None,
    ) -> None:  # fmt: skip
        _end(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _ask(self, method: str, name: str, body: bytes | None = None) -> bytes:
        address = f"{self.admin}/septet/{name}"
        request = urllib.request.Request(address, data=body, method=method)  # noqa: S310 own venue
        try:
            with without_redirects().open(request, timeout=_ASK_S) as answer:
                found: bytes = answer.read()
        except OSError as error:
            raise RunError(
                f"the local venue does not answer: {error}",
                hint=f"see {self._folder / 'venue.log'}",
            ) from error
        return found

    def clock(self) -> ClockReading:
        """Read both clocks."""
        return msgspec.json.decode(self._ask("GET", "clock"), type=ClockReading)

    def inject(self, fault: Fault) -> int:
        """Add a fault to the plan; return its number."""
        answer = decode_json(self._ask("POST", "faults", msgspec.json.encode([fault])))
        return int(answer["numbers"][0])

    def pause(self) -> ClockReading:
        """Pause the market."""
        return msgspec.json.decode(self._ask("POST", "pause", b""), type=ClockReading)

    def rows(self) -> list[Row]:
        """Return the rows of the venue's journal since the last call."""
        with Path(self._config.journal_path).open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [self._rows.decode(line) for line in whole.splitlines()]


class RunProcess:
    """``septet run`` of the strategy, started again as often as needed.

    `report` is where its process writes which faults it made, None for a process that makes none.
    """

    def __init__(
        self, words: Sequence[str], environment: dict[str, str], log: Path,
        report: Path | None = None,
    ) -> None:  # fmt: skip
        module = ["septet.cli"] if report is None else ["septet._drill.process_faults", str(report)]
        self._command = command_of(*module, "run", *words)
        self._report, self._read = report, 0
        self._rows = msgspec.json.Decoder(FaultInjected)
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start or restart the process."""
        self.starts += 1
        with os.fdopen(open_append(self._log), "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self._command, env=self._environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL if self._report is None else subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip

    def make(self, order: Order) -> None:
        """Order the process to inject a fault."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(msgspec.json.encode(order) + b"\n")
                self._process.stdin.flush()

    def rows(self) -> list[FaultInjected]:
        """Return the faults that the process injected since the last call."""
        if self._report is None or not self._report.exists():
            return []
        data = self._report.read_bytes()[self._read :]
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [self._rows.decode(line) for line in whole.splitlines()]

    @property
    def ended(self) -> int | None:
        """Return the exit status, None while the process runs or was never started."""
        return None if self._process is None else self._process.poll()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop, wait, and return its exit status."""
        return 0 if self._process is None else _end(self._process)

    def kill(self) -> None:
        """End it with signal 9 and wait until it is gone."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()

    def tail(self, lines: int = 12) -> str:
        """Return the end of its output."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-lines:])
