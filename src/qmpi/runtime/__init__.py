"""One session per rank: it issues messages to the core, waits for them, keeps the ledger and knows what must be undone."""
