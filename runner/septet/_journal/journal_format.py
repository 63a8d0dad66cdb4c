"""The format of a journal: its head, its entries, their encoding and their hash chain.

An entry is one event and the commands it caused, as JSON. Its hash covers the hash before it and
its own bytes; the first one covers the head. So a changed, removed, added or moved row is detected,
with its place. The chain has no key: it detects accidents and simple edits, but not a recomputed
chain.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeAlias, get_args

import msgspec

from septet import messages as m

__all__ = [
    "APPLICATION",
    "COLUMNS",
    "FORMAT",
    "HASH_BYTES",
    "INSERTS",
    "MAX_ROW_BYTES",
    "TABLES",
    "Entry",
    "Head",
    "Row",
    "chained",
    "decode_commands",
    "decode_event",
    "encode_commands",
    "encode_event",
    "first_hash",
    "linked",
    "row_of",
    "snapshot_digest",
    "unlinked",
]

Event: TypeAlias = m.EVENTS
Command: TypeAlias = m.COMMANDS
Row: TypeAlias = tuple[int, int, str, str, str, bytes]
"""A row of `entries`, in the order of its columns."""

FORMAT: Final = 11
"""Number of the schema; kept as `user_version`, so that it can be read before anything else."""
APPLICATION: Final = 0x73657074  # "sept": identifies the kind of file, also for the tool `file`

TABLES: Final = (
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL,"
    " hash BLOB NOT NULL)",
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL,"
    " event TEXT NOT NULL, commands TEXT NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, digest BLOB NOT NULL,"
    " state BLOB NOT NULL)",
    "CREATE TABLE lease (one INTEGER PRIMARY KEY CHECK (one = 1), pid INTEGER NOT NULL,"
    " host TEXT NOT NULL, boot TEXT NOT NULL, since_ns INTEGER NOT NULL,"
    " heartbeat_ns INTEGER NOT NULL)",
    "CREATE TABLE starts (session INTEGER PRIMARY KEY, began_ns INTEGER NOT NULL,"
    " pid INTEGER NOT NULL, host TEXT NOT NULL, ended_ns INTEGER, clean INTEGER, how TEXT)",
    "CREATE TABLE files (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL, digest BLOB NOT NULL, text TEXT NOT NULL)",
)

COLUMNS: Final = 6
"""Of `entries`: rows wait one after the other in one list, as a statement of many takes them."""
INSERTS: Final = tuple(
    f"INSERT INTO entries VALUES {', '.join(['(?, ?, ?, ?, ?, ?)'] * count)}"  # noqa: S608
    for count in range(33)
)
"""By number of rows: a statement of many costs a third less for each than as many statements."""

MAX_ROW_BYTES: Final = 128 * 1024 * 1024
"""No row is larger: the writer refuses to store one, and the reader to load one."""
HASH_BYTES: Final = 32
_LENGTHS: Final = struct.Struct("<qqii")
_KINDS: Final[dict[type, str]] = {
    kind: str(kind.__struct_config__.tag) for kind in get_args(m.EVENTS)
}
_encode: Final = msgspec.json.Encoder().encode
_sha256: Final = hashlib.sha256
_EVENT: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(m.EVENTS)
_COMMANDS: Final[msgspec.json.Decoder[list[Command]]] = msgspec.json.Decoder(list[m.COMMANDS])


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a run; written once, covered by every hash.

    `account` is the hash of `VenueFacts.account`, empty where nothing is traded. `facts` is what
    a reader needs to turn entries into tables; see `docs/journal.md` for its keys.
    """

    run_id: str
    strategy: str
    mode: str
    account: str
    created_ns: int
    origin_ns: int
    fingerprints: dict[str, str] = {}
    facts: dict[str, Any] = {}


class Entry:
    """One row of the journal. The written bytes are kept, and decoded on access."""

    __slots__ = ("at_ns", "commands_json", "event_json", "hash", "kind", "seq")

    def __init__(
        self, seq: int, at_ns: int, kind: str, event: bytes, commands: bytes, digest: bytes
    ) -> None:
        self.seq = seq
        self.at_ns = at_ns
        self.kind = kind
        self.event_json = event
        self.commands_json = commands
        self.hash = digest

    @property
    def event(self) -> Event:
        """The event, decoded."""
        return _EVENT.decode(self.event_json)

    @property
    def commands(self) -> list[Command]:
        """The commands it caused, decoded, in order."""
        return _COMMANDS.decode(self.commands_json)

    def __repr__(self) -> str:
        return f"Entry({self.seq}, {self.event_json!r}, {self.commands_json!r})"


class _Stub(msgspec.Struct, frozen=True):
    """The fields needed of an event that is given as bytes."""

    kind: str
    at_ns: int


