"""The faults of process, disk, plugin, model and operator: what happens, what must hold, and where.

The codes are those of the project's list of faults; those of the network, the venue and the data
are the drill's (`septet drill`). ``many`` tests make a fault at least twenty times in every run of
the tests; ``few`` ones use real processes and make it as often as ``SEPTET_FAULTS_TIMES`` sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CATALOGUE", "LATER", "Fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens, what must hold afterwards, and the tests (``file::function``) that show it."""

    what: str
    holds: str
    many: tuple[str, ...]
    few: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


_PROCESS: Final = "faults/test_process.py::"
_DISK: Final = "faults/test_disk.py::"
_CONFIG: Final = "faults/test_config.py::"
_OPERATOR: Final = "faults/test_operator.py::"
_LANE: Final = "faults/test_lane.py::"
_REAL: Final = "faults/test_processes.py::"
_START: Final = "live/test_start.py::"
_QUESTIONS: Final = "live/test_dying_questions.py::"
_MONEY: Final = "faults/test_money.py::"
_RESTART: Final = "faults/test_restart.py::"
_FUNDS: Final = "live/test_funds_check.py::"
_CHECKS: Final = "core/orders/test_checks.py::"
_ORDERS: Final = "core/orders/test_orders.py::"
_COPIES: Final = "core/orders/test_foreign_orders.py::"
_SHELL: Final = "live/test_shell.py::"
_STOP: Final = "live/test_stop.py::"
_LEASE: Final = "journal/test_lease.py::"
_ALERTS: Final = "live/test_alerts.py::"
_BREAKER: Final = "live/test_circuit_breaker.py::"
_FAILURES: Final = "journal/test_failures.py::"
_SIM: Final = "test_simulated_among_faults_of_the_venue"
_SIMS: Final = "test_simulated_among_deaths_and_faults_of_the_venue"

