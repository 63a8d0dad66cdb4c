"""Actions of an operator or a monitor: plain Python, called between two decision times."""

from __future__ import annotations

from septet._kernel.layout import CANCEL_ALL, FLATTEN
from septet._rules.compile_marks import by_hand
from septet._rules.halts import clear_halt, end_and_close
from septet._rules.reentry import block_side
from septet._rules.run_state import Run
from septet._rules.settings import HALTS, SENDS_TAKES, SYMBOLS, VENUE_FILLS

__all__ = ["cancel_by_hand", "close_by_hand", "halt_by_hand", "resume_by_hand"]


@by_hand
def halt_by_hand(code, now_ns, flatten, run: Run):
    """Block entries and cancel working ones; with `flatten` 1 close every position as well.

    Idempotent, but a later call with `flatten` closes what the first one left open. Returns 1 if
    no person had halted the run before.
    """
    first = 1 - run.halted_by_hand
    if first == 1:
        run.halted_by_hand = 1
        run.blocked = run.blocked + 1
    if SENDS_TAKES and VENUE_FILLS:
        for k in range(SYMBOLS):
            if run.take_units[k] != 0.0:
                run.takes_halted[k] = run.takes_sent[k]
    end_and_close(FLATTEN if flatten == 1 else CANCEL_ALL, code, now_ns, run)
    if flatten == 1:
        for k in range(SYMBOLS):
            block_side(k, run.open_side[k], run)
    return first


@by_hand
def resume_by_hand(now_ns, run: Run):
    """Clear every block that waits for a person, reset the peak; return 1 if one was by hand."""
    for halt in HALTS:
        if halt.resumes == "manual" and run.halt_is_active[halt.number] == 1:
            run.peak = run.equity
            clear_halt(halt.number, halt.code, now_ns, run)
    by_a_person = run.halted_by_hand
    if by_a_person == 1:
        run.halted_by_hand = 0
        run.blocked = run.blocked - 1
    return by_a_person


@by_hand
def cancel_by_hand(code, now_ns, run: Run):
    """Cancel every working or queued entry, and nothing else."""
    end_and_close(CANCEL_ALL, code, now_ns, run)


@by_hand
def close_by_hand(code, now_ns, run: Run):
    """Cancel every working or queued entry and close every position; block nothing."""
    end_and_close(FLATTEN, code, now_ns, run)
