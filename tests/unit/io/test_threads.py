"""The thread pool: results in order, the first error, no threads, forks, and an end."""

import concurrent.futures
import os
import threading
from typing import Any

import pytest

from pickleseal._io import threads
from pickleseal._io.threads import ThreadPool, pays
from pickleseal.errors import SectionChecksumError


def test_several_pieces_pay_if_they_are_large_and_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 2)
    assert pays([1 << 19, 1 << 19])
    assert not pays([1 << 30])
    assert not pays([1 << 10] * 10_000)
    assert not pays([1 << 16, 1 << 16])
    monkeypatch.setattr(threads, "cores", lambda: 1)
    assert not pays([1 << 19, 1 << 19])


def test_work_is_done_in_threads_and_results_come_in_the_order_asked_for() -> None:
    second_is_done = threading.Event()

    def first() -> tuple[int, int]:
        assert second_is_done.wait(10)
        return 1, threading.get_ident()

    def second() -> tuple[int, int]:
        second_is_done.set()
        return 2, threading.get_ident()

    with ThreadPool(2) as pool:
        results = [pool.start(first), pool.start(second)]
        found = [result() for result in results]
    assert [number for number, _ in found] == [1, 2]
    assert threading.get_ident() not in [thread for _, thread in found]


def test_the_function_that_waits_raises_the_error() -> None:
    def fail() -> None:
        raise KeyError("in the thread")

    with ThreadPool(1) as pool:
        result = pool.start(fail)
        with pytest.raises(KeyError, match="in the thread"):
            result()


def test_the_first_check_that_fails_comes_before_a_later_refusal_and_after_an_interrupt() -> None:
    def fail() -> None:
        raise SectionChecksumError("first", None, None, None, "sections[0]")

    def use_pool(then: BaseException) -> None:
        with ThreadPool(1) as pool:
            pool.check_later(pool.start(fail))
            raise then

    with pytest.raises(SectionChecksumError, match="first"):
        use_pool(SectionChecksumError("second", None, None, None, "sections[1]"))
    with pytest.raises(KeyboardInterrupt):
        use_pool(KeyboardInterrupt())


@pytest.mark.parametrize("when", ["no thread starts", "no pool at all"])
def test_without_threads_the_function_that_waits_does_the_work(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("can't start new thread")

    name = "submit" if when == "no thread starts" else "__init__"
    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, name, refuse)
    with ThreadPool() as pool:
        assert pool.start(threading.get_ident)() == threading.get_ident()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_does_the_work_itself() -> None:
    goes_on = threading.Event()
    pool = ThreadPool(1)
    waits = pool.start(lambda: goes_on.wait(60) and "from the thread")
    child = os.fork()
    if not child:
        try:
            goes_on.set()
            right = waits() == "from the thread" and pool.start(threading.get_ident)() == threading.get_ident()
            pool.close()
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    goes_on.set()
    assert waits() == "from the thread"
    pool.close()


def test_closing_drops_what_has_not_begun() -> None:
    begun, goes_on = threading.Event(), threading.Event()
    done: list[int] = []

    def slow() -> None:
        begun.set()
        goes_on.wait(10)

    pool = ThreadPool(1)
    pool.start(slow)
    assert begun.wait(10)
    for number in range(3):
        pool.start(lambda number=number: done.append(number))  # type: ignore[misc]
    timer = threading.Timer(0.05, goes_on.set)
    timer.start()
    pool.close()
    timer.join()
    assert pool.is_stopped
    assert done == []
