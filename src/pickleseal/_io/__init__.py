"""Bytes in and out of files, maps and object stores, below everything that knows headers or pickles."""
