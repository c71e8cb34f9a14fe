"""Everything that qmpi raises: one tree.

Each message says what happened, where (rank, call, source line of the user's program) and what to do about it. Nothing has been
touched when an error is raised, unless its text says otherwise.

```
QMPIError
├── InvalidArgument (ValueError)     NotUnitary · RankOutOfRange · TagOutOfRange
├── QubitError                       a qubit cannot be used like this
│   ├── ForeignQubit                 it belongs to another rank
│   ├── FreedQubit                   it has been freed
│   ├── FrozenQubit                  a pending request names it
│   ├── DuplicateQubit               it is given twice
│   ├── NotZero                      a target must be in |0>
│   └── EntangledQubit               it must be in a basis state, or disentangled
├── MessageError                     Truncated · MismatchedMessage · BufferFull · NotReady
├── ObligationError                  UnmatchedInverse · OutstandingCopies
├── CommunicatorError                FoundingError · OutsideUniverse · MismatchedCollective · Closed
├── StateTooLarge (MemoryError)      an entangled state would not fit into QMPI_MEMORY
├── SecondThread                     a rank is one thread
├── Forked                           a rank is one process
├── Deadlock                         ranks wait for each other, and nobody else can wake them
├── OrderError                       QMPI_ORDER: the order of measurements cannot be recorded or replayed
├── WaitTimeout (TimeoutError)       a wait took longer than QMPI_TIMEOUT_S
└── PeerError                        PeerFailed · PeerLeft · RankLost
```
"""

from __future__ import annotations

import sys
import threading
from types import FrameType, TracebackType

_here = threading.local()  # .rank: the universe rank of the calling thread, once there is one


def set_rank(rank: int) -> None:
    """Tells the errors of this thread which rank they come from."""
    _here.rank = rank


def in_ascii(text: str) -> str:
    """The text as it can be printed anywhere: what is not ASCII, such as a letter of a path, as its escape sequence."""
    return text.encode("ascii", "backslashreplace").decode()


def announce(line: str) -> None:
    """Writes a line to standard error in one piece, so that those of several ranks do not mix."""
    sys.stderr.write(in_ascii(line) + "\n")
    sys.stderr.flush()


def is_ours(frame: FrameType) -> bool:
    """Whether it belongs to this package, and not to a program."""
    return bool(frame.f_globals.get("__name__", "").partition(".")[0] == "qmpi")


def user_frame() -> tuple[FrameType | None, str]:
    """The innermost frame outside this package, and the name of the package's function it called."""
    frame: FrameType | None = sys._getframe(1)
    call = ""
    while frame is not None and is_ours(frame):
        name = frame.f_code.co_name
        if name == "__init__" and not isinstance(made := frame.f_locals.get("self"), BaseException):
            call = type(made).__name__
        elif not name.startswith("_"):
            call = name
        frame = frame.f_back
    return frame, call


def source_line() -> str:
    """`file:line` of the user's program that led here."""
    frame, _ = user_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown line"


def line_of(trace: TracebackType | None) -> str:
    """`file:line` of the user's program in a traceback, the innermost."""
    lines = []
    while trace is not None:
        if not is_ours(trace.tb_frame):
            lines.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return lines[-1] if lines else "an unknown line"


class QMPIError(Exception):
    """The root of the tree. Its text is ASCII, whatever is told in it: printing it must not fail where the error should be seen.

    Attributes:
        what: the text without the place.
        rank: universe rank that raised it, or None before there is one.
        call: the qmpi function that was called.
        where: `file:line` of that call in the user's program.
    """

    def __init__(self, what: str) -> None:
        """Adds to `what` where it happened."""
        self.what = in_ascii(what)
        _, self.call = user_frame()
        self.rank: int | None = getattr(_here, "rank", None)
        self.where = source_line()
        rank = "" if self.rank is None else f"rank {self.rank}, "
        separator = "\n" if "\n" in what else " "
        super().__init__(in_ascii(f"{what}{separator}[{rank}{self.call or 'qmpi'} at {self.where}]"))


class InvalidArgument(QMPIError, ValueError):
    """An argument no call could accept."""


class NotUnitary(InvalidArgument):
    """A matrix given as a gate is not unitary."""


class RankOutOfRange(InvalidArgument):
    """A source, destination or root that the communicator does not have."""


class TagOutOfRange(InvalidArgument):
    """A tag outside 0 … 2³¹-1."""


class QubitError(QMPIError):
    """A qubit cannot be used like this."""


class ForeignQubit(QubitError):
    """The qubit belongs to another rank."""


class FreedQubit(QubitError):
    """The qubit has been freed."""


class FrozenQubit(QubitError):
    """A pending request names the qubit."""


class DuplicateQubit(QubitError):
    """One qubit is given twice."""


class NotZero(QubitError):
    """A target must be in |0⟩."""


class EntangledQubit(QubitError):
    """The qubit must be in a basis state, or not entangled with others."""


class MessageError(QMPIError):
    """A message and a receive that found each other do not fit."""


class Truncated(MessageError):
    """The message has more qubits than the target; it stays in the mailbox."""


class MismatchedMessage(MessageError):
    """A copy met a receive for a move, or the other way round; the message stays in the mailbox."""


class BufferFull(MessageError):
    """The receiver's buffer of EPR halves has no room, and the call does not wait for it."""


class NotReady(MessageError):
    """A ready send came before its receive was posted."""


class ObligationError(QMPIError):
    """What must be undone, and how."""


class UnmatchedInverse(ObligationError):
    """There is no operation that this call would undo."""


class OutstandingCopies(ObligationError):
    """The qubit is part of a copy that has not been undone."""


class CommunicatorError(QMPIError):
    """A communicator cannot be used like this."""


class FoundingError(CommunicatorError):
    """The ranks could not be brought together."""


class OutsideUniverse(CommunicatorError):
    """The communicator has ranks that the first one did not have: wrap the largest first."""


class MismatchedCollective(CommunicatorError):
    """The ranks of a communicator made different collective calls."""


class Closed(CommunicatorError):
    """The communicator, or qmpi in this process, has been closed."""


class StateTooLarge(QMPIError, MemoryError):
    """An entangled state would not fit into the memory that qmpi may take."""


class SecondThread(QMPIError):
    """A rank is one thread; another one made a call."""


class Forked(QMPIError):
    """The process was forked from a rank; only the rank itself may act."""


class Deadlock(QMPIError):
    """Ranks wait for each other, and nobody else can wake them. The text lists every one of them: call, arguments, source line.

    All of them get it. What each waited in has been withdrawn, and the communicator is as usable as before.
    """


class OrderError(QMPIError):
    """The order of measurements cannot be recorded or replayed (QMPI_ORDER)."""


class WaitTimeout(QMPIError, TimeoutError):
    """A single wait took longer than QMPI_TIMEOUT_S; what was waited for has been withdrawn where that was possible."""


class PeerError(QMPIError):
    """Another rank is the reason."""


class PeerFailed(PeerError):
    """The peer has given up the operation that this rank waits for."""


class PeerLeft(PeerError):
    """The rank that this one waits for has closed qmpi or ended without answering."""


class RankLost(PeerError):
    """A rank has died; the universe cannot go on."""


class OutstandingWarning(UserWarning):
    """Copies that were never undone; an error under QMPI_STRICT=1."""
