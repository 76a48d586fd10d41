"""Work on many items in several processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch

AHEAD = 4
"""Jobs handed to each process before the first of them is waited for."""
Job = TypeVar('Job')
Result = TypeVar('Result')


def in_processes(
    task: Callable[[Job], Result], jobs: Iterable[Job], num_workers: int
) -> Iterator[Result]:
    """Yield the results of jobs in their order.

    Args:
        task: A function of a module, or a ``partial`` of one.
        jobs: Its arguments; they are taken as the processes need them.
        num_workers: Processes, which are spawned, so that the main module must be
            importable; 0 works in this one.

    Raises:
        RuntimeError: A process was killed. Errors of a task are raised as they are.
    """
    if not num_workers:
        yield from map(task, jobs)
        return
    # fork would copy the locks of threads that write and load
    context = get_context('spawn')
    # the processes share the cores: more threads would only wait for each other
    pool = ProcessPoolExecutor(num_workers, context, torch.set_num_threads, (1,))
    ahead: deque[Future] = deque()
    try:
        for job in jobs:
            ahead.append(pool.submit(task, job))
            if len(ahead) >= AHEAD * num_workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            'a process was killed, perhaps for memory: take fewer workers and run the '
            'same command again'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
