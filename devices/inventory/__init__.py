"""Import and export of the inventory as CSV: one set of rules for the command, the admin and the API."""
