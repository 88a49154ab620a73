"""The engine under the jobs: the task cluster's processes, its signs of life, and its orderly end."""
