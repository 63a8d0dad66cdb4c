"""Paper trading: a simulated venue on live prices, and its account."""
