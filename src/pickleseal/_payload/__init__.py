"""Pickles as bytes and as objects: opcodes, structure check, static analysis, pickler, unpickler, arrays.

Only this layer imports pickle. It decides nothing about trust.
"""
