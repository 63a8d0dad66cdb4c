"""The models plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_models"]

_HERE = "septet_plugins.models"


@hookimpl
def septet_models() -> list[Component]:
    """List every built-in of the layer."""
    return [
        Component(
            "models",
            "sklearn",
            f"{_HERE}.sklearn:sklearn_model",
            "model",
            "any classifier of scikit-learn",
        ),
        Component(
            "models",
            "lightgbm",
            f"{_HERE}.lightgbm:lightgbm_model",
            "model",
            "LightGBM's gradient boosting (extra)",
        ),
        Component(
            "models",
            "series",
            f"{_HERE}.series:series_model",
            "model",
            "probabilities that were made outside",
        ),
        Component(
            "models",
            "stored",
            f"{_HERE}.stored:stored_model",
            "model",
            "a model stored by septet train",
        ),
    ]
