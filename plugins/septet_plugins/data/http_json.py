"""A series from a JSON document on the web, downloaded into the store."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, field_validator

from septet.errors import DataError, InputError, RunError
from septet.plugin import Config, Secret, SecretRef, WallDuration
from septet.plugin.data import (
    Facts,
    FetchReport,
    Progress,
    RawSeries,
    Request,
    decode_json,
    masked_addresses,
    series,
)
from septet_plugins.data.bounded import read_bounded
from septet_plugins.data.stored import the_store

if TYPE_CHECKING:
    import polars as pl

__all__ = ["HttpJson", "HttpJsonConfig", "pick"]

_CHUNK: Final = 65_536
_BAR: Final = "series"
_SECRET: Final = re.compile(r"(?i)auth|token|key|secret|cookie|passw|session|credential|signature")
_LONGEST_URL: Final = 2_000
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OPEN_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "accept-language", "content-type", "from", "if-modified-since",
        "if-none-match", "origin", "referer", "user-agent",
    }
)  # fmt: skip
_SCHEME: Final = re.compile(r"(?i)(?:bearer|basic|token|digest|apikey)\s+\S{8}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.~+/=-]{20,}")
"""Pattern of a probable secret, digits and letters mixed: a key, a UUID, a hash."""
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")


class HttpJsonConfig(Config):
    """A JSON document on the web; `timeout` bounds the whole download.

    `select`, `time` and `known` are paths of keys: ``data.*.value`` selects `value` of every entry
    of the list `data`, ``rows.*.0`` the first cell of every row. `query` is added to the address.
    Secrets in `query` and `headers` are written as references (``env:NAME``, ``file:/path``).
    """

    url: str
    """Address of the document."""
    select: str
    """Path of the values: data.*.value selects `value` of every entry of the list `data`."""
    time: str
    """Path of the stamps."""
    known: str | None = None
    """Path of the times at which values became known."""
    headers: dict[str, str | Secret] = {}
    """Headers of the request; secrets as references."""
    query: dict[str, str | Secret] = {}
    """Parameters added to the address; secrets as references."""
    timeout: WallDuration = Field(default="20s")  # type: ignore[assignment]
    """Timeout of the whole download."""
    max_bytes: int = Field(default=20_000_000, ge=1, le=1_000_000_000)
    """Largest accepted size of the document."""

    @property
    def gives_known_time(self) -> bool:  # type: ignore[override]
        """Whether the document contains publication times."""
        return self.known is not None

    @field_validator("url")
    @classmethod
    def _web(cls, value: str) -> str:
        if len(value) > _LONGEST_URL:
            raise ValueError(f"expected at most {_LONGEST_URL} characters, found {len(value)}")
        if urllib.parse.urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("expected an address that begins with https:// or http://")
        return value

    @field_validator("headers", mode="before")
    @classmethod
    def _no_literal_secret(cls, value: Any) -> Any:
        """Parse references; a header whose name suggests a secret accepts nothing else."""
        if not isinstance(value, dict):
            return value
        headers: dict[Any, Any] = {}
        for name, each in value.items():
            secret = _is_named(each) or _SECRET.search(str(name)) or _is_token(str(name), each)
            headers[name] = SecretRef.parse(each) if secret else each
            if not _HEADER.fullmatch(str(name)) or not _VALUE.fullmatch(str(each)):
                raise ValueError(f"the header {name!r} has characters that no header may have")
        return headers

    @field_validator("query", mode="before")
    @classmethod
    def _no_secret_in_query(cls, value: Any) -> Any:
        """Parse references; a parameter whose name suggests a secret accepts nothing else."""
        if not isinstance(value, dict):
            return value
        return {
            name: SecretRef.parse(each) if _is_named(each) or _SECRET.search(str(name)) else each
            for name, each in value.items()
        }


def _is_named(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def _is_token(name: str, value: Any) -> bool:
    """Whether the value of a header looks like a secret, independent of the header's name."""
    if not isinstance(value, str) or name.lower() in _OPEN_HEADERS:
        return False
    digits, letters = sum(map(str.isdigit, value)), sum(map(str.isalpha, value))
    mixed = digits >= 4 and letters >= 4
    return bool(_SCHEME.match(value)) or (mixed and bool(_TOKEN.fullmatch(value)))


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects within one host only: requests and their headers go to no other host."""

    max_redirections = 5

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Raise for another host, port or scheme."""
        old, new = (urllib.parse.urlsplit(each) for each in (req.full_url, newurl))
        if (new.scheme, new.netloc) != (old.scheme, old.netloc):
            raise RunError(
                f"{_plain(req.full_url)} redirects to {new.scheme}://{new.netloc}, and a redirect "
                "to another host is not followed",
                hint="write that address as url:, if it is to be asked",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _plain(url: str) -> str:
    """Return an address for messages: without its query, which may contain a token."""
    return masked_addresses(url).partition("?")[0]


def pick(document: Any, path: str) -> list[Any]:
    """Return the values of a path of keys in a JSON document, in order.

    Raises
    ------
    DataError
        If a step of the path finds nothing.
    """
    nodes = [document]
    walked: list[str] = []
    for step in path.split("."):
        following: list[Any] = []
        for each in nodes:
            if step == "*" and isinstance(each, list):
                following.extend(each)
            elif isinstance(each, list) and step.lstrip("-").isdigit():
                if not -len(each) <= int(step) < len(each):
                    raise DataError(f"{path}: no item {step} at {'.'.join(walked) or 'the top'}")
                following.append(each[int(step)])
            elif isinstance(each, dict) and step in each:
                following.append(each[step])
            else:
                has = ", ".join(list(each)[:10]) if isinstance(each, dict) else type(each).__name__
                raise DataError(
                    f"{path}: no {step!r} at {'.'.join(walked) or 'the top'} of the document",
                    hint=f"there is {has}",
                )
        walked.append(step)
        nodes = following
    return nodes


@series(HttpJsonConfig)
class HttpJson:
    """An outside series from a JSON document.

    The first value of a stamp wins, a revision is a new row.
    """

    def __init__(self, config: HttpJsonConfig) -> None:
        """Store the configuration."""
        self._config = config

    def _key(self, request: Request) -> str:
        config = self._config
        query = [f"{name}={value}" for name, value in sorted(config.query.items())]
        text = "\n".join((config.url, config.select, config.time, config.known or "", *query))
        return f"{request.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def read(self, request: Request) -> RawSeries:
        """Read the values downloaded so far."""
        import polars as pl

        key, shown_url = self._key(request), _plain(self._config.url)
        frame = the_store(request).read("http_json", key, _BAR, None, None)
        if frame is None:
            raise DataError(
                f"{request.name}: nothing was downloaded from {shown_url} so far",
                hint="septet data fetch FILE",
            )
        known_columns = ["known"] if "known" in frame.columns else []
        if not known_columns and frame["time"].is_duplicated().any():
            # A later value of a stamp is a revision, known at the time of its download.
            return RawSeries(_with_revisions(frame), Facts(shown_url, vintage="unknown"))
        return RawSeries(
            frame.select("time", "value", *(pl.col(each) for each in known_columns)),
            Facts(shown_url),
        )

    def fetch(self, request: Request, progress: Progress) -> Sequence[FetchReport]:
        """Download the document and store its new values."""
        store, key = the_store(request), self._key(request)
        progress("download", 0, None, request.name)
        frame = self._rows(self._download(request), request.now_ns)
        old = store.read("http_json", key, _BAR, None, None)
        if old is not None:
            frame = _new(frame, old)
        store.append("http_json", key, _BAR, frame, (request.now_ns, request.now_ns + 1))
        progress("download", frame.height, frame.height, request.name)
        return [FetchReport(request.name, frame.height, 1)]

    def _rows(self, document: Any, now_ns: int) -> pl.DataFrame:
        import polars as pl

        config = self._config
        columns = {"time": pick(document, config.time), "value": pick(document, config.select)}
        if config.known is not None:
            columns["known"] = pick(document, config.known)
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{count} {name}s" for name, count in lengths.items())
            raise DataError(
                f"{_plain(config.url)}: the paths find {listed}, expected as many of each",
                hint="write time: and select: with the same list before the *",
            )
        texts = {
            name: [None if each is None else str(each) for each in values]
            for name, values in columns.items()
        }
        frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))
        return frame.with_columns(
            timestamp=pl.lit(now_ns, pl.Int64) + pl.int_range(pl.len(), dtype=pl.Int64),
            seen_ns=pl.lit(now_ns, pl.Int64),
        ).unique(["time", "value"], keep="first", maintain_order=True)

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the headers with their secrets, which are read for the address's host only."""
        headers = {"User-Agent": "septet"}
        for name, value in self._config.headers.items():
            headers[name] = self._read(request, f"the header {name}", value)
            if not _VALUE.fullmatch(headers[name]):
                raise InputError(f"what {name} names has characters that no header may have")
        return headers

    def _read(self, request: Request, part: str, value: str | SecretRef) -> str:
        """Return a value or the secret that it references, which is read for this host only."""
        if not isinstance(value, SecretRef):
            return value
        if request.read is None:
            raise InputError(f"{part} names {value}, which nobody may read here")
        host = (urllib.parse.urlsplit(self._config.url).hostname or "").lower()
        return request.read(value, host)

    def _address(self, request: Request) -> str:
        """Return the address with its query, secrets included; it must never be shown."""
        url, query = self._config.url, self._config.query
        if not query:
            return url
        pairs = {
            name: self._read(request, f"the query {name}", value) for name, value in query.items()
        }
        base, mark, fragment = url.partition("#")
        joined = "&" if "?" in base else "?"
        return f"{base}{joined}{urllib.parse.urlencode(pairs)}{mark}{fragment}"

    def _download(self, request: Request) -> Any:
        config, shown_url = self._config, _plain(self._config.url)
        address, headers = self._address(request), self._headers(request)
        ask = urllib.request.Request(address, headers=headers)  # noqa: S310 the file says http(s)
        try:
            data = read_bounded(
                ask, _SameHost, seconds=config.timeout / 1e9, most_bytes=config.max_bytes,
                name=shown_url,
            )  # fmt: skip
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RunError(
                f"{shown_url} cannot be downloaded: {error}", hint="is it reachable? try again"
            ) from error
        if len(data) > config.max_bytes:
            raise DataError(
                f"{shown_url} sent more than {config.max_bytes} bytes", hint="raise max_bytes:"
            )
        try:
            return decode_json(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{shown_url} did not send JSON: {error}") from error


def _new(frame: pl.DataFrame, old: pl.DataFrame) -> pl.DataFrame:
    """Return new values, and values that have returned to an earlier one after a revision."""
    import polars as pl

    rows, old_rows = (each.select("time", "value").rows() for each in (frame, old))
    old_pairs, newest, last = set(old_rows), dict(old_rows), dict(rows)
    new = [row not in old_pairs or newest[row[0]] != row[1] == last[row[0]] for row in rows]
    return frame.filter(pl.Series(new, dtype=pl.Boolean))


def _with_revisions(frame: pl.DataFrame) -> pl.DataFrame:
    """Set the known time of revised values to the time of their download."""
    import polars as pl

    later = pl.int_range(pl.len()).over("time") > 0
    return frame.select(
        "time", "value", seen=pl.when(later).then(pl.col("seen_ns")).otherwise(None)
    )
