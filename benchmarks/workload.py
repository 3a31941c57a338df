"""What the benchmarks pack: classes have to be importable by name."""

from dataclasses import dataclass


@dataclass
class Job:
    id: int
    name: str
    score: float
    tags: list[str]


@dataclass
class Changed:
    """`Job` after a deploy: other order, one field more."""

    name: str
    id: int
    score: float
    tags: list[str]
    priority: int = 5
