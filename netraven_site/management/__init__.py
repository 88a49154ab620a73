"""Management commands of the whole instance."""