CATALOGUE: Final = {
    "P1": Fault(
        "killed with signal 9 before and after every write and every request",
        "no order twice, no fill lost, no id reused; a second restart changes nothing",
        (_PROCESS + "test_p1_killed_before_and_after_each_step_of_an_order",),
        (_REAL + "test_p1_p2_p9_killed_again_and_again",),
        (
            _PROCESS + _SIM,
            "journal/test_crash.py::test_a_killed_writer_loses_nothing_it_committed",
            "drill/sim/test_core_subject.py::test_crash_at_every_write_of_the_journal",
            "faults/test_paper_demo.py::"
            "test_two_hundred_bars_killed_five_times_are_their_backtest",
        ),
    ),
    "P2": Fault(
        "killed again while it recovers",
        "recovery is idempotent and gives the same ids",
        (_PROCESS + "test_p2_killed_again_while_it_recovers",),
        (_REAL + "test_p1_p2_p9_killed_again_and_again",),
        (_PROCESS + _SIM,),
    ),
    "P3": Fault(
        "a second instance, of the run or of the account",
        "the second is rejected with the holder's name; the first goes on",
        (_PROCESS + "test_p3_a_second_instance",),
        (_REAL + "test_p3_a_second_instance",),
        (
            _LEASE + "test_a_second_instance_is_refused_and_names_the_holder_until_that_is_killed",
            _LANE + "test_p3_a_start_that_has_not_made_its_journal_yet_is_seen_by_the_next",
            _LEASE + "test_p3_an_account_is_held_beyond_the_state_folder",
        ),
    ),
    "P4": Fault(
        "the loop stands still for half a minute and more",
        "nothing decided before is sent late; what happened meanwhile is booked and reported",
        (_PROCESS + "test_p4_a_loop_that_stood_still",),
        (_REAL + "test_p4_the_process_stands_still",),
        (
            _PROCESS + _SIM,
            _STOP + "test_p4_a_loop_that_stood_still_is_reported_from_outside_and_then_inside",
        ),
    ),
    "P5": Fault(
        "an exception in the strategy",
        "it halts alone and says where; the journal is whole; a restart goes on",
        (_PROCESS + "test_p5_an_exception_of_the_strategy",),
        (),
        (
            _START + "test_p5_one_strategy_fails_and_the_other_goes_on",
            _SHELL + "test_p5_a_core_that_fails_ends_its_shell_alone_and_keeps_what_came_before",
        ),
    ),
    "P6": Fault(
        "SIGTERM at any moment",
        "entries off, everything flushed, ends within a bound; the next start goes on",
        (_PROCESS + "test_p6_asked_to_stop_at_any_moment",),
        (_REAL + "test_p6_asked_to_stop",),
        (
            _START + "test_p6_a_signal_stops_in_order",
            _REAL + "test_a_shutdown_flattens_if_the_file_requires_it",
            _REAL + "test_a_shutdown_sells_again_what_lost_requests_left_held",
        ),
    ),
    "P7": Fault(
        "the clock jumps, or the machine sleeps",
        "time never goes back; stale intents die by their deadline; books agree",
        (_PROCESS + "test_p7_the_clock_jumps_ahead",),
        (),
        ("live/test_clock.py::test_time_never_goes_backwards",),
    ),
    "P9": Fault(
        "a crash loop",
        "unclean ends are counted; after the third within ten minutes: safe mode until a resume",
        (_PROCESS + "test_p9_a_crash_loop_is_counted_from_the_journal",),
        (_REAL + "test_p1_p2_p9_killed_again_and_again",),
        (
            _LANE + "test_p9_killed_processes_count_though_they_could_not_state_it",
            _START + "test_p9_too_many_unclean_ends_begin_in_safe_mode",
        ),
    ),
    "S1": Fault(
        "an append fails, the disk is full, for a while or for good",
        "nothing leaves without a durable intent; cancels do; all is stored when there is room",
        (
            _DISK + "test_s1_the_disk_is_full_for_a_while",
            _DISK + "test_s1_the_disk_stays_full",
        ),
        (_REAL + "test_s1_the_disk_is_full",),
        (
            _DISK + _SIMS,
            _FAILURES + "test_a_full_disk",
            _LANE + "test_a_run_whose_journal_was_deleted_sends_no_entry_and_has_failed",
        ),
    ),
    "S2": Fault(
        "a torn end, a corrupt middle",
        "the end is cut back and reported; the middle is rejected",
        (
            _DISK + "test_s2_a_write_torn_by_the_loss_of_power",
            _DISK + "test_s2_a_corrupt_middle_is_refused",
        ),
        (),
        (
            _DISK + _SIMS, "journal/test_torn.py::test_a_database_cut_anywhere",
            "journal/test_torn.py::test_a_log_cut_anywhere",
            "journal/test_verify.py::test_tampering_is_found_and_refused",
        ),
    ),
    "S3": Fault(
        "a slow sync, a locked database",
        "an order whose intent took too long does not leave; the rest waits",
        (_DISK + "test_s3_a_slow_disk_and_a_locked_database",),
        (),
        (_FAILURES + "test_a_locked_database_is_waited_for_and_then_reported",),
    ),
    "S4": Fault(
        "an old backup of the run is put back",
        "refused where the machine remembers; elsewhere the venue's fills stop entries, exits sell "
        "what is held, and no id is used twice",
        (
            _DISK + "test_s4_an_old_backup_of_the_run",
            _DISK + "test_s4_an_old_backup_on_another_machine",
        ),
        (_REAL + "test_s4_an_old_backup",),
        (
            _LANE + "test_s4_an_old_copy_of_the_folder_is_refused",
            _ORDERS + "test_s4_an_order_with_our_mark_that_was_never_sent_is_foreign",
            _COPIES + "test_executions_of_a_copy_are_found_in_the_list_though_it_names_no_id",
            _COPIES + "test_two_processes_that_continue_from_the_same_journal_use_no_id_twice",
            _COPIES + "test_a_rejected_exit_cancels_the_stop_of_a_copy_and_sells_what_the_account_"
            "holds",
        ),
    ),
    "S5": Fault(
        "a journal of another schema version",
        "refused before anything is changed, with what to do",
        (_DISK + "test_s5_a_journal_of_another_schema",),
        (_REAL + "test_s5_another_schema",),
        ("journal/test_journal_writer.py::test_another_schema_is_refused_with_what_to_do",),
    ),
    "C2": Fault(
        "a size a hundred times too large, the prices of another symbol",
        "refused just before the wire: the venue sees nothing",
        (
            _CONFIG + "test_c2_a_hundred_times_too_large",
            _CONFIG + "test_c2_decided_by_the_prices_of_another_symbol",
        ),
        (),
        (_CHECKS + "test_c2_a_hundred_times_too_large_is_rejected",),
    ),
    "C3": Fault(
        "test keys on a real host, a key that can withdraw",
        "refused before anything is sent, or warned where the venue does not report it",
        (_CONFIG + "test_c3_rights_of_the_key",),
        (_REAL + "test_c3_a_key_that_can_withdraw",),
        ("execution/test_clients.py::test_an_account_outside_the_exchanges_own_hosts_is_a_test",),
    ),
    "C4": Fault(
        "a plugin raises, hangs, or gives no number or another type",
        "it is quarantined and left alone; nothing of it reaches the wire",
        (
            _CONFIG + "test_c4_an_engine_that_orders_what_is_no_number",
            _CONFIG + "test_c4_a_plugin_that_raises_hangs_or_gives_nonsense",
        ),
        (),
        (
            _BREAKER + "test_a_plugin_that_fails_three_times_is_quarantined",
            _ORDERS + "test_c4_invalid_numbers_do_no_harm",
        ),
    ),
    "C5": Fault(
        "a runaway: the same order again and again, too many, children above their parent",
        "rate, repeats and turnover stop it, through restarts, until a person re-arms",
        (
            _CONFIG + "test_c5_a_runaway_is_throttled_until_it_is_re_armed",
            _CONFIG + "test_c5_the_same_order_again_and_again",
        ),
        (),
        (
            _CHECKS + "test_c5_an_order_repeated_too_often_is_blocked_until_it_is_re_armed",
        ),
    ),
    "C6": Fault(
        "mixed versions",
        "the whole journal is folded and compared, and reported; another strategy is rejected",
        (_CONFIG + "test_c6_another_version_continues_and_is_reported",),
        (),
        (_START + "test_a_changed_file_is_refused",),
    ),
    "M1": Fault(
        "our position is not the venue's",
        "entries off with an alarm until they agree or a person resumes",
        (_OPERATOR + "test_m1_a_position_that_is_not_the_venues",),
        (_REAL + "test_m1_a_position_that_is_not_the_venues",),
        (_OPERATOR + _SIMS,),
    ),
    "M2": Fault(
        "a signal that flips again and again",
        "the turnover breaker stops entries until a person resumes",
        (_CONFIG + "test_c5_a_runaway_is_throttled_until_it_is_re_armed",),
        (),
        (
            _CHECKS + "test_m2_flipping_too_often_stops_entries_until_a_person_resumes",
        ),
    ),
    "M3": Fault(
        "the loss limit is passed",
        "it trips once, closes, and holds through deaths until a person resumes",
        (_OPERATOR + "test_m3_a_loss_limit_trips_once",),
        (),
        ("core/test_venue_marks.py::test_a_mark_trips_a_halt_once_and_flattens",),
    ),
    "M4": Fault(
        "a live decision that the replay does not make",
        "recovery refuses to go on; `septet replay` names the first difference and ends with 1",
        (_OPERATOR + "test_m4_a_decision_that_the_replay_does_not_make",),
        (_REAL + "test_m4_a_journal_that_was_tampered_with",),
        ("live/test_replay.py::test_a_changed_price_is_found_where_it_acts",),
    ),
    "O1": Fault(
        "the kill switch at any moment, with deaths on the way",
        "blocked at once and durably; cancelled until nothing is open; survives restarts",
        (_OPERATOR + "test_o1_killed_at_any_moment",),
        (_REAL + "test_o1_o2_halted_at_any_moment_and_killed_on_top",),
        (
            _OPERATOR + _SIMS,
            _OPERATOR + "test_o1_a_halt_takes_the_stop_and_the_living_process_watches_its_level",
            _START + "test_o1_a_halt_of_a_run_that_is_not_running_takes_effect_at_its_start",
        ),
    ),
    "O2": Fault(
        "killed twice, resumed twice",
        "twice is once; a resume needs a name and a reason; it trades again",
        (_OPERATOR + "test_o2_killed_twice_and_resumed_twice",),
        (_REAL + "test_o1_o2_halted_at_any_moment_and_killed_on_top",),
        ("live/test_kill_switch.py::test_a_resume_needs_a_name_and_a_reason",),
    ),
    "O3": Fault(
        "the alert channel refuses, or never answers",
        "reported once, without its address; no row of the run waits, and the oldest alerts go",
        (_ALERTS + "test_a_service_that_hangs_delays_nothing_but_alerts",),
        (_ALERTS + "test_a_service_that_refuses_is_reported_once_and_never_raises",),
    ),
    "A4": Fault(
        "a background task or a timer of the process dies",
        "logged with its plugin, entries blocked meanwhile, started again; the run goes on",
        ("live/test_dying_tasks.py::test_a4_each_background_task_is_killed_and_works_again",),
        (),
        (
            "execution/test_tasks.py::test_the_user_stream_is_killed_and_comes_back",
            _QUESTIONS + "test_a4_the_polling_of_outside_series",
            _QUESTIONS + "test_a4_the_request_for_an_order_book",
            _QUESTIONS + "test_a4_the_polling_until_a_venue_is_available",
            "execution/test_tasks.py::test_an_error_in_a_read_ends_no_polls_of_the_account",
        ),
    ),
    "A6": Fault(
        "at a restart the money is locked by own orders, spent by fills unheard, or misread",
        "reconciled first; entries blocked under a name that states what clears it; nothing ends",
        (
            _RESTART + "test_a6_killed_with_all_of_the_balance_at_work",
            _RESTART + "test_a6_a_start_that_reads_no_balance_blocks_entries_until_the_next_read",
        ),
        (_REAL + "test_a6_restarts_with_the_whole_balance_as_capital",),
        (
            _RESTART + "test_a6_what_is_held_stays_protected_while_the_account_blocks_entries",
            _FUNDS + "test_a6_a_start_with_a_history_is_never_refused_over_funds",
            "core/orders/test_blocked.py::test_a6_what_is_held_stays_protected_whatever_is_read",
            _FUNDS + "test_a6_a_balance_that_is_no_number_is_asked_for_again",
            _FUNDS + "test_a6_balances_that_stay_unreadable_block_entries_and_end_nothing",
            "core/orders/test_funds.py::test_a6_what_an_own_order_locks_counts",
        ),
    ),
    "A8": Fault(
        "a flatten at a restart without market data, and a plain halt or a signal after it",
        "closed once fills and account were read; only a resume takes it back",
        (_RESTART + "test_a8_a_halt_after_a_flatten_still_closes",),
        (),
        (
            _RESTART + "test_a8_a_flatten_at_a_start_needs_no_market_data",
            "live/test_kill_switch.py::test_a8_a_halt_does_not_weaken_a_flatten_that_waits",
        ),
    ),
    "A9": Fault(
        "the machine's clock runs far ahead for seconds, and is right again",
        "time given never goes back, and agrees after twice the error; no bar is late meanwhile",
        ("live/test_clock_ahead.py::test_a9_no_bar_is_late_once_the_clock_is_right",),
        (),
        (
            "live/test_clock.py::test_a9_a_clock_that_ran_ahead_and_is_right_again_is_followed",
            "core/orders/test_network.py::test_a_jump_of_the_clock_makes_no_answer_final",
            "live/test_clock.py::test_time_never_goes_backwards",
        ),
    ),
    "A11": Fault(
        "a run folder renamed, copied beside itself or elsewhere, or open to other users",
        "the id is in the journal's head: it goes on, and no copy beside it; 0700 and 0600",
        (
            _RESTART + "test_a11_a_renamed_folder_goes_on",
            _RESTART + "test_a11_of_copies_beside_each_other_the_newest_goes_on",
        ),
        (),
        (
            _RESTART + "test_a11_a_copy_of_a_run_that_goes_on_is_refused",
            _RESTART + "test_a11_a_damaged_run_beside_refuses_only_where_it_is_the_newest",
            _RESTART + "test_a11_what_a_run_leaves_is_its_users_alone",
            _LEASE + "test_a11_a_journal_is_readable_by_its_user_alone",
        ),
    ),
    "A12": Fault(
        "a test network is reset, and its ids of trades and orders begin anew",
        "trades and orders differ from older ones of the same id; each fill is booked once",
        (_RESTART + "test_a12_fills_with_the_ids_of_older_ones_are_booked_after_a_restart",),
        (),
        (
            "core/orders/test_disputes.py::test_ids_that_begin_anew_hide_no_fill",
            "live/test_quotes.py::"
            "test_trades_of_a_test_network_that_began_anew_are_not_taken_for_known_ones",
        ),
    ),
    "A13": Fault(
        "a halt where the journal cannot be read, or something else is called HALT",
        "the file is written first; whatever has the name is a halt",
        ("cli/test_halt.py::test_a13_a_halt_needs_no_journal",),
        (),
        (
            "cli/test_halt.py::test_a13_the_halt_is_written_before_the_journal_is_read",
            "live/test_kill_switch.py::test_a13_whatever_is_called_halt_is_one_until_it_is_resumed",
        ),
    ),
    "A14": Fault(
        "an execution at a price that cannot be",
        "not booked until the account holds it, and then at the last known price",
        (_MONEY + "test_a14_a_price_that_cannot_be_moves_no_stop_and_trips_no_halt",),
        (),
        ("core/orders/test_disputes.py::test_a_fill_far_from_the_last_known_price_is_not_booked",),
    ),
    "A15": Fault(
        "an execution whose fee is no number, too large, or in a currency that is none",
        "booked at once with the expected fee, and protected in the same turn",
        (
            _MONEY + "test_a15_a_fee_that_cannot_be_loses_no_execution_and_no_stop",
            _MONEY + "test_a15_a_schedule_that_asks_for_more_than_the_file_counts",
            _MONEY + "test_a15_what_a_sale_cost_is_expected_in_what_was_received",
        ),
        (),
        (
            "execution/test_fees.py::test_an_execution_with_a_fee_that_cannot_be_is_handed_on",
            "live/test_late_fees.py::test_the_ledger_follows_the_fee_that_the_list_states",
        ),
    ),
}  # fmt: skip
"""Every fault of the suite by its code."""

LATER: Final = {"P8": "hot swap", "C1": "a bad file while running"}
"""Faults of what does not exist yet."""
