"""Bytes <-> frames, pure: no file, clock, environment variable or pickle. One module for one section of the spec."""
