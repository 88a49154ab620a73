"""Talking to devices: plain Python, no Django."""
