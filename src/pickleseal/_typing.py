"""Type variables and aliases of the public signatures that take `expect=`.

Every such function has the same overloads, in this order, which is what makes each checker take the right one:

1. no `expect`: Any.
2. one class or alias (`Report`, `list[Report]`): that type.
3. a tuple of two, three or four classes: their union.
4. a name, or a tuple of more classes or of unknown length: Any. A text may be read as a type, so this stands before 5.
5. a union (`A | B`, `X | None`): that union, by `TypeForm` (PEP 747). A checker that does not know it takes it for Any.

The overloads and `typing_extensions`, of which every checker brings its own copy, are there for checkers alone: at run
time the package has neither. This module imports nothing of the package.
"""

import os
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import TypeForm as TypeForm
    from typing_extensions import TypeVar

    E = TypeVar("E", default=Any)  # where a checker can't solve it: without a default that would be Never
    T = TypeVar("T", default=Any, covariant=True)  # so that a bare `Reader` is a `Reader[Any]` (PEP 696)
else:
    from typing import TypeVar

    E = TypeVar("E")
    T = TypeVar("T", covariant=True)

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

Data = bytes | bytearray | memoryview
File = str | os.PathLike[str] | BinaryIO
Untyped = str | tuple[type[Any], ...]
