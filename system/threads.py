"""Work on several threads."""

import collections
from concurrent.futures import Executor
from typing import Any, Callable, Iterable, Iterator


def in_order(
    pool: Executor, function: Callable[..., Any], items: Iterable[Any], *, ahead: int
) -> Iterator[Any]:
    """Yields `function(item)` for the items in their order; works on at most `ahead` at once."""
    pending: collections.deque = collections.deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
