"""Every built-in feature through the kit that strangers use."""

from __future__ import annotations

from typing import Any

import pytest

from septet.testing import check_component, check_rule, features_of
from tests.features.cases import ABSORBS, CASES

FEATURES = features_of("septet")
EACH = [(name, settings) for name, rows in CASES.items() for settings in rows]


def test_every_feature_has_a_case() -> None:
    assert sorted(CASES) == sorted(FEATURES)


@pytest.mark.parametrize(("name", "settings"), EACH, ids=[f"{n}-{s}" for n, s in EACH])
def test_conforms(name: str, settings: dict[str, Any]) -> None:
    declaration = FEATURES[name]
    config = declaration.config(**settings)
    if declaration.kind == "across":
        check_rule(declaration, config)
    else:
        check_component(declaration, config, absorbs_nan=name in ABSORBS)
