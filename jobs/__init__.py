"""WHEN, and what happened: jobs, runs, results and attempts."""
