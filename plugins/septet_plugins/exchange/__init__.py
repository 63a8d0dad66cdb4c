"""Code shared by the venue and the feed of ccxt: clients, markets, requests, streams, pages."""
