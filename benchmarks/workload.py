"""What the benchmarks pack: classes have to be importable by name."""

from dataclasses import dataclass


@dataclass
class Job:
    id: int
    name: str
    score: float
    tags: list[str]
