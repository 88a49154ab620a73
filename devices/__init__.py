"""WHAT exists, how one talks to it, and which configuration it had."""
