"""The process tree of an instance: what starts web and worker, watches them, and stops them in order."""
