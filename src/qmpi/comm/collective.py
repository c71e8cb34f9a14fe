"""How collective operations are posted, completed and undone. What each call means is written beside its plan; steps.py has the language.

A method that returns a `Plan` is the only thing that is written for an operation: `calls` makes of it the call, the call that does not
wait, both inverses and the persistent request. Of all ranks' plans the core gets one part each, and whoever completes a step goes on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar
from zlib import crc32

from .._core import Failure, Part, Qubit, Ticket, Verb, call_site, describe_site
from ..errors import MismatchedCollective, PeerFailed, QMPIError, RankOutOfRange, StateTooLarge, UnmatchedInverse
from ..runtime.obligations import Operation, Side
from ..whole import whole
from ..world.wildcards import IN_PLACE, means
from .naming import named
from .persistent import Persistent
from .register import Register, qubits_of
from .request import Request
from .steps import Places, Plan, Receive, Send, SendBits, Spare, Step, Writer
from .transfer import COLLECTIVE, INVERSE, Transfer

Arguments = ParamSpec("Arguments")
Owner = TypeVar("Owner", bound="Collective")
Value = TypeVar("Value")

Given = dict[str, Any]

_FIRST_TAG = 16  # below: the library's own classical messages


@dataclass(slots=True)
class _Undo:
    """What the inverse of a collective needs.

    Attributes:
        steps: the inverse.
        spares: the qubits that are held until then.
        result: the qubits that the call returned.
        given: the call's arguments by name, registers as tuples of qubits.
    """

    steps: list[Step]
    spares: dict[Spare, Qubit]
    result: tuple[Qubit, ...]
    given: dict[str, Any]


class Collective(Transfer):
    """This rank's side of every collective in a communicator."""

    _collectives: int  # how many have been posted
    _taken: tuple[Qubit, ...] = ()  # for the result of the call that is being put together

    def _post(self, call: str, name: str, plan: Plan, given: Given) -> Request[Register]:
        """Posts this rank's steps; given: what the call was given."""
        number = self._collectives + 1
        operation = self._collective_id(number)
        site = call_site()
        self._check_plan(plan)
        writer = self._writer(name)
        ticket = self._begin(writer, plan.steps, operation)
        self._collectives = number

        def failed() -> None:
            self._give_back(writer.spares.values())
            if plan.allocated:
                self._give_back(plan.result or ())

        def withdrawn() -> None:  # before anybody had taken notice
            failed()
            if self._collectives == number:
                self._collectives -= 1

        def finish() -> Register:
            return self._enter(operation, name, plan, writer.spares, tuple(ticket.arrived), given, site)

        return self._joint_request(call, ticket, finish, site, failed, withdrawn)

    def _collective_id(self, number: int) -> int:
        """The same on all ranks, which call collectives in the same order."""
        return 1 << 63 | self._context >> 2 << 36 | number

    def _check_plan(self, plan: Plan) -> None:
        obligations = self._session.obligations
        obligations.refuse_any(plan.targets, "receiving into it")
        if plan.moves:
            obligations.refuse_any(plan.sources, "moving it away")
        if plan.zero:
            self._session.core.require_zero(plan.zero)

    def _begin(self, writer: Writer, steps: Sequence[Step], operation: int, context: int = COLLECTIVE) -> Ticket:
        """Writes and posts steps; if that fails, the spare qubits that were taken for them are given back."""
        before = set(writer.spares)
        try:
            writer.write(steps)
            return writer.part.post(self._context + context, operation)
        except BaseException:
            self._give_back([writer.spares.pop(spare) for spare in set(writer.spares) - before])
            raise

    def _enter(
        self,
        operation: int,
        name: str,
        plan: Plan,
        spares: dict[Spare, Qubit],
        arrived: tuple[Qubit, ...],
        given: Given,
        site: int,
    ) -> Register:
        """The end of a collective: its result, and what will undo it."""
        result = arrived if plan.result is None else plan.result
        if passing := [spare for spare in spares if not spare.held]:
            self._session.core.free(tuple(spares.pop(spare) for spare in passing))
        if plan.final:
            return Register(result)
        obliges = not plan.moves and len(plan.steps) > 0
        entry = Operation(
            operation,
            Side.JOINT if obliges else Side.JOINT_MOVE,
            self,
            None,
            0,
            tuple(dict.fromkeys(plan.sources + result)),
            site,
            name,
            _Undo(plan.inverse(), spares, result, given),
            frozenset(plan.sources) if obliges else frozenset(),
            result if plan.allocated or plan.result is None else (),
        )
        self._session.obligations.record(entry)
        return Register(result, entry)

    def _post_inverse(self, call: str, operation: Operation) -> Request[None]:
        """This rank's part of undoing a collective."""
        session, undo, site = self._session, operation.undo, call_site()
        if operation.side is Side.JOINT:
            others = [qubit for qubit in operation.qubits if qubit not in operation.originals]
            session.obligations.refuse_others(others, operation, "undoing the copy")
        elif undo.steps:
            session.obligations.refuse_any(operation.qubits, "moving it back")
            session.core.require_zero(tuple(qubit for qubit in operation.qubits if qubit not in undo.result))
        ticket = self._begin(self._writer(operation.name, undo.spares, undo.result), undo.steps, operation.id, INVERSE)

        def finish() -> None:
            if undo.spares:
                session.core.free(tuple(undo.spares.values()))
            session.obligations.close(operation)

        def failed() -> None:  # over in any case: those who waited for this rank have been told
            session.obligations.close(operation)

        return self._joint_request(call, ticket, finish, site, failed)

    def _joint_request(
        self,
        call: str,
        ticket: Ticket,
        finish: Callable[[], Value],
        site: int,
        failed: Callable[[], None] = lambda: None,
        withdrawn: Callable[[], None] | None = None,
    ) -> Request[Value]:
        def complete() -> Value:
            self._session.book.charge(call, site, self._name, ticket.settle())
            if ticket.failed:
                failed()
            self._check_ticket(ticket, call)
            return finish()

        return Request(self._session, ticket, complete, call, site, self._name, withdrawn, cancellable=False)

    def _writer(self, name: str, spares: dict[Spare, Qubit] | None = None, arrived: Places | None = None) -> Writer:
        return Writer(
            Part(self._session.core), self._members, _tag(name), self._session.core.alloc, {} if spares is None else spares, arrived
        )

    def _give_back(self, qubits: Any) -> None:
        for qubit in tuple(qubits):
            with suppress(QMPIError):  # after a failure, what is entangled stays where it is
                self._session.core.free((qubit,))

    def _undo_at_end(self, operation: Operation) -> None:
        if operation.side.joint:
            self._post_inverse("un" + operation.name, operation).block()
        else:
            super()._undo_at_end(operation)

    def _tell(self, operation: Operation, how: str) -> None:
        """Tells those who would wait for this rank's part of the inverse. What the obligations call.

        Args:
            operation: this rank's side.
            how: what became of it, as the end of a sentence about this rank.

        Cost: 0 EPR pairs, 0 bits.
        """
        if not operation.side.joint:
            return super()._tell(operation, how)
        text = f"rank {self.rank}, which called {operation.name} at {describe_site(operation.site)}, {how}"
        core, context = self._session.core, self._context + INVERSE
        for peer in {step.peer for step in operation.undo.steps if isinstance(step, Send | SendBits)}:
            core.send_note(text, self._members[peer], context, _tag(operation.name), operation.id)
        for step in operation.undo.steps:
            if isinstance(step, Receive) and step.verb == Verb.uncopy:  # bits that nobody wants any more
                core.disclaim(self._members[step.peer], context, operation.id)
        return None

    def _matching(self, name: str, given: dict[str, Any], parameters: Sequence[str]) -> Operation:
        """The most recent operation with these arguments. Buffers must be the same, other arguments are checked if given."""
        self._refuse_if_closed()
        found = self._session.obligations.joint(name, self)
        for operation in found:
            if all(_agrees(operation, parameter, given) for parameter in parameters):
                return operation
        hint = f"; there are: {'; '.join(map(str, found))}" if found else ""
        raise UnmatchedInverse(f"there is no open {name} with exactly these arguments in this communicator{hint}")

    def _check_ticket(self, ticket: Ticket, call: str) -> None:
        """Raises what a finished part failed with."""
        if not ticket.failed:
            return
        text = ticket.data.decode(errors="replace")
        if ticket.failure in (Failure.counts, Failure.truncated):
            raise MismatchedCollective(
                f"{call}: another rank has {text} qubit(s) where this one has another number: all must give fitting counts"
            )
        if ticket.failure == Failure.memory:
            raise StateTooLarge(f"{call}: {text}. What the other ranks wait for will not come")
        raise PeerFailed(f"{call}: {text}")

    # --- checks ------------------------------------------------------------------------------------------------------------------

    def _member(self, rank: int, what: str) -> int:
        number = whole(rank)
        if not 0 <= number < self.size:
            raise RankOutOfRange(f"{what} {rank!r} is not one of 0 to {self.size - 1}")
        return number

    def _take(self, count: int) -> tuple[Qubit, ...]:
        """Qubits for a result whose buffer was not given."""
        self._taken = tuple(self._session.core.alloc(count)) if count else ()
        return self._taken

    @contextmanager
    def _or_give_back(self) -> Iterator[None]:
        """A call that is refused in the block keeps nothing that was taken for its result."""
        self._taken = ()
        try:
            yield
        except BaseException:
            self._give_back(self._taken)
            raise


