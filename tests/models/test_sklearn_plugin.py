"""The scikit-learn plugin: its table is scikit-learn's own, and its errors have places."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from septet._learn.fitting import Fitted
from septet._learn.trainer import Calibrating, Scaling, complete
from septet.errors import InputError, RunError, SeptetError
from septet_plugins.models import registry
from septet_plugins.models.sklearn import Sklearn, sklearn_model
from tests.learn.sample import window


def _problems(**block: Any) -> list[tuple[tuple[Any, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        Sklearn(**block)
    hints = [each.get("ctx", {}).get("hint", "") for each in caught.value.errors()]
    return [
        (each["loc"], "; ".join(filter(None, (each["msg"], hint))))
        for each, hint in zip(caught.value.errors(), hints, strict=True)
    ]


def test_the_table_is_that_of_the_installed_scikit_learn() -> None:
    written = {name: entry["parameters"] for name, entry in registry.describe().items()}
    assert registry.table() == written, "run: python -m septet_plugins.models.registry"


def test_the_table_is_read_without_scikit_learn() -> None:
    import subprocess
    import sys

    text = (
        "import sys; from septet_plugins.models.sklearn import Sklearn; "
        "Sklearn(estimator='RandomForestClassifier', params={'n_estimators': 3}); "
        "assert not {'sklearn', 'numpy', 'numba'} & set(sys.modules), 'too much was imported'"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


def test_every_classifier_is_there_but_the_unsuited() -> None:
    assert len(registry.table()) >= 38
    assert {"RandomForestClassifier", "HistGradientBoostingClassifier", "SVC"} <= set(
        registry.table()
    )
    for name in registry.UNSUITED:
        assert name not in registry.table()
        found = _problems(estimator=name)
        assert found[0][0] == ("estimator",)
        assert "several targets" in found[0][1]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("RandomForst", "RandomForestClassifier"),
        ("randomforest", "RandomForestClassifier"),
        ("LogisticRegresion", "LogisticRegression"),
        ("HistGradientBoosting", "HistGradientBoostingClassifier"),
    ],
)
def test_an_unknown_estimator_names_the_closest(written: str, meant: str) -> None:
    assert _problems(estimator=written) == [
        (
            ("estimator",),
            f"scikit-learn has no classifier {written}; did you mean {meant}?",
        )
    ]


@pytest.mark.parametrize("path", ["sklearn.svm.SVC", "os.system", "", "RandomForestRegressor"])
def test_an_import_path_is_no_estimator(path: str) -> None:
    assert "has no classifier" in _problems(estimator=path)[0][1]


def test_every_wrong_parameter_is_reported_at_its_place() -> None:
    params = {"max_depht": 3, "n_estimators": 0, "random_state": 1, "criterion": "ginni"}
    found = dict(_problems(estimator="RandomForestClassifier", params=params))
    assert found == {
        ("params", "max_depht"): "RandomForestClassifier has no parameter max_depht; "
        "did you mean max_depth?",
        ("params", "n_estimators"): "RandomForestClassifier takes a whole number in [1,inf) for "
        "n_estimators, found 0",
        ("params", "random_state"): "random_state is set by the run: write seed: at the top of "
        "the file",
        ("params", "criterion"): "RandomForestClassifier takes one of entropy, gini, log_loss for "
        "criterion, found 'ginni'",
    }


@pytest.mark.parametrize(
    ("params", "good"),
    [
        ({"max_features": 0.5}, True),
        ({"max_features": 3}, True),
        ({"max_features": 1.5}, False),
        ({"max_features": "sqrt"}, True),
        ({"max_features": None}, True),
        ({"min_samples_leaf": 20}, True),
        ({"min_samples_leaf": 0.0}, False),
        ({"bootstrap": False}, True),
        ({"bootstrap": "no"}, False),
        ({"class_weight": "balanced"}, True),
        ({"class_weight": {0: 1.0, 1: 2.0}}, True),
        ({"class_weight": "even"}, False),
    ],
)
def test_parameters_are_checked_as_scikit_learn_checks_them(
    params: dict[str, Any], good: bool
) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.utils._param_validation import InvalidParameterError

    try:
        Sklearn(estimator="RandomForestClassifier", params=params)
        ours = True
    except ValidationError:
        ours = False
    try:
        RandomForestClassifier(**params)._validate_params()
        theirs = True
    except InvalidParameterError:
        theirs = False
    assert ours == theirs == good


def test_estimators_inside_estimators_are_checked_and_made() -> None:
    inner = {"estimator": "DecisionTreeClassifier", "params": {"max_dept": 2}}
    found = _problems(estimator="AdaBoostClassifier", params={"estimator": inner})
    assert found[0][0] == ("params", "estimator", "params", "max_dept")
    assert _problems(estimator="AdaBoostClassifier", params={"estimator": "Tree"})
    wrong = {"estimators": {"a": {"estimator": "SVC", "param": {}}}}
    assert _problems(estimator="VotingClassifier", params=wrong)[0][0] == (
        "params", "estimators", "a",
    )  # fmt: skip
    good = {"estimator": "DecisionTreeClassifier", "params": {"max_depth": 2}}
    made = sklearn_model(
        Sklearn(estimator="AdaBoostClassifier", params={"estimator": good})
    ).estimator(5, 100)
    assert (made.estimator.max_depth, made.estimator.random_state, made.random_state) == (2, 5, 5)
    both = {"estimators": {"a": "LogisticRegression", "b": good}, "voting": "soft"}
    voting = sklearn_model(Sklearn(estimator="VotingClassifier", params=both)).estimator(5, 100)
    assert [name for name, _ in voting.estimators] == ["a", "b"]


def test_class_weight_is_written_once() -> None:
    found = _problems(estimator="SVC", params={"class_weight": "balanced"}, class_weight="balanced")
    assert found[0][0] == ("class_weight",)


@pytest.mark.parametrize(
    "name",
    [
        "DecisionTreeClassifier", "HistGradientBoostingClassifier", "LogisticRegression",
        "RandomForestClassifier",
    ],
)  # fmt: skip
@pytest.mark.parametrize("written", [{"0": 1, "1": 2.5}, {0: 1.0, 1: 2.5}, {"1": 2.5}])
def test_weights_of_labels_are_those_of_scikit_learn(name: str, written: dict[Any, float]) -> None:
    """The keys of a file are text, those of Python numbers; a label that is left out weighs 1."""
    rows = window(300)
    shape: dict[str, Any] = {} if name == "LogisticRegression" else {"max_depth": 3}
    block = Sklearn(estimator=name, params={"class_weight": written, **shape})
    fitted = complete(sklearn_model(block), "none", "none").fit(rows)
    plain = sklearn_model(Sklearn(estimator=name, params=shape)).estimator(rows.seed, 300)
    even = plain.fit(rows.x, rows.y).predict_proba(rows.x)[:, 1]
    plain.set_params(class_weight={0: 1.0, 1: 2.5}).fit(rows.x, rows.y)
    wanted = plain.predict_proba(rows.x)[:, 1]
    assert np.abs(fitted.model.predict(rows.x) - wanted).max() <= 1e-6
    assert np.abs(even - wanted).max() > 0.01


def test_weights_inside_another_estimator_are_of_labels_too() -> None:
    inner = {"estimator": "DecisionTreeClassifier", "params": {"class_weight": {"0": 1, "1": 3}}}
    block = Sklearn(estimator="BaggingClassifier", params={"estimator": inner})
    assert sklearn_model(block).estimator(1, 100).estimator.class_weight == {0: 1, 1: 3}


@pytest.mark.parametrize(
    "written",
    [{"up": 1.0}, {"0": 1.0, 0: 2.0}, {"01": 1.0}, {"2": 1.0}, {True: 1.0}, {0.0: 1.0}, {"1": 0.0},
     {"1": "2"}, {"1": float("nan")}],
)  # fmt: skip
def test_weights_of_no_label_are_refused_with_an_example_that_is_accepted(
    written: dict[Any, Any],
) -> None:
    import yaml

    found = _problems(estimator="DecisionTreeClassifier", params={"class_weight": written})
    assert {each[0] for each in found} == {("params", "class_weight")}
    shown = yaml.safe_load(found[0][1].split("; ")[1].split(", or ")[0])
    Sklearn(estimator="DecisionTreeClassifier", params=shown)
    Sklearn(
        estimator="DecisionTreeClassifier",
        params={key: {str(k): v for k, v in each.items()} for key, each in shown.items()},
    )


def test_many_rows_are_fitted_by_several_threads_and_agree() -> None:
    recipe = sklearn_model(Sklearn(estimator="ExtraTreesClassifier"))
    assert recipe.estimator(1, 100).n_jobs is None
    assert recipe.estimator(1, 1_000_000).n_jobs is not None
    pinned = sklearn_model(Sklearn(estimator="ExtraTreesClassifier", params={"n_jobs": 1}))
    assert pinned.estimator(1, 1_000_000).n_jobs == 1


@pytest.mark.parametrize("name", ["GradientBoostingClassifier", "LogisticRegression", "GaussianNB"])
def test_balanced_rows_are_those_of_scikit_learn(name: str) -> None:
    """Where an estimator has no class weights its rows are weighed instead."""
    from sklearn.utils.class_weight import compute_sample_weight

    rows = window(300)
    rows.y[:60] = 1
    fitted = complete(
        sklearn_model(Sklearn(estimator=name, class_weight="balanced")), "none", "none"
    ).fit(rows)
    plain = sklearn_model(Sklearn(estimator=name)).estimator(rows.seed, 300)
    if name == "LogisticRegression":
        plain.set_params(class_weight="balanced").fit(rows.x, rows.y)
    else:
        plain.fit(rows.x, rows.y, sample_weight=compute_sample_weight("balanced", rows.y))
    wanted = plain.predict_proba(rows.x)[:, 1]
    assert np.abs(fitted.model.predict(rows.x) - wanted).max() <= 1e-12


def test_an_estimator_without_weights_is_reported() -> None:
    made = sklearn_model(Sklearn(estimator="KNeighborsClassifier", class_weight="balanced"))
    with pytest.raises(InputError, match="KNeighborsClassifier takes no weights"):
        complete(made, "none", "none").fit(window(100))


_NEEDS = {
    name: {"estimator": "LogisticRegression"}
    for name in (
        "FixedThresholdClassifier", "OneVsOneClassifier", "OneVsRestClassifier",
        "OutputCodeClassifier", "SelfTrainingClassifier", "TunedThresholdClassifierCV",
    )
}  # fmt: skip
_PARAMS: dict[str, dict[str, Any]] = {
    **_NEEDS,
    "StackingClassifier": {"estimators": {"a": "LogisticRegression", "b": "GaussianNB"}},
    "VotingClassifier": {"estimators": {"a": "LogisticRegression"}, "voting": "soft"},
    "MLPClassifier": {"max_iter": 10, "hidden_layer_sizes": [4]},
    "RandomForestClassifier": {"n_estimators": 5},
    "ExtraTreesClassifier": {"n_estimators": 5},
    "AdaBoostClassifier": {"n_estimators": 5},
    "GradientBoostingClassifier": {"n_estimators": 5},
    "HistGradientBoostingClassifier": {"max_iter": 5},
    "GaussianProcessClassifier": {"max_iter_predict": 5},
}
_EXACT = {
    "AdaBoostClassifier", "BaggingClassifier", "DecisionTreeClassifier", "DummyClassifier",
    "ExtraTreeClassifier", "ExtraTreesClassifier", "FixedThresholdClassifier",
    "GradientBoostingClassifier", "HistGradientBoostingClassifier", "LinearDiscriminantAnalysis",
    "LinearSVC", "LogisticRegression", "LogisticRegressionCV", "PassiveAggressiveClassifier",
    "Perceptron", "RandomForestClassifier", "RidgeClassifier", "RidgeClassifierCV",
    "SGDClassifier", "SelfTrainingClassifier", "TunedThresholdClassifierCV",
}  # fmt: skip


def _fit(made: Any, scale: Scaling, calibrate: Calibrating) -> Fitted | SeptetError:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return complete(made, scale, calibrate).fit(window(160, 3))
        except (InputError, RunError) as error:
            return error


@pytest.mark.parametrize("name", sorted(registry.table()))
def test_every_classifier_is_served_exactly_or_refused_with_a_message(name: str) -> None:
    """No classifier of the registry ends in a traceback or in other probabilities."""
    made = sklearn_model(Sklearn(estimator=name, params=_PARAMS.get(name, {})))
    formats = set()
    for found in (_fit(made, "minmax", "none"), _fit(made, "standard", "sigmoid")):
        if isinstance(found, SeptetError):
            assert name in str(found)
            continue
        formats.add(found.model.format)
        assert found.facts["largest_difference"] <= 1e-5
        up = found.model.predict(window(50, 3, seed=9).x)
        assert ((up >= 0.0) & (up <= 1.0)).all()
    if name in _EXACT:
        assert formats == {"flat"}


def test_a_yes_is_no_number_of_features() -> None:
    assert _problems(estimator="RandomForestClassifier", params={"max_features": True})
