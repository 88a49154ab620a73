"""Who is measured: each program fetches the configuration of every device of a fleet."""
