"""A journal in memory with the faults of a disk: full, cut, and gone back to its last sync."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from septet import messages as m
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.simulated_time import MS, Simulation

__all__ = ["ProcessCrash", "DiskFull", "Row", "SimDisk", "encode"]

_HEAD: Final = 8
_COMMANDS: Final = msgspec.json.Encoder()
_READ: Final = msgspec.json.Decoder(m.EVENTS)


class DiskFull(OSError):
    """No space left."""


class ProcessCrash(BaseException):
    """The process is gone; nothing may catch it but the simulation."""


class Row(msgspec.Struct, frozen=True):
    """An event as stored, and its commands as stored."""

    event: bytes
    commands: bytes

    def read(self) -> m.Event:
        """Return the event."""
        found: m.Event = _READ.decode(self.event)
        return found


_ROWS: Final = msgspec.msgpack.Decoder(Row)


def encode(commands: Sequence[m.Command]) -> bytes:
    """Return commands as the journal stores them."""
    return _COMMANDS.encode(commands)


class SimDisk:
    """Rows framed by length and checksum; what is not committed may be lost or cut.

    `durable` is where the last synced commit ended: a loss of power goes back to it.
    """

    def __init__(self, simulation: Simulation, fault_rates: FaultRates) -> None:
        self._simulation, self._fault_rates = simulation, fault_rates
        self._data = bytearray()
        self._waiting: list[bytes] = []
        self._durable = 0
        self._full_until_ns = 0
        self.writes = 0
        self.crash_at_write = 0
        self.phase = 0

    def append(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """Write a row that counts once it is committed."""
        self.writes += 1
        self._may_crash(0)
        if self._simulation.now_ns < self._full_until_ns:
            raise DiskFull("the disk is full")
        if self._fault_rates.occurs("S1 append fails"):
            self._full_until_ns = (
                self._simulation.now_ns + self._simulation.chance.randint(1, 8_000) * MS
            )
            raise DiskFull("the disk is full")
        body = msgspec.msgpack.encode(Row(_COMMANDS.encode(event), encode(commands)))
        head = len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little")
        self._waiting.append(head + body)
        self._may_crash(1)

    def commit(self, *, durable: bool) -> None:
        """Make the rows count; where `durable`, they survive a loss of power."""
        for each in self._waiting:
            self._data += each
        self._waiting.clear()
        if durable:
            self._durable = len(self._data)
        self._may_crash(2)

    def rollback(self) -> None:
        """Forget what was not committed."""
        self._waiting.clear()

    def crashed(self) -> None:
        """Be what a disk is after the process died: its tail may be cut."""
        chance = self._simulation.chance
        if self._waiting and self._fault_rates.occurs("S2 torn tail"):
            tail = self._waiting[0]
            self._data += tail[: chance.randint(1, len(tail) - 1)]
        self._waiting.clear()
        self._full_until_ns = 0

    def lose_power(self) -> None:
        """Forget what was committed and not synced."""
        self._waiting.clear()
        del self._data[self._durable :]

    def cut(self, count: int) -> None:
        """Be an older copy, of so many rows."""
        place = 0
        for _ in range(count):
            place += _HEAD + int.from_bytes(self._data[place : place + 4], "little")
        del self._data[place:]
        self._durable = min(self._durable, place)

    def read(self) -> list[Row]:
        """Return whole rows, and cut what follows them."""
        rows, place, data = list[Row](), 0, bytes(self._data)
        while place + _HEAD <= len(data):
            length = int.from_bytes(data[place : place + 4], "little")
            check = int.from_bytes(data[place + 4 : place + 8], "little")
            body = data[place + _HEAD : place + _HEAD + length]
            if len(body) < length or zlib.crc32(body) != check:
                break
            rows.append(_ROWS.decode(body))
            place += _HEAD + length
        del self._data[place:]
        self._durable = min(self._durable, place)
        return rows

    def _may_crash(self, phase: int) -> None:
        if self.crash_at_write and (self.writes, phase) == (self.crash_at_write, self.phase):
            self.crash_at_write = 0
            self._simulation.count("P1 crash at write")
            raise ProcessCrash
        if self._fault_rates.occurs("P1 crash at write"):
            raise ProcessCrash