def _tag(name: str) -> int:
    """Different collectives do not mix, even where ranks disagree on which one it is."""
    return _FIRST_TAG + crc32(name.encode()) % 2**30


def _agrees(operation: Operation, parameter: str, given: dict[str, Any]) -> bool:
    before = operation.undo.given.get(parameter)
    if parameter in given and given[parameter] is not None:
        now = given[parameter]
        return bool(now == before or (before is None and now == operation.undo.result))
    return not _is_buffer(parameter) or not isinstance(before, tuple)


def _is_buffer(parameter: str) -> bool:
    return parameter in ("q", "sendq", "recvq") or _is_row(parameter)


def _is_row(parameter: str) -> bool:
    return parameter in ("sendqs", "recvqs")


def _plain(parameter: str, value: Any) -> Any:
    """An argument in a form that can be compared and does not change: operands and rows of them or of numbers as tuples."""
    if means(value, IN_PLACE):
        return IN_PLACE
    if value is None or isinstance(value, str):
        return value
    if _is_row(parameter):
        return tuple(map(qubits_of, value))
    if _is_buffer(parameter):
        return qubits_of(value)
    if isinstance(value, Iterable):
        return tuple(map(whole, value))
    return value if whole(value) < 0 else whole(value)


# --- one plan, five calls ----------------------------------------------------------------------------------------------------------------


