"""The latest configurations as files: in a folder, or in a git repository with one commit per run."""
