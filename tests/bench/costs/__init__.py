"""What is measured without a fleet: what the database costs, and how long pages take."""
