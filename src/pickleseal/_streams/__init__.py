"""Many artifacts in one file (spec section 9): scan, read, append."""
