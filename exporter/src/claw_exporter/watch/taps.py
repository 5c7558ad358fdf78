"""How an object of a driver is watched: its class is wrapped once, and asks the object who listens.

Not by a wrapper on the object itself, which would hold the object's own method: that is a cycle, and the
sockets of a pool that nobody closed would wait for the garbage collector. Not by a class of our own: the
object would have another type. So every object of a driver pays for one look-up, watched or not, as soon as
one of its class is watched; what listens is forgotten together with the object.
"""

# Any: no driver is imported, and what they are given may be anything.
# ruff: noqa: ANN401

from __future__ import annotations

import functools
from threading import RLock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["OPERATIONS", "WAITS", "Listener", "add", "is_inner", "tell", "wrap"]

OPERATIONS: Final = "_claw_operations"
WAITS: Final = "_claw_waits"
_WRAPPED: Final = "_claw_wrapped"
_lock: Final = RLock()


class Listener(Protocol):
    """What is told. It never raises.

    Attributes:
        open: Whether it still wants to be told.
    """

    open: bool

    def __call__(self, *facts: Any) -> None:
        """Hear of an operation or a wait."""


def add(thing: Any, kind: str, listener: Listener) -> None:
    """Let a listener hear of what an object does, once; those that are closed are forgotten."""
    with _lock:
        known = getattr(thing, kind, ())
        setattr(thing, kind, (*(one for one in known if one.open and one is not listener), listener))


def tell(
    listeners: Iterable[Listener], operation: str, started: float, error: BaseException | None = None
) -> None:
    """Tell of an operation that ended now; ``started`` is of ``time.perf_counter``."""
    seconds = perf_counter() - started
    for listener in listeners:
        listener(operation, seconds, error)


def wrap(kind: type, name: str, make: Callable[[Callable[..., Any], type], Callable[..., Any]]) -> None:
    """Put a wrapper around the method that a class has under a name, once in a process.

    Args:
        kind: The class; it is the one it inherits the method from that is changed.
        name: The method's.
        make: Returns the wrapper, from the method and the class that has it.
    """
    with _lock:
        place = next(base for base in kind.__mro__ if name in vars(base))
        plain = vars(place)[name]
        if not hasattr(plain, _WRAPPED):
            wrapper = functools.wraps(plain)(make(plain, place))
            setattr(wrapper, _WRAPPED, place)
            setattr(place, name, wrapper)


def is_inner(thing: object, name: str, place: type) -> bool:
    """Return whether the method of this class is called by a method of a subclass that is wrapped as well."""
    return getattr(getattr(type(thing), name), _WRAPPED, place) is not place
