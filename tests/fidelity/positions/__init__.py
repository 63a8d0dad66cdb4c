"""A reference simulator of portfolios and of positions in steps, written from the rules alone.

`simulator.simulate(Strategy, Market)` returns a `Result`: targets with reasons, orders, fills,
trades, round trips, findings and equity. `settings` names what a strategy file says, `market` what
is known of prices. A rebalance is `selection`, `weighting`, `forecast` and `targets` (data alone),
then `rebalance` (the account); a position in steps is `levels`, `steps`, `grid` and `bar_match`.
Money and quantities are exact fractions, weights are floats. Participation, funding and
liquidation are left out; a strategy's other rules are in `tests/core/reference.py`.
"""
