"""Converts a fitted estimator to a `Member` with exactly the estimator's predictions.

Only fitted attributes are read. What is not understood gives None, and is exported to ONNX instead;
every result is compared with the estimator before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from septet._learn.flat_model import Calibration, Member, Scaler, Tree

__all__ = ["Response", "calibration_of", "extract", "has_reader", "response_of", "scaler_of"]

Response = Literal["score", "probability"]
"""What a calibrator reads: the decision function where there is one, else the probability."""

_CLASSES: Final = [0, 1]


def response_of(estimator: Any) -> Response:
    """What a calibrator reads of this estimator."""
    return "score" if hasattr(estimator, "decision_function") else "probability"


def scaler_of(scaler: Any) -> Scaler:
    """Read a fitted StandardScaler, RobustScaler or MinMaxScaler (None: no scaling)."""
    if scaler is None:
        return Scaler()
    name = type(scaler).__name__
    if name == "StandardScaler":
        return Scaler("difference", scaler.mean_, scaler.scale_)
    if name == "RobustScaler":
        return Scaler("difference", scaler.center_, scaler.scale_)
    return Scaler("product", scaler.scale_, scaler.min_)


def calibration_of(calibrator: Any) -> Calibration:
    """Read a fitted sigmoid or isotonic calibrator."""
    if hasattr(calibrator, "X_thresholds_"):
        x = np.asarray(calibrator.X_thresholds_, dtype=np.float64)
        return Calibration("isotonic", x=x, y=np.asarray(calibrator.y_thresholds_, np.float64))
    return Calibration("sigmoid", float(calibrator.a_), float(calibrator.b_))


def _tree(tree: Any, column: int | None, scale: float = 1.0) -> Tree:
    """Read scikit-learn's tree; `column` picks the class, None a regressor's only value."""
    values = tree.value[:, 0, column if column is not None else 0] * scale
    left = tree.children_left.astype(np.int64)
    return Tree(tree.feature, tree.threshold, left, tree.children_right.astype(np.int64), values)


def _both_classes(*estimators: Any) -> bool:
    return all(len(each.classes_) == 2 for each in estimators)


def _single_tree(estimator: Any, response: Response) -> Member | None:
    return Member(trees=[_tree(estimator.tree_, 1)], single=True)


def _forest(estimator: Any, response: Response) -> Member | None:
    trees = [_tree(each.tree_, 1) for each in estimator.estimators_]
    return Member(trees=trees, divide=float(len(trees)), single=True)


def _is_tree(estimator: Any) -> bool:
    return type(estimator).__name__ in ("DecisionTreeClassifier", "ExtraTreeClassifier")


def _bagging(estimator: Any, response: Response) -> Member | None:
    inner = estimator.estimators_
    if not all(_is_tree(each) for each in inner) or not _both_classes(*inner):
        return None
    trees = []
    for each, columns in zip(inner, estimator.estimators_features_, strict=True):
        tree = _tree(each.tree_, 1)
        feature = np.asarray(columns)[np.maximum(tree.feature, 0)]
        trees.append(replace(tree, feature=feature))
    return Member(trees=trees, divide=float(len(trees)), single=True)


def _ada_boost(estimator: Any, response: Response) -> Member | None:
    inner = estimator.estimators_
    if not all(_is_tree(each) for each in inner) or not _both_classes(*inner):
        return None
    trees = []
    for each, weight in zip(inner, estimator.estimator_weights_, strict=False):
        shares = each.tree_.value[:, 0, :]
        votes = np.where(shares[:, 1] > shares[:, 0], 2.0 * weight, -2.0 * weight)
        trees.append(replace(_tree(each.tree_, 1), value=votes))
    divide = float(np.sum(estimator.estimator_weights_))
    return Member(trees=trees, divide=divide, link=_logistic(response), single=True)


def _logistic(response: Response) -> Literal["none", "logistic"]:
    return "none" if response == "score" else "logistic"


def _gradient_boosting(estimator: Any, response: Response) -> Member | None:
    start = estimator.init_
    if not isinstance(start, str) and type(start).__name__ != "DummyClassifier":
        return None
    base = float(estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))[0, 0])
    rate = estimator.learning_rate
    trees = [_tree(each.tree_, None, rate) for each in estimator.estimators_[:, 0]]
    slope = 2.0 if estimator.loss == "exponential" else 1.0
    return Member(trees=trees, base=base, link=_logistic(response), slope=slope, single=True)


def _histogram_boosting(estimator: Any, response: Response) -> Member | None:
    trees = []
    for (predictor,) in estimator._predictors:
        nodes = predictor.nodes
        if nodes["is_categorical"].any():
            return None
        leaf = nodes["is_leaf"].astype(bool)
        left = np.where(leaf, -1, nodes["left"].astype(np.int64))
        right = np.where(leaf, -1, nodes["right"].astype(np.int64))
        feature = nodes["feature_idx"].astype(np.int64)
        threshold = nodes["num_threshold"].astype(np.float64)
        trees.append(Tree(feature, threshold, left, right, nodes["value"].copy()))
    base = float(np.ravel(estimator._baseline_prediction)[0])
    return Member(trees=trees, base=base, link=_logistic(response))


def _linear(link: Literal["none", "logistic", "huber"]) -> Callable[[Any, Response], Member | None]:
    def read(estimator: Any, response: Response) -> Member | None:
        weights = np.asarray(estimator.coef_, dtype=np.float64).ravel()
        base = float(np.ravel(estimator.intercept_)[0])
        if response == "score":
            return Member(weights=weights, base=base)
        return None if link == "none" else Member(weights=weights, base=base, link=link)

    return read


def _sgd(estimator: Any, response: Response) -> Member | None:
    links: dict[str, Any] = {"log_loss": "logistic", "modified_huber": "huber"}
    return _linear(links.get(estimator.loss, "none"))(estimator, response)


def _dummy(estimator: Any, response: Response) -> Member | None:
    if estimator.strategy not in ("prior", "most_frequent", "constant"):
        return None
    nothing = np.zeros((1, estimator.n_features_in_))
    constant = float(estimator.predict_proba(nothing)[0, 1])
    return Member(weights=np.zeros(estimator.n_features_in_), base=constant)


def _booster_tree(node: dict[str, Any]) -> Tree | None:
    """Flatten one tree of LightGBM's dump; None for splits that are not `<=`."""
    lines: list[list[float]] = []

    def place(part: dict[str, Any]) -> int | None:
        number = len(lines)
        if "leaf_value" in part:
            lines.append([0, 0.0, -1, -1, float(part["leaf_value"])])
            return number
        if part["decision_type"] != "<=" or part["missing_type"] == "Zero":
            return None
        lines.append([part["split_feature"], float(part["threshold"]), 0, 0, 0.0])
        for column, side in ((2, "left_child"), (3, "right_child")):
            child = place(part[side])
            if child is None:
                return None
            lines[number][column] = child
        return number

    if place(node) is None:
        return None
    table = np.array(lines)
    integers = table[:, [0, 2, 3]].astype(np.int64)
    return Tree(
        integers[:, 0], table[:, 1].copy(), integers[:, 1], integers[:, 2], table[:, 4].copy()
    )


