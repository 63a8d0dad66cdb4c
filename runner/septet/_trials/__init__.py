"""The ledger of trials: which backtests a user has made on which data, whichever way he asked.

`months` recognises data, `ledger` keeps and finds trials, `effective` estimates how many
independent ones they are worth.
"""
