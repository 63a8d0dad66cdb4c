"""What the waits are measured on: files that are ready to run, which other tests run."""

from __future__ import annotations

from . import conftest  # noqa: F401 - puts the folder of the scripts on the path


def test_the_files_of_the_commands_are_ready_to_run() -> None:
    startup = __import__("startup")
    files = [word for words, _ in startup.COMMANDS.values() for word in words if ".yaml" in word]
    assert files
    for file in files:
        assert file.startswith("strategies/"), "a check of another file may end with status 2"
        assert (startup.ROOT / file).is_file()
