"""Functions that are made, not written: each is given its public name, so that tracebacks, reports and `help` show it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def named(
    function: Callable[Arguments, Value], name: str, like: Callable[..., object], doc: str | None, returns: str
) -> Callable[Arguments, Value]:
    """The function under a name of its own.

    Args:
        function: what is called.
        name: its name.
        like: the function whose parameters it takes.
        doc: its docstring.
        returns: what its signature says it returns.

    Returns:
        The function.
    """
    made: Any = function
    made.__module__ = like.__module__
    made.__name__, made.__doc__ = name, doc
    made.__qualname__ = f"{like.__qualname__.rpartition('.')[0]}.{name}"
    made.__code__ = made.__code__.replace(co_name=name)
    made.__annotations__ = like.__annotations__ | {"return": returns}
    made.__signature__ = inspect.signature(like).replace(return_annotation=returns)
    return function
