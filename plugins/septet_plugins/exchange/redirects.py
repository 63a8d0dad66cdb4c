"""No request of a ccxt client follows a redirect, and none of a WebSocket's handshake does.

A redirect of a POST would send the order again, one to another host would take the key along. So
the answer ends the request: whether an order was accepted is then unknown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

__all__ = ["Redirected", "refuse_redirects"]


class Redirected(Exception):
    """The venue answered with a redirect, which was not followed."""


def refuse_redirects(client: Any) -> None:
    """Let every session that a ccxt client opens end at the first redirect."""
    if getattr(client, "synchronous", False):
        client.session.max_redirects = 0
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
    """Add the hook that aiohttp calls before it follows a redirect, once for each session."""
    if not any(each.on_request_redirect for each in session.trace_configs):
        import aiohttp

        hook = aiohttp.TraceConfig()
        hook.on_request_redirect.append(_refuse)
        hook.freeze()
        session.trace_configs.append(hook)
    return session


async def _refuse(session: Any, context: Any, params: Any) -> None:
    response = params.response
    response.close()
    there = urlsplit(response.headers.get("Location", "")).netloc or "the same host"
    raise Redirected(
        f"{params.method} {params.url.host}{params.url.path} was answered {response.status}, a "
        f"redirect to {there}; it is not followed"
    )
