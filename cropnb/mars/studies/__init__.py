"""What only the ledger needs of Mars."""
