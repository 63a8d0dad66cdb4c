"""What this package brings. It is read to list plugins, so it imports nothing heavy."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_features", "septet_risk"]


@hookimpl
def septet_features() -> list[Component]:
    """List the features: layer, name in YAML, where the decorated function is, kind."""
    return [
        Component(
            "features",
            "week_to_date",
            "septet_weekend.features:week_to_date",
            "feature",
            "Change since the first close of the week.",
        )
    ]


@hookimpl
def septet_risk() -> list[Component]:
    """List the risk rules."""
    return [
        Component(
            "risk",
            "weekend_cap",
            "septet_weekend.limits:weekend_cap",
            "limit",
            "Largest share of equity held in one symbol over a weekend.",
        )
    ]
