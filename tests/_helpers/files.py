"""File objects that behave as pipes do."""

import io
from typing import Any


class Unseekable(io.RawIOBase):
    """A pipe: it can be read, in pieces of its own choice, and nothing else."""

    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        self._inner, self._most = io.BytesIO(data), most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._inner.read(min(len(buffer), self._most))
        buffer[: len(chunk)] = chunk
        return len(chunk)
