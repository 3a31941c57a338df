"""Checks of the state that BUILD gives an object, for unpicklers that set it in Python and not by CPython's own C code.

A state is a dict of attributes, or a pair of it and a dict of slots. Runs no code of the objects.
"""

from typing import Any

from ..errors import UnpickleError

# Attributes that exceptions keep in C, and that a state sets: their own pickling writes some, ours the others.
ERROR_ATTRIBUTES = {
    "builtins:AttributeError": ("name", "args"),
    "builtins:ImportError": ("msg", "name", "path", "name_from"),
    "builtins:NameError": ("name",),
    "builtins:OSError": ("errno", "strerror", "filename", "filename2", "winerror"),
    "builtins:StopIteration": ("value",),
    "builtins:SyntaxError": (
        *("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line"),
    ),
    "builtins:SystemExit": ("code",),
}


def check_state(state: Any) -> None:
    """Check that a state is made of dicts. CPython's unpickler in C checks this; the one in Python does not."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    if not all(part is None or isinstance(part, dict) for part in parts):
        raise UnpickleError("a state is not a dictionary", "a dict, or two", type(state).__name__)


def check_slots(slots: Any) -> None:
    """Check that slots, which BUILD sets one by one, do not change the class of the object."""
    if type(slots) is not dict or "__class__" in slots or "__dict__" in slots:
        found = type(slots).__name__
        raise UnpickleError("a state may set the class of an object", "slots by name", found)
