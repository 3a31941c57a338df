"""Which headers were compared with the classes of this process before, and gave nothing to do: the common case.

Apart from `plan`, which is imported only where there is something to plan.
"""

from collections.abc import Mapping
from operator import is_
from typing import Any

from .registry import Registry

__all__ = ["are_settled", "settle"]

# id(types) -> (types, classes, registry, its generation, drift) for headers of which nothing was found to do. Headers
# of small artifacts are kept, with their `types`, by `format.skeleton`.
_settled: dict[int, tuple[Mapping[str, Any], tuple[Any, ...], Registry, int, str]] = {}
_MOST_SETTLED = 256


def are_settled(types: Mapping[str, Any], resolved: Mapping[Any, Any], registry: Registry, drift: str) -> bool:
    """Tell whether there is nothing to do for a header's classes: this very question was answered before."""
    if not types and not registry._names and drift != "strict":
        return True
    known = _settled.get(id(types))
    return (
        known is not None
        and known[0] is types
        and known[2] is registry
        and known[3] == registry._generation
        and known[4] == drift
        and len(known[1]) == len(resolved)
        and all(map(is_, known[1], resolved.values()))
    )


def settle(
    types: Mapping[str, Any], resolved: Mapping[Any, Any], registry: Registry, generation: int, drift: str
) -> None:
    """Note that there was nothing to do for a header's classes, as the registry was in a generation of it.

    Only for headers of a few kilobytes: their `types` are kept alive.
    """
    if types:
        if len(_settled) >= _MOST_SETTLED:
            _settled.clear()
        _settled[id(types)] = types, tuple(resolved.values()), registry, generation, drift
