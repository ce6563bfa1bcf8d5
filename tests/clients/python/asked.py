"""What the sync and the async client have in common."""

import contextlib
import inspect

import httpx
from memobase.error import ServerError


async def got(value):
    """What a method of either client returned."""
    return await value if inspect.isawaitable(value) else value


@contextlib.contextmanager
def raises(kind, holding=""):
    """Fails unless the block raises this kind of error, and its text holds these words."""
    try:
        yield
    except kind as error:
        assert holding in str(error), f"{error!r} does not tell of {holding!r}"
    else:
        raise AssertionError(f"{kind.__name__} was expected")


def refused(holding=""):
    """An answer with an errno."""
    return raises(ServerError, holding)


def status(code):
    """An answer with this HTTP status, for which the client raises an error of its own."""
    return raises(httpx.HTTPStatusError, f"'{code} ")
