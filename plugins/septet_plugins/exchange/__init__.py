"""What the venue and the feed of ccxt share: clients, markets, requests, streams, pages."""
