"""What the rules of positions and portfolios say, clause by clause, and the tests that hold each.

A test is ``file::name``; a file without a folder is one of this package, its ``test_`` left out.
Clauses of keys that are not served are held by the refusal of these keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["CLAUSES", "REFUSED"]

LATER = "tests/schemas/test_every_key_is_read.py::" + (
    "test_keys_that_come_later_are_refused_with_their_place"
)
SEVERAL = (
    "tests/schemas/test_every_key_is_read.py::test_a_file_of_several_strategies_is_one_mistake"
)
HEDGED = "tests/schemas/test_every_key_is_read.py::test_rules_of_one_side_come_with_hedge_mode"
REFUSED: Final = (LATER, SEVERAL, HEDGED)
ENGINE = "tests/fidelity/test_portfolio.py::test_the_engine_trades_what_the_reference_trades"
STEPS = "engine_steps::test_steps_fill_as_in_the_reference_on_both_paths"
PATHS = "tests/core/test_parity_shapes.py::test_two_speeds_give_one_answer"
AGREE = "tests/fidelity/test_hours_agree.py::"
TRIPS = "tests/fidelity/test_round_trips.py::"
LIVE = "tests/live/test_steps.py::"
NO_MARKET = "tests/core/test_no_market.py::"
ORDERS = "tests/core/orders/test_rebalance_orders.py::"
VENUE = "tests/rules/test_venue_steps.py::"
DATED = "tests/data/test_trading_hours.py::"
RULES = "tests/rules/test_portfolio.py::"
Section = Mapping[str, tuple[str, ...]]

IDEA: Section = {
    "a target is fixed at T; price alone changes none": (
        "rebalance::test_price_alone_changes_no_target_and_the_next_rebalance_trades_the_gap",
    ),
    "every form meets limits, halts and checks": (
        "adds::test_every_other_check_applies_to_an_add",
        "buy_every::test_every_check_may_block_it",
        "rebalance::test_increases_are_decided_by_the_limits_in_this_order",
        "grid::test_levels_are_working_orders_nearest_first_and_must_fit_whole",
    ),
    "every form is journalled and replayed": (LIVE + "test_a_journal_is_replayed_and_shadowed",),
    "the reference agrees with the engine": (STEPS, ENGINE),
}
PORTFOLIO: Section = {
    "no signal and no sizing are needed": (
        "portfolio::test_a_portfolio_needs_no_signal_and_no_sizing",
    ),
    "ranked: members with a bar, finite inputs and a true condition": (
        "selection::test_ranked_needs_a_bar_finite_inputs_and_a_true_condition",
    ),
    "high is good; ties in universe order": (
        "selection::test_high_is_good_and_ties_stand_in_universe_order",
    ),
    "a held name is ranked unless its condition is false": (
        "selection::test_a_held_name_is_ranked_unless_its_condition_is_false",
        "selection::test_an_unknown_condition_ranks_what_is_held_on_its_side",
    ),
    "held: a weight in the previous target, a name that a stop closed included": (
        "selection::test_held_means_a_weight_in_the_previous_target",
        "portfolio::test_a_name_that_a_stop_closed_counts_as_held",
    ),
    "a held name without bar or rank keeps weight and slot": (
        "selection::test_a_held_name_without_bar_or_rank_keeps_weight_and_slot",
        "portfolio::test_a_held_name_without_a_bar_keeps_weight_and_slot",
    ),
    "held names within hold_rank first, then the best others": (
        "selection::test_held_names_stay_while_their_rank_is_good_enough",
        "selection::test_of_many_held_names_the_best_stay",
    ),
    "shorts from the other end": ("selection::test_shorts_come_from_the_other_end",),
    "a condition of each side": ("selection::test_each_side_may_have_its_condition",),
    "fewer ranked than both sides need: both shrink, rounded down": (
        "selection::test_with_fewer_ranked_than_both_sides_need_both_shrink_rounded_down",
    ),
    "the budget of a side: its slots' part of gross, or half of gross and net target": (
        "weighting::test_a_budget_is_the_slots_part_of_gross",
        "weighting::test_with_a_net_target_it_is_half_of_gross_and_target",
    ),
    "equal weights; empty slots stay cash": (
        "weighting::test_equal_weights_and_empty_slots_stay_cash",
    ),
    "weights by inverse volatility": ("weighting::test_inverse_volatility",),
    "weights by score, none of the wrong sign": (
        "weighting::test_score_and_a_score_of_the_wrong_sign_has_none",
    ),
    "weights by rank": ("weighting::test_rank_weights_are_n_plus_one_less_the_rank",),
    "the excess above max_weight goes to the side's others, repeatedly; the rest is cash": (
        "weighting::test_what_is_above_the_cap_goes_to_the_others_in_proportion",
        "weighting::test_repeatedly_until_none_is_above",
        "weighting::test_what_nobody_can_take_is_cash",
        "weighting::test_each_side_shares_its_own_excess",
    ),
    "limits over all weights": (
        "weighting::test_limits_act_over_all_weights",
        "portfolio::test_limits_hold_over_all_weights",
    ),
    "a net target scales the larger side, by weight or weight times beta": (
        "weighting::test_the_larger_side_is_scaled_to_the_net_target",
        "weighting::test_with_beta_the_sides_are_sums_of_weight_times_beta",
    ),
    "turnover against drifted targets; one factor scales every change": (
        "weighting::test_previous_targets_drift_with_prices",
        "weighting::test_turnover_counts_buys_and_sells_and_one_factor_scales_every_change",
        "rebalance::test_the_turnover_cap_holds_from_one_target_to_the_next",
    ),
    "differences below the drift are not traded": (
        "rebalance::test_smaller_differences_than_the_drift_are_not_traded",
        "rebalance::test_a_difference_as_large_as_the_drift_is_traded",
    ),
    "openings, closings and changes of side always are": (
        "rebalance::test_openings_closings_and_changes_of_side_are_always_traded",
    ),
    "to: edge trades to the drift's edge": (
        "rebalance::test_to_edge_trades_to_the_edge_of_the_drift",
    ),
    "increases are floored with costs, reductions at the close": (
        "rebalance::test_increases_are_floored_with_slippage_and_fee_reductions_at_the_close",
    ),
    "a target of zero sells all": ("rebalance::test_a_target_of_zero_sells_all",),
    "an entry into what was too small to be sold begins stops, R, takes and adds again": (
        "remainders::test_a_stop_that_the_price_has_passed_long_ago_sells_no_new_entry",
        "remainders::test_a_stop_in_steps_begins_again_with_the_entry",
        "remainders::test_takes_and_r_begin_again",
        "remainders::test_adds_are_shares_of_the_new_entry",
    ),
    "a stop that waits because it is too small blocks its side from the touch on": (
        "reentry::test_a_stop_that_waits_blocks_its_side_from_the_touch_on",
        "reentry::test_a_signal_that_differs_while_the_exit_waits_frees_its_side",
        "reentry::test_bars_of_a_block_count_from_the_touch_on",
        "reentry::test_drawn_exits_that_wait_block_as_in_the_engine",
    ),
    "an exit whose position is closed ends with it": (
        "reentry::test_an_exit_whose_position_a_target_has_closed_ends_with_it",
    ),
    "too small: not sent, not remembered; only a closing is retried": (
        "rebalance::test_below_lot_or_minimum_notional_nothing_is_sent_and_nothing_remembered",
        "rebalance::test_only_a_closing_that_was_too_small_is_retried_at_every_time",
    ),
    "reductions, then increases from the largest gap, at one open": (
        "rebalance::test_reductions_come_first_and_then_increases_from_the_largest_gap",
        "rebalance::test_equal_gaps_stand_in_universe_order",
        RULES + "test_the_largest_increase_fills_first_where_cash_falls_short",
    ),
    "between rebalances stops, takes, exit_if and halts act": (
        "portfolio::test_stops_and_takes_act_between_rebalances",
        "rebalance::test_exit_if_acts_between_rebalances_and_beats_one",
        "portfolio::test_a_halt_moves_a_rebalance_and_flattens",
    ),
    "a name that they closed is ranked again; reentry can keep it out": (
        "rebalance::test_a_name_that_a_stop_closed_is_ranked_again_at_the_next_rebalance",
        "rebalance::test_reentry_can_keep_it_out_longer",
    ),
    "every: bars by the number of their open, intervals, cron, in the zone": (
        "schedule::test_bars_are_counted_by_the_number_of_their_open_and_due_at_their_close",
        "schedule::test_intervals",
        "schedule::test_cron_lines",
        "schedule::test_the_clock_of_the_zone_counts",
    ),
    "due at the first T at or after the instant": (
        "rebalance::test_it_is_due_at_the_first_time_at_or_after_the_instant",
    ),
    "a skipped instant means the next; a repeated one counts once": (
        "schedule::test_an_instant_that_the_clock_skips_means_the_next_one_that_exists",
        "schedule::test_an_instant_that_the_clock_shows_twice_counts_once",
    ),
    "one that cannot act whole moves to the first T that can: halt, hours, late row, quorum": (
        "rebalance::test_a_rebalance_with_too_few_members_moves_to_the_first_time_that_has_enough",
        "rebalance::test_a_rebalance_is_whole_or_moves_for_one_late_row",
        "rebalance::test_a_rebalance_waits_for_open_hours",
        "portfolio::test_a_halt_moves_a_rebalance_and_flattens",
    ),
    "given weights: NaN keeps units, 0 closes, a sum above gross is scaled and reported": (
        "rebalance::test_nan_keeps_the_units_and_zero_closes",
        "rebalance::test_a_sum_above_gross_is_scaled_down_and_reported",
    ),
    "shorts and negative weights: perpetual accounts alone": (
        "rebalance::test_negative_weights_need_a_perpetual_account",
    ),
    "forecasts: m, clip, multipliers, weights": (
        "forecast::test_m_is_the_mean_of_the_medians_with_zeros_left_out",
        "forecast::test_clip_holds_both_ways",
        "forecast::test_a_multiplier_lets_negative_correlations_count_as_zero",
        "forecast::test_a_multiplier_is_at_most_two_and_a_half",
        "forecast::test_each_member_has_its_share_and_the_returns_their_multiplier",
    ),
    "forecasts without a full window or with NaN keep units": (
        "forecast::test_without_a_full_window_or_with_nan_units_stay",
    ),
    "optimise, and a universe of a pool with members of its own": (LATER,),
    "the reference knows members, names that left and delistings": (
        "portfolio::test_members_are_point_in_time_and_one_that_left_"
        "is_closed_at_the_next_rebalance",
        "portfolio::test_a_delisted_name_is_booked_out_at_its_last_close_and_reported",
    ),
}
POSITION: Section = {
    "words of the position, NaN while flat": (
        "account::test_words_of_a_flat_position_are_nan",
        "account::test_words_of_a_position",
        "engine_steps::test_every_word_of_the_position_ends_trades_when_the_reference_has_it",
    ),
    "bars_held is 1 at the close of the fill's bar": (
        "account::test_bars_held_is_one_at_the_close_of_the_bar_of_the_fill",
    ),
    "open_return: before fees": ("account::test_open_return_of_a_short_and_before_fees",),
    "distances are read at the entry's T and fixed": (
        "stops::test_a_distance_is_read_at_the_entrys_time_and_fixed",
        "stops::test_texts_of_distances",
    ),
    "R from the first price to the first stop; no stop, no R": (
        "stops::test_r_runs_from_the_first_price_to_the_first_stop",
        "stops::test_without_a_stop_there_is_no_r",
    ),
    "fixed_risk: risk times equity over the distance to the first stop": (
        "stops::test_fixed_risk_is_risk_times_equity_over_the_distance_to_the_first_stop",
        "stops::test_fixed_risk_is_capped_like_every_size",
    ),
    "a level is read at every T and only tightens": (
        "stops::test_a_level_is_read_at_every_time_and_only_tightens",
        "stops::test_a_level_of_each_side",
        "stops::test_an_unknown_level_refuses_the_entry",
        "stops::test_a_side_without_a_level_needs_none",
    ),
    "a trailing stop waits for after": (
        "stops::test_a_trailing_stop_in_r_waits_and_uses_highs_up_to_the_bar_before",
    ),
    "adds count from first_price, takes and targets from entry_price": (
        "adds::test_levels_of_adds_count_from_the_first_price_whatever_was_added",
        "takes::test_an_add_moves_the_levels_of_takes_with_the_entry_price",
        "stops::test_the_take_profit_counts_from_the_entry_price",
    ),
    "an add may tighten the stop, never loosen it": (
        "adds::test_an_add_may_tighten_the_stop_and_never_loosens_it",
    ),
    "break_even closes at zero after fees, rounded up to the tick for longs": (
        "stops::test_break_even_closes_what_is_held_at_zero_after_fees_rounded_to_the_tick",
        "exact_break_even::test_it_acts_at_its_level_and_one_tick_beside_it_does_not",
        "exact_break_even::test_it_is_active_from_exactly_its_profit",
    ),
    "adds are shares of the filled first order, placed when it has ended": (
        "adds::test_shares_are_of_what_the_first_order_filled",
        "adds::test_resting_adds_are_placed_when_the_first_order_has_ended_and_work_in_its_bar",
    ),
    "takes and adds in flight: what an exit, a stop, a flip and the hours do to them": (
        "latency::test_a_take_in_flight_sells_the_quantity_of_its_decision",
        "latency::test_a_take_in_flight_sells_at_most_what_a_level_has_left",
        "latency::test_a_stop_ends_a_take_in_flight",
        "latency::test_an_exit_replaces_a_take_in_flight_and_closes_all_at_its_own_time",
        "latency::test_a_take_in_flight_that_closes_all_is_not_replaced_by_an_exit",
        "latency::test_no_take_is_decided_while_a_flip_is_in_flight",
        "latency::test_an_add_waits_while_another_is_in_flight",
        "latency::test_a_flip_that_is_cancelled_in_flight_restarts_no_interval_of_an_add",
        "latency::test_nothing_is_added_while_an_exit_waits",
        "latency::test_resting_adds_follow_the_hours_of_the_newest_decision",
    ),
    "adds skip min_interval and re-entry": (
        "adds::test_adds_skip_min_interval_and_the_re_entry_block",
    ),
    "resting adds: limits against, stops with the position; working orders, nearest first, whole": (
        "adds::test_resting_limits_lie_below_the_first_price_and_fill_when_traded_through",
        "adds::test_resting_stops_lie_above_and_pay_slippage",
        "adds::test_resting_adds_count_as_working_orders_nearest_first_and_must_fit_whole",
    ),
    "exits, stops and halts on entries cancel them": (
        "adds::test_exits_cancel_resting_adds",
        "adds::test_a_stop_cancels_resting_adds",
        "adds::test_a_halt_on_entries_cancels_resting_adds",
    ),
    "times and min_interval of an add": (
        "adds::test_a_condition_adds_a_share_of_the_filled_first_order_so_many_times",
        "adds::test_min_interval_of_an_add_counts_bars_from_the_entry_and_its_last_one",
    ),
    "takes: of all units entered, at most 100 %, each once a trade": (
        "takes::test_shares_are_of_all_units_entered_so_far",
        "takes::test_more_than_one_hundred_per_cent_is_refused",
        "takes::test_each_take_happens_once_a_trade_and_again_in_the_next_trade",
    ),
    "what stays is rounded up to the lot, none below the minimum; the next makes up": (
        "takes::test_what_stays_is_rounded_up_to_the_lot",
        "takes::test_where_too_little_would_stay_nothing_does",
        "takes::test_the_next_take_makes_up_for_one_that_was_too_small",
    ),
    "a take may move the stop to break_even": (
        "takes::test_a_take_at_market_moves_the_stop_to_break_even_once_it_has_filled",
        "stops::test_break_even_is_in_force_from_the_next_bar_on",
    ),
    "at one T: exit, take, add": (
        "takes::test_at_one_time_exit_beats_take_and_take_comes_before_add",
    ),
    "a portfolio excludes adds, buys and grid": (
        "portfolio::test_a_portfolio_excludes_adds_and_regular_buys",
        "portfolio::test_what_else_is_excluded",
    ),
    "a take lowers the name's later weights until flat": (
        "rebalance::test_a_take_lowers_the_later_weights_of_its_name_until_flat",
    ),
    "buy_every: from cash at hand, fees included, decided when due; dropped where blocked": (
        "buy_every::test_it_buys_for_the_amount_fees_included_when_due",
        "buy_every::test_it_buys_from_cash_at_hand",
        "buy_every::test_a_blocked_buy_is_dropped_and_reported",
        "latency::test_a_buy_that_is_due_while_another_is_in_flight_is_dropped",
        "buy_every::test_no_re_entry_block_holds_it_up",
        "engine_steps::test_regular_buys_fill_as_in_the_reference_on_both_paths",
    ),
    "a grid: while flat, levels below the centre, each buys a share of equity": (
        "grid::test_while_flat_levels_lie_one_step_below_each_other_and_each_buys_a_share",
        "grid::test_while_flat_the_levels_follow_the_centre",
        "engine_steps::test_a_grid_fills_as_in_the_reference_on_both_paths",
    ),
    "each sells one level up, then rests again": (
        "grid::test_a_level_that_was_bought_is_sold_one_level_up_and_rests_again",
    ),
    "a short grid is the mirror": ("grid::test_a_short_grid_is_the_mirror",),
}
LEGS: Section = {"spreads": (LATER,)}
WHEN: Section = {
    "an increase needs T + latency inside the hours": (
        "hours::test_an_increase_needs_its_decision_inside_the_hours",
        "hours::test_latency_counts",
        "trading_hours::test_hours_are_closed_at_the_first_instant_and_open_at_the_last",
    ),
    "resting increases are cancelled outside": (
        "hours::test_resting_increases_are_cancelled_outside",
    ),
    "a calendar, half days known": (DATED + "test_an_exchange_has_half_days",),
    "a blackout of events": (
        "hours::test_a_blackout_blocks_increases_alone",
        "trading_hours::test_a_blackout_closes_the_hours_around_its_instants",
        DATED + "test_an_event_that_is_not_known_yet_blocks_nothing",
    ),
    "flat_at_close decides at the last T whose fill lies inside; nothing is increased there": (
        "hours::test_flat_at_close_decides_at_the_last_time_whose_fill_lies_inside",
        AGREE + "test_spot_strategies_in_hours_fill_as_in_the_reference",
    ),
    "exits and stops always act": ("hours::test_exits_and_stops_always_act",),
    "hour, weekday and month are of T, in the zone": (
        "hours::test_hour_weekday_and_month_are_those_of_the_decision",
        "hours::test_the_words_are_read_in_the_time_zone",
    ),
    "max_positions: symbols held or being entered": (
        "hours::test_max_positions_counts_symbols_held_or_being_entered",
    ),
    "on_shutdown": (
        "tests/faults/test_processes.py::test_a_shutdown_flattens_if_the_file_requires_it",
    ),
    "the benchmark is bought at the first decision, without costs": (
        "hours::test_the_benchmark_is_bought_at_the_first_decision_without_costs",
        AGREE + "test_the_benchmark_is_bought_at_the_first_decision_without_costs",
    ),
    "several strategies": (SEVERAL,),
    "hedge_mode": (HEDGED, LATER),
}
HAPPENS: Section = {
    "a trade runs flat to flat at average cost; its return is over its entry notionals": (
        "account::test_a_trade_runs_flat_to_flat_at_average_cost",
        "account::test_its_return_is_the_result_over_the_sum_of_entry_notionals",
    ),
    "first-in first-out round trips and their win rate stand beside": (
        "account::test_round_trips_match_first_in_first_out",
        "account::test_win_rates_of_trades_and_of_round_trips_stand_beside_each_other",
        TRIPS + "test_round_trips_are_those_of_a_queue_and_sum_to_the_trades",
    ),
    "trades sum to equity": (
        "account::test_an_open_trade_is_marked_and_the_sum_is_the_change_of_equity",
        "tests/core/test_conservation.py::test_results_of_all_trades_sum_to_what_equity_gained",
    ),
    "(a) a position closed at the open loses its adds": (
        "within_bar::test_a_position_closed_at_the_open_loses_its_adds",
    ),
    "(b) stop touched: the adds before its price, then the stop on all": (
        "within_bar::test_before_the_stop_every_add_that_lies_before_"
        "it_fills_and_then_the_stop_on_all",
        "within_bar::test_an_add_that_was_not_traded_through_does_not_fill_before_the_stop",
    ),
    "(c) else takes, nearest first, of what was held after the open, then adds": (
        "within_bar::test_takes_come_nearest_first_of_what_was_held_after_the_open_and_then_adds",
    ),
    "what fills inside a bar moves levels, is taken or rests again from the next bar on": (
        "within_bar::test_what_fills_inside_a_bar_is_taken_from_the_next_bar_on",
        "within_bar::test_adds_of_the_bar_move_no_stop_within_it",
        "grid::test_what_fills_inside_a_bar_is_sold_or_rests_again_from_the_next_bar_on",
    ),
    "intrabar: in the reference; the key is refused": (
        "intrabar::test_the_path_of_finer_bars_decides_between_take_and_stop",
        "intrabar::test_elsewhere_the_bar_itself_is_used_and_counted",
        LATER,
    ),
    "several orders of a symbol may work; increases never exceed what limits accepted": (
        "tests/core/test_conservation.py::test_limits_hold_after_every_entry",
        "properties::test_one_position_in_steps",
    ),
    "stop and takes: one group; a venue holds the stop, the engine the takes": (
        LIVE + "test_the_stop_at_the_venue_makes_way_for_a_take_and_follows_what_is_left",
        VENUE + "test_a_stop_that_the_venue_triggers_ends_the_take_that_works",
    ),
    "an entry without an open within a bar expires, before caps; reductions wait": (
        "adds::test_an_add_at_market_that_finds_no_open_within_a_bar_expires",
        "missing_bars::test_what_a_reversal_would_have_closed_is_closed_at_the_next_open",
        NO_MARKET + "test_it_leaves_its_share_of_each_limit_to_the_entries_of_that_time",
    ),
    "live, increases wait for the limiter; runs diff names what differs": (
        ORDERS + "test_an_increase_of_a_rebalance_waits_for_the_rate_and_no_other_entry_does",
        LIVE + "test_the_gap_to_the_backtest_is_explained",
    ),
    "batch, event, replay and shadow agree bit for bit": (
        PATHS,
        LIVE + "test_a_journal_is_replayed_and_shadowed",
    ),
}
CLAUSES: Final[Mapping[str, Section]] = {
    "the idea": IDEA, "portfolio": PORTFOLIO, "one position": POSITION, "legs": LEGS,
    "when, and which account": WHEN, "what happens when": HAPPENS,
}  # fmt: skip
