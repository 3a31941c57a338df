"""Classes that the benchmarks pack. They are here so that they can be imported by name."""

from dataclasses import dataclass


@dataclass
class Job:
    id: int
    name: str
    score: float
    tags: list[str]


@dataclass
class Changed:
    """`Job` after a deploy, with its fields in another order and one field more."""

    name: str
    id: int
    score: float
    tags: list[str]
    priority: int = 5
