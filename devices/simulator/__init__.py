"""A fleet of simulated network devices over real SSH and telnet, for the demo, the tests and the benchmark.

Plain Python, no Django. `asyncssh` is needed to run it and is a dependency of development alone, so nothing
is imported here: take `SimDevice` and its friends from `spec`, `SimulatedFleet` from `fleet`.
"""
