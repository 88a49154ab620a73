"""What the commands of all apps share, and the commands of this app."""
