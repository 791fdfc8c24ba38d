"""What only the ledger needs of GAIC."""
