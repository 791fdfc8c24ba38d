"""What only the ledger needs of VRN."""
