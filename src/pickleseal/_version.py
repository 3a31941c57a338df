"""The version of the library, for the header of what it writes and for packaging."""

__version__ = "0.1.0"
