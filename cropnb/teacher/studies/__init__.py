"""What the ledger says of the teacher."""
