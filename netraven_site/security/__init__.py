"""The door: signing in, tries that fail, sign-ins that last, passwords typed again, limits, and headers."""
