"""Composition root of NetRaven: settings, pages and commands that join several apps."""
