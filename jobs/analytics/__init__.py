"""What the login attempts teach: rates, coverage and advice, from counts that are kept up step by step.

`rollup` counts new attempts; everything else reads what it counted and never scans the attempts.
"""
