"""What a payload may do: the allow-list, the safe functions, the trust levels, the dry run and its sandbox.

This layer imports no pickle: what it needs of pickles comes from `_payload`.
"""
