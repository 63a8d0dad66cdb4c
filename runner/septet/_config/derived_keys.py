"""Adds omitted keys that other keys imply: currency, rebalancing, no training."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from pydantic_core import PydanticCustomError

from septet._config.find_plugins import HostResolver, listed_in
from septet._config.tree import Node
from septet._host.plugin_registry import Host

__all__ = ["REBALANCE_BAND", "derived", "quote_of", "resolver_of"]

REBALANCE_BAND: Final = "20%"


def derived(tree: Node, host: Host) -> Node:
    """Add the keys that a tree implies; keys that it sets itself stay."""
    return _without_training(_with_rebalance(_with_currency(tree)), host)


def resolver_of(tree: Node, host: Host) -> HostResolver:
    """Return the plugin resolver of a file, for septet and the packages that the file lists."""
    listed = tree.children.get("plugins")
    return HostResolver(host, listed_in(listed.plain() if listed is not None else ()))


def _without_training(tree: Node, host: Host) -> Node:
    """Return that nothing is trained where the model learns nothing, unless the file sets it."""
    model, use = tree.children.get("model"), tree.at(("model", "use"))
    if model is None or model.kind != "map" or "training" in model.children or use is None:
        return tree
    try:
        declaration, _ = resolver_of(tree, host).resolve("models", "model", str(use.value))
    except PydanticCustomError:
        return tree  # reported when the file is validated
    if declaration.config.learns:
        return tree
    layer = "derived:model.use"
    scheme = Node("scalar", use.mark, "none", key=use.key, text="none", layer=layer)
    node = Node("map", use.mark, key=use.key, children={"scheme": scheme}, layer=layer)
    model = replace(model, children={**model.children, "training": node})
    return replace(tree, children={**tree.children, "model": model})


def quote_of(symbol: str) -> str:
    """Return the price currency of a symbol: USDT for ``BTC/USDT``, USD for ``AAPL``."""
    _, slash, quote = symbol.partition("/")
    return quote.partition(":")[0] if slash else "USD"


def _with_currency(tree: Node) -> Node:
    account, symbols = tree.children.get("account"), tree.at(("universe", "symbols"))
    if symbols is None or symbols.kind != "list" or (account is not None and account.kind != "map"):
        return tree
    if account is not None and "currency" in account.children:
        return tree
    quotes = {quote_of(str(child.value)) for child in symbols.children.values()}
    if len(quotes) != 1:
        return tree
    quote = quotes.pop()
    node = Node(
        "scalar", symbols.mark, quote, key=symbols.key, text=quote, layer="derived:universe.symbols"
    )
    base = account if account is not None else Node("map", symbols.mark, key=symbols.key)
    base = replace(base, children={**base.children, "currency": node})
    return replace(tree, children={**tree.children, "account": base})


def _with_rebalance(tree: Node) -> Node:
    """Add rebalancing if the sizing follows a moving target, unless the file sets it."""
    risk, use = tree.children.get("risk"), tree.at(("risk", "sizing", "use"))
    if risk is None or risk.kind != "map" or "rebalance" in risk.children:
        return tree
    if use is None or str(use.value).removeprefix("septet:") != "volatility_target":
        return tree
    layer = "derived:risk.sizing.use"
    band = Node("scalar", use.mark, REBALANCE_BAND, key=use.key, text=REBALANCE_BAND, layer=layer)
    node = Node("map", use.mark, key=use.key, children={"band": band}, layer=layer)
    risk = replace(risk, children={**risk.children, "rebalance": node})
    return replace(tree, children={**tree.children, "risk": risk})
