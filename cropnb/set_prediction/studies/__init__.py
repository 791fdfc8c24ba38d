"""What only the ledger and the chapter need of set prediction."""
