"""Annotations of settings are types when a class is made: pydantic compiles each text anew."""

from __future__ import annotations

import septet_schemas.strategy  # noqa: F401 - defines the settings
from septet_schemas.base import Config


def test_no_block_of_the_file_is_annotated_by_texts() -> None:
    waiting: list[type[Config]] = [Config]
    for each in waiting:
        waiting += each.__subclasses__()
    ours = [each for each in waiting if each.__module__.startswith("septet_schemas.")]
    assert len(ours) > 50
    annotations = {
        f"{each.__module__}.{each.__name__}.{name}": value
        for each in ours
        if each is not Config  # has no fields
        for name, value in vars(each).get("__annotations__", {}).items()
    }
    texts = sorted(name for name, value in annotations.items() if isinstance(value, str))
    assert texts == [], "remove `from __future__ import annotations` from the module"
