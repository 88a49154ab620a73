"""The panels of the portal: what the admin shows of each model, and the pages that join several apps."""
