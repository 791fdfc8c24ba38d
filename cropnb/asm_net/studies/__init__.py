"""What the ledger needs beside training: tables, figures, speeds."""
