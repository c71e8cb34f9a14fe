"""A bar on standard error for what takes longer than a moment. Knows nothing of what is done meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PATIENCE_S = 2  # until it is shown


@contextmanager
def bar(total: float) -> Iterator[Callable[[str, float], None]]:
    """Shows a bar on a terminal, if it takes long enough, and removes it in the end.

    Args:
        total: how much there is to do.

    Returns:
        A context whose value is called with what is done next, and how much has been done since the last call.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = progress.add_task("", total=total)
    timer = Timer(_PATIENCE_S, progress.start)
    timer.start()
    try:
        yield lambda next_one, done: progress.update(task, description=next_one, advance=done)
    finally:
        timer.cancel()
        timer.join()
        if progress.live.is_started:
            progress.stop()
