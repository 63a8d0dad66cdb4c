"""The ledger of trials: the backtests that a user has made, on which data, from any face.

`months` identifies data, `ledger` stores and finds trials, and `effective` estimates the number of
independent trials.
"""
