"""`make bench`: NetRaven's backup beside other programs that do the same, in one run."""
