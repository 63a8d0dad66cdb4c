"""What the tests of strangers' plugins share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from septet.testing.other_process import keep_processes


@pytest.fixture(scope="session", autouse=True)
def other_processes() -> Iterator[None]:
    """Let all tests ask the same two processes: starting them for each would take seconds."""
    with keep_processes():
        yield
