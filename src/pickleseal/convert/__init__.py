"""Bare pickles into artifacts and back (spec section 12, adopting). Nothing is run."""