def calls(
    plan: Callable[Concatenate[Owner, Arguments], Plan],
) -> tuple[
    Callable[Concatenate[Owner, Arguments], Register],
    Callable[Concatenate[Owner, Arguments], Request[Register]],
    Callable[Concatenate[Owner, Arguments], None],
    Callable[Concatenate[Owner, Arguments], Request[None]],
    Callable[Concatenate[Owner, Arguments], Persistent[Register]],
]:
    """The calls of an operation: blocking, not waiting, both ways of undoing it, and persistent."""
    name = plan.__name__.removeprefix("_")
    signature = inspect.signature(plan)
    parameters = [parameter for parameter in signature.parameters if parameter != "self"]

    def given(self: Owner, args: Any, kwargs: Any) -> Given:
        bound = signature.bind(self, *args, **kwargs).arguments
        return {parameter: _plain(parameter, bound[parameter]) for parameter in parameters if parameter in bound}

    def post(self: Owner, call: str, args: Any, kwargs: Any) -> Request[Register]:
        self._refuse_if_closed()
        with self._or_give_back():
            return self._post(call, name, plan(self, *args, **kwargs), given(self, args, kwargs))

    def undo(self: Owner, call: str, args: Any, kwargs: Any) -> Request[None]:
        return self._post_inverse(call, self._matching(name, given(self, args, kwargs), parameters))

    def do(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Register:
        return post(self, name, args, kwargs).block()

    def ido(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Request[Register]:
        return post(self, "i" + name, args, kwargs)

    def undo_(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        return undo(self, "un" + name, args, kwargs).block()

    def iundo(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Request[None]:
        return undo(self, "iun" + name, args, kwargs)

    def init(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Persistent[Register]:
        self._refuse_if_closed()
        site = call_site()

        def enter(operation: int, writer: Writer) -> Register:
            return self._enter(operation, name, written, writer.spares, (), arguments, site)

        def channel() -> tuple[object, ...]:
            self._collectives += 1
            return name, self._context, self._collectives

        with self._or_give_back():
            written, arguments = plan(self, *args, **kwargs), given(self, args, kwargs)
            if written.allocated:  # what was taken stays with the request
                written.allocated, written.taken = False, written.result or ()
            return Persistent(self, name + "_init", name, channel, written, enter)

    return (
        named(do, name, plan, plan.__doc__, "Register"),
        named(
            ido,
            "i" + name,
            plan,
            f"`{name}` that does not wait; what it names is frozen until the request is finished.",
            "Request[Register]",
        ),
        named(
            undo_,
            "un" + name,
            plan,
            f"`{name}` undone. Buffers must be those of that call; its other arguments are checked if they are given.",
            "None",
        ),
        named(iundo, "iun" + name, plan, f"`{name}` undone, without waiting.", "Request[None]"),
        named(init, name + "_init", plan, f"`{name}` as a persistent request, over EPR pairs shared beforehand.", "Persistent[Register]"),
    )
