"""A process that writes a journal and states what it has committed, until it is killed.

``python -m tests.journal.writer PATH``: eight bytes on stdout after every commit.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from septet._journal.journal_writer import Journal
from tests.journal.drawn import HEAD, bar, order


def main(path: Path) -> None:
    """Write without end."""
    journal = Journal.open(path) if path.exists() else Journal.create(path, HEAD)
    os.write(1, journal.seq.to_bytes(8, "little"))
    for number in itertools.count(journal.seq + 1):
        journal.append(bar(number), (order(number),))
        if number % 5:  # of five, two and three are stored together
            journal.commit()
            os.write(1, journal.seq.to_bytes(8, "little"))
        if number % 7 == 0:
            journal.move()
        if number % 40 == 0:
            journal.snapshot(b"s" * 20_000)
            os.write(1, journal.seq.to_bytes(8, "little"))
        if number % 100 == 0:
            journal._log_bytes = 1 << 30
            journal.checkpoint_if_idle()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
