"""Why a paper or live run differs from its backtest: both sides, part by part, cause by cause."""