def _light_gbm(estimator: Any, response: Response) -> Member | None:
    dump = estimator.booster_.dump_model()
    objective = str(dump.get("objective", ""))
    if not objective.startswith("binary") or any(
        "leaf_coeff" in str(t) for t in dump["tree_info"][:1]
    ):
        return None
    slope = 1.0
    for part in objective.split():
        if part.startswith("sigmoid:"):
            slope = float(part.removeprefix("sigmoid:"))
    trees = [_booster_tree(each["tree_structure"]) for each in dump["tree_info"]]
    flattened = [each for each in trees if each is not None]
    if len(flattened) != len(trees):
        return None
    divide = float(len(trees)) if dump.get("average_output") else 1.0
    return Member(trees=flattened, divide=divide, link=_logistic(response), slope=slope)


_READERS: Final[dict[str, Callable[[Any, Response], Member | None]]] = {
    "DecisionTreeClassifier": _single_tree,
    "ExtraTreeClassifier": _single_tree,
    "RandomForestClassifier": _forest,
    "ExtraTreesClassifier": _forest,
    "BaggingClassifier": _bagging,
    "AdaBoostClassifier": _ada_boost,
    "GradientBoostingClassifier": _gradient_boosting,
    "HistGradientBoostingClassifier": _histogram_boosting,
    "LogisticRegression": _linear("logistic"),
    "LogisticRegressionCV": _linear("logistic"),
    "LinearDiscriminantAnalysis": _linear("logistic"),
    "LinearSVC": _linear("none"),
    "Perceptron": _linear("none"),
    "PassiveAggressiveClassifier": _linear("none"),
    "RidgeClassifier": _linear("none"),
    "RidgeClassifierCV": _linear("none"),
    "SGDClassifier": _sgd,
    "DummyClassifier": _dummy,
    "LGBMClassifier": _light_gbm,
}


def has_reader(estimator: Any) -> bool:
    """Whether a classifier is of a kind that `extract` reads; it need not be fitted."""
    package = type(estimator).__module__.partition(".")[0]
    return type(estimator).__name__ in _READERS and package in ("sklearn", "lightgbm")


def extract(estimator: Any, response: Response) -> Member | None:
    """Read a fitted binary classifier with classes 0 and 1; None if it is not understood."""
    if not has_reader(estimator) or list(estimator.classes_) != _CLASSES:
        return None
    return _READERS[type(estimator).__name__](estimator, response)
