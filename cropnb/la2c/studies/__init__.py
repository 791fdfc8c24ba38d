"""What only the ledger needs of LA2C."""
