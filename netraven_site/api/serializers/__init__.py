"""What the API reads and writes, one file for each area."""
