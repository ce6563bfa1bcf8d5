"""Counts the calls of the public methods of a class, so that none is forgotten."""

import functools
import inspect

_seen = {}


def watch(cls):
    """Counts each public method and property of the class that comes back without an error."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            setattr(cls, name, property(_counted(cls, name, member.fget)))
        elif inspect.isfunction(member):
            setattr(cls, name, _counted(cls, name, member))


def _counted(cls, name, function):
    full_name = f"{cls.__name__}.{name}"
    _seen[full_name] = 0

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*args, **kwargs):
            result = await function(*args, **kwargs)
            _seen[full_name] += 1
            return result

    else:

        @functools.wraps(function)
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            _seen[full_name] += 1
            return result

    return call


def total():
    """How many methods there are."""
    return len(_seen)


def forgotten():
    """The methods that never came back."""
    return sorted(name for name, count in _seen.items() if count == 0)
