"""Class weights for estimators without a parameter for them."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["balanced"]


@cache
def _kind() -> Any:
    from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.validation import has_fit_parameter

    from septet.errors import InputError

    def answers(method: str) -> Any:
        return lambda self: hasattr(self.estimator, method)

    class Balanced(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
        """Fits an estimator with equal total weights of both classes, and predicts with it."""

        def __init__(self, estimator: Any = None) -> None:
            self.estimator = estimator

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
            """Fit with a balancing weight for every row, multiplied by the given weight."""
            if not has_fit_parameter(self.estimator, "sample_weight"):
                raise InputError(
                    f"{type(self.estimator).__name__} takes no weights: class_weight: balanced "
                    "cannot be met",
                    hint="remove class_weight or choose another estimator",
                )
            inner = clone(self.estimator)
            weight = compute_sample_weight("balanced", y)
            if sample_weight is not None:
                weight = weight * sample_weight
            inner.fit(X, y, sample_weight=weight)
            self.septet_inner_ = inner
            self.classes_ = inner.classes_
            return self

        def predict(self, X: Any) -> Any:  # noqa: N803
            """Predict with the estimator."""
            return self.septet_inner_.predict(X)

        @available_if(answers("predict_proba"))  # type: ignore[untyped-decorator]
        def predict_proba(self, X: Any) -> Any:  # noqa: N803
            """Ask the estimator."""
            return self.septet_inner_.predict_proba(X)

        @available_if(answers("decision_function"))  # type: ignore[untyped-decorator]
        def decision_function(self, X: Any) -> Any:  # noqa: N803
            """Ask the estimator."""
            return self.septet_inner_.decision_function(X)

    return Balanced


def balanced(estimator: Any) -> Any:
    """Wrap an unfitted classifier so that both classes have the same total weight in its fit."""
    return _kind()(estimator)
