"""Rules that drop a pair by looking at it alone."""
