"""The comparison of a paper or live run with its backtest, part by part and cause by cause."""
