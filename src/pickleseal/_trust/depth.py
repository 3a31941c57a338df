"""How deep the objects of a dry run are nested, where that decides whether the interpreter survives them.

CPython deallocates most containers without recursion, and some (`deque`, `defaultdict`, arrays of objects) with it: a
chain of a few ten thousand overflows the C stack. The longest path through a graph is searched, depth-first and
without recursion. Objects in a cycle count as a chain of all of them (Tarjan's strongly connected components).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from .inert import InertObject
from .meter import too_deep

__all__ = ["check_depth"]


def check_depth(roots: Iterable[Any], max_depth: int) -> None:
    """Refuse graphs of inert objects and containers with a path of more than `max_depth`.

    Raises:
        LimitExceededError: there is one.
    """
    search = _Search(max_depth)
    for root in roots:
        if type(root) in _CONTAINERS or isinstance(root, InertObject):
            search.visit(root)


class _Search:
    """One depth-first search. Nodes are known by their `id`; `_open` keeps alive those that are in work."""

    def __init__(self, max_depth: int) -> None:
        self._most = max_depth
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._height: dict[int, int] = {}  # of nodes whose component is finished
        self._open: list[Any] = []
        self._path: list[tuple[Any, Iterator[Any]]] = []

    def visit(self, root: Any) -> None:
        if id(root) not in self._index:
            self._enter(root, _children(root))
        while self._path:
            node, children = self._path[-1]
            child = next(children, None)
            if child is None:
                self._leave(node)
            elif id(child) not in self._index:
                if below := _children(child):
                    self._enter(child, below)
                else:  # most are leaves
                    self._index[id(child)], self._height[id(child)] = len(self._index), 1
            elif id(child) not in self._height:  # it is above, or in a component with what is above
                self._low[id(node)] = min(self._low[id(node)], self._index[id(child)])

    def _enter(self, node: Any, children: list[Any]) -> None:
        self._index[id(node)] = self._low[id(node)] = len(self._index)
        self._open.append(node)
        self._path.append((node, iter(children)))
        if len(self._path) > self._most:
            raise too_deep(self._most)

    def _leave(self, node: Any) -> None:
        self._path.pop()
        low = self._low[id(node)]
        if self._path:
            above = id(self._path[-1][0])
            self._low[above] = min(self._low[above], low)
        if low == self._index[id(node)]:
            self._finish(node)

    def _finish(self, first: Any) -> None:
        """Close the component that was entered by `first`: its height is its size, and what is below it."""
        members: list[Any] = []
        while not members or members[-1] is not first:
            members.append(self._open.pop())
        own = {id(member) for member in members}
        below = [self._height[id(child)] for node in members for child in _children(node) if id(child) not in own]
        height = len(members) + max(below, default=0)
        if height > self._most:
            raise too_deep(self._most)
        self._height.update(dict.fromkeys(own, height))


_CONTAINERS = list, tuple, dict, set, frozenset


def _children(node: Any) -> list[Any]:
    """Return the containers and inert objects in a node."""
    found = node.parts if isinstance(node, InertObject) else node
    if type(node) is dict:
        found = (*node, *node.values())
    return [child for child in found if type(child) in _CONTAINERS or isinstance(child, InertObject)]