_STUB: Final = msgspec.json.Decoder(_Stub)


def encode_event(event: m.Event | bytes) -> tuple[int, str, bytes]:
    """Return an event's time, kind and bytes; bytes that are encoded already are not changed."""
    if isinstance(event, bytes):
        stub = _STUB.decode(event)
        return stub.at_ns, stub.kind, event
    text = _encode(event)
    if b"null" in text:
        _require_valid_numbers(event)
    return event.at_ns, _KINDS[type(event)], text


def encode_commands(commands: Sequence[m.Command] | bytes) -> bytes:
    """Return the JSON array of commands; bytes that are encoded already are not changed."""
    if isinstance(commands, bytes):
        return commands
    if not commands:
        return b"[]"
    text = _encode(commands)
    if b"null" in text:
        for command in commands:
            _require_valid_numbers(command)
    return text


def decode_event(text: bytes) -> Event:
    """Read an event back."""
    return _EVENT.decode(text)


def decode_commands(text: bytes) -> list[Command]:
    """Read commands back."""
    return _COMMANDS.decode(text)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return kind.__struct_fields__


def _require_valid_numbers(value: Any, path: str = "") -> None:
    """Raise if a message contains NaN or infinity, which JSON cannot represent."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AssertionError(f"{path} is {value}; a journalled number is finite or absent")
    elif isinstance(value, msgspec.Struct):
        name = path or type(value).__name__
        for field in _fields(type(value)):
            _require_valid_numbers(getattr(value, field), f"{name}.{field}")
    elif isinstance(value, dict):
        for key, item in value.items():
            _require_valid_numbers(item, f"{path}[{key!r}]")
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            _require_valid_numbers(item, f"{path}[{position}]")


def first_hash(head: bytes) -> bytes:
    """Return the hash that precedes the first entry."""
    return hashlib.sha256(b"septet journal\0" + head).digest()


def linked(
    previous_hash: bytes, seq: int, at_ns: int, kind: str, event: bytes, commands: bytes
) -> bytes:
    """Return the bytes that are hashed for an entry: the previous hash and the entry's bytes."""
    name = kind.encode()
    lengths = _LENGTHS.pack(seq, at_ns, len(name), len(event))
    return b"".join((previous_hash, lengths, name, event, commands))


def unlinked(link: bytes) -> tuple[bytes, Entry]:
    """Split the bytes of `linked` into the previous hash and the entry with its own hash."""
    seq, at_ns, name, event = _LENGTHS.unpack_from(link, HASH_BYTES)
    first = HASH_BYTES + _LENGTHS.size
    second = first + name
    third = second + event
    kind = str(link[first:second], "utf-8")
    entry = Entry(seq, at_ns, kind, link[second:third], link[third:], _sha256(link).digest())
    return link[:HASH_BYTES], entry


def chained(
    previous_hash: bytes, seq: int, at_ns: int, kind: str, event: bytes, commands: bytes
) -> bytes:
    """Return the hash of an entry from the previous hash and the entry's bytes."""
    return _sha256(linked(previous_hash, seq, at_ns, kind, event, commands)).digest()


def row_of(
    previous_hash: bytes, seq: int, event: m.Event | bytes, commands: Sequence[m.Command] | bytes
) -> tuple[Row, bytes]:
    """Return the row of an entry, as it is stored, and the bytes of its hash.

    Combines `encode_event`, `encode_commands` and `chained` in one call, since it lies between a
    bar and its order. Bytes that are already encoded are not changed.
    """
    if isinstance(event, bytes) or isinstance(commands, bytes):
        at_ns, kind, text = encode_event(event)
        caused = encode_commands(commands)
        event_text, commands_text = text.decode(), caused.decode()
    else:
        at_ns, kind, text = event.at_ns, _KINDS[type(event)], _encode(event)
        event_text = text.decode()  # searching a string is faster than searching bytes
        if "null" in event_text:
            _require_valid_numbers(event)
        caused, commands_text = b"[]", "[]"
        if commands:
            caused = _encode(commands)
            commands_text = caused.decode()
            if "null" in commands_text:
                for command in commands:
                    _require_valid_numbers(command)
    link = linked(previous_hash, seq, at_ns, kind, text, caused)
    return (seq, at_ns, kind, event_text, commands_text, _sha256(link).digest()), link


def snapshot_digest(first: bytes, seq: int, entry_hash: bytes, state: bytes) -> bytes:
    """Return a digest that binds a state to its journal (`first`) and to its entry."""
    number = seq.to_bytes(8, "little")
    return hashlib.sha256(b"".join((b"snapshot\0", first, number, entry_hash, state))).digest()
