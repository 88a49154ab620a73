"""WHO we log in as: credentials, their encryption, and the guard against lock-outs."""
