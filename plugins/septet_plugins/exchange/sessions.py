"""Rules for every session of a ccxt client: no redirects, and answers of limited size.

Neither requests nor WebSocket handshakes follow a redirect.

A redirect of a POST would send the order again, and one to another host would send the key there.
So a redirect ends the request: whether an order was accepted is then unknown. An answer that is too
large (`answer_size`) ends it as well.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from septet_plugins.exchange.answer_size import bound_answer, bounded_adapter

__all__ = ["Redirected", "guard_sessions"]


class Redirected(Exception):
    """The venue answered with a redirect, which was not followed."""


def guard_sessions(client: Any) -> None:
    """Disable redirects and limit the size of answers in every session of a ccxt client."""
    if getattr(client, "synchronous", False):
        client.session.max_redirects = 0
        for scheme in ("https://", "http://"):
            client.session.mount(scheme, bounded_adapter())
        return
    opened, proxied = client.open, client.get_socks_proxy_session

    def opening(*args: Any, **keys: Any) -> None:
        opened(*args, **keys)
        if client.session is not None:
            _watch(client.session)

    def through_proxy(*args: Any, **keys: Any) -> Any:
        return _watch(proxied(*args, **keys))

    client.open, client.get_socks_proxy_session = opening, through_proxy


def _watch(session: Any) -> Any:
    """Add the hooks that aiohttp calls with an answer's headers, once for each session."""
    if not any(each.on_request_redirect for each in session.trace_configs):
        import aiohttp

        hook = aiohttp.TraceConfig()
        hook.on_request_redirect.append(_refuse)
        hook.on_request_end.append(_bound)
        hook.freeze()
        session.trace_configs.append(hook)
    return session


async def _bound(session: Any, context: Any, params: Any) -> None:
    bound_answer(params.response)


async def _refuse(session: Any, context: Any, params: Any) -> None:
    response = params.response
    response.close()
    target_host = urlsplit(response.headers.get("Location", "")).netloc or "the same host"
    raise Redirected(
        f"{params.method} {params.url.host}{params.url.path} was answered {response.status}, a "
        f"redirect to {target_host}; it is not followed"
    )
