"""What carries events in and commands out: backtest today, paper and live beside it."""
