"""
The C++ core of qmpi: kernels, gate table, store, mailboxes and sessions.
"""

from collections.abc import Sequence
import enum
from typing import Annotated

import numpy
from numpy.typing import NDArray

from qmpi._core import kernels as kernels


VERSION: str = 'development'

def gate_rows() -> list[tuple[str, int, int, int, str, str]]:
    """
    Rows of the gate table in the order of their codes: (name, parameters, controls, targets, kind, paulis); -1 stands for
    as many as the call gives.
    """

def gate_matrix(code: int, parameters: Sequence[float]) -> Annotated[NDArray[numpy.complex128], dict(shape=(None, None))]:
    """
    Matrix of a gate on its targets, controls left out: complex128, the first target is the least significant bit.
    """

class Verb(enum.Enum):
    copy = 0

    move = 1

    uncopy = 2

    unmove = 3

    note = 6

    bytes = 5

class Failure(enum.Enum):
    none = 0

    truncated = 1

    other_verb = 2

    counts = 3

    abandoned = 4

    memory = 5

class Mode(enum.Enum):
    standard = 0

    buffered = 1

    synchronous = 2

    ready = 3

ANY_SOURCE: int = -1

ANY_TAG: int = -1

class Arena:
    """The shared memory of a node."""

    @staticmethod
    def create(ranks: int, seed: int, faithful: bool, single_precision: bool, memory: int, epr_buffer: int = 64, heap: int = 0) -> Arena: ...

    @staticmethod
    def attach(descriptor: int) -> Arena: ...

    @property
    def descriptor(self) -> int: ...

    @property
    def ranks(self) -> int: ...

    @property
    def seed(self) -> int: ...

    @property
    def faithful(self) -> bool: ...

    @property
    def single_precision(self) -> bool: ...

    @property
    def memory(self) -> int: ...

    @property
    def epr_buffer(self) -> int: ...

    def fail(self, why: str) -> None:
        """
        A rank has failed: from now on every call of every rank raises PeerFailed.
        """

    def interrupt(self) -> None:
        """The same with KeyboardInterrupt."""

    @property
    def forked(self) -> bool:
        """Whether this process is a fork of the one that mapped it."""

    @property
    def ended(self) -> bool: ...

    def next_contexts(self, count: int) -> int: ...

    def leave(self, rank: int) -> bool:
        """
        The rank is done; nothing if it has left already. For ranks that never had a session.
        """

    def postings(self) -> int:
        """How many messages and receives are listed in all mailboxes."""

    def peak_held(self, rank: int) -> int: ...

    def statistics(self) -> dict[str, int]: ...

class Ticket:
    """One operation in flight."""

    def wait(self, seconds: float) -> bool:
        """
        True once it is finished; waits at most `seconds`, and not beyond a signal.
        """

    @property
    def finished(self) -> bool: ...

    def withdraw(self) -> bool:
        """
        Takes back what nobody has matched, or gives up a part; False if it is too late.
        """

    @property
    def untouched(self) -> bool:
        """A part that was given up before anybody had taken notice."""

    @property
    def awaits(self) -> tuple[int, int, int] | None:
        """Until it is finished: peer (universe rank), tag and context."""

    @property
    def operation(self) -> int: ...

    @property
    def source(self) -> int: ...

    @property
    def tag(self) -> int: ...

    @property
    def count(self) -> int: ...

    def take_back(self) -> bool:
        """
        Undoes a message on its way that nobody has received; False if it is too late.
        """

    @property
    def bits(self) -> bytes:
        """Of a part that is over."""

    @property
    def found(self) -> int:
        """What a probe has claimed, for `receive`."""

    def settle(self) -> tuple[int, int, int, int, int]:
        """Once it is finished: frees its qubits for use, and tells what it cost."""

    @property
    def failed(self) -> bool: ...

    @property
    def failure(self) -> Failure: ...

    @property
    def data(self) -> bytes: ...

    @property
    def arrived(self) -> tuple[Qubit, ...]: ...

class Part:
    """
    One rank's part in a collective, put together step by step and then posted as a whole.
    """

    def __init__(self, session: Session) -> None: ...

    def send(self, verb: Verb, qubits: object | None, peer: int, tag: int, exact: bool = False) -> None:
        """
        None sends on what a receive into None has brought. `exact`: waits for its receive; nothing happens if that has another count.
        """

    def receive(self, verb: Verb, qubits: object | None, peer: int, tag: int, exact: bool = False) -> None:
        """None takes whatever comes; once in a part."""

    def meet(self, qubits: object, peer: int, tag: int, condition: int = -1, exact: bool = False) -> None:
        """Left out where bit `condition` is 0."""

    def set_bits(self, first: int, count: int) -> None: ...

    def send_bits(self, first: int, count: int, peer: int, tag: int) -> None: ...

    def receive_bits(self, first: int, count: int, peer: int, tag: int) -> None: ...

    def measure(self, qubits: object, bit: int) -> None:
        """Into bits `bit` and following; the qubits become |0>."""

    def parity(self, qubits: object, bit: int) -> None:
        """CX from the first half onto the second, which is measured: one step."""

    def flip(self, qubits: object, bit: int) -> None:
        """X where the bit is 1."""

    def negate(self, qubits: object, bit: int) -> None:
        """Z where the bit is 1."""

    def exchange(self, qubits: object) -> None:
        """The first half with the second."""

    def add(self, to: int, from_: int, count: int) -> None:
        """bits[to + k] ^= bits[from_ + k]."""

    def fence(self) -> None:
        """What follows waits for all that was posted."""

    def record(self) -> None:
        """The gates called from now on belong to the part."""

    def recorded(self, qubits: object) -> None:
        """They may use these qubits only."""

    def drop_recorded(self) -> None: ...

    def post(self, context: int, operation: int) -> Ticket: ...

class Session:
    """One rank's side of the store."""

    def __init__(self, arena: Arena, rank: int) -> None: ...

    @property
    def rank(self) -> int: ...

    def require_usable(self) -> None:
        """Raises what every call would: Closed, Forked, SecondThread, RankLost."""

    @property
    def closed(self) -> bool: ...

    def close(self) -> int:
        """
        The rank leaves. The last one learns how many messages were never received, others get 0.
        """

    def record_order(self, descriptor: int) -> None:
        """
        Writes a line per measurement, in the order in which they are executed; takes the descriptor over.
        """

    def replay_order(self, recorded: Sequence[tuple[int, bool, int, int]]) -> None:
        """
        Executes measurements in this order of (rank, of a protocol, number, position).
        """

    @property
    def on_discharge(self) -> object: ...

    @on_discharge.setter
    def on_discharge(self, arg: object, /) -> None: ...

    def alloc(self, count: int) -> tuple[Qubit, ...]: ...

    def free(self, qubits: object) -> None: ...

    def require_zero(self, qubits: object) -> None: ...

    def flush(self) -> None: ...

    @property
    def pending(self) -> int: ...

    def discard_pending(self) -> int: ...

    def expectation(self, paulis: str, qubits: object) -> float: ...

    def ids(self, qubits: object) -> list[int]: ...

    def snapshot(self, ids: Sequence[int]) -> list[tuple[list[int], NDArray[numpy.complex128]]]: ...

    def force(self, bits: int, count: int) -> None: ...

    def send(self, verb: Verb, qubits: object, dest: int, context: int, tag: int, operation: int = 0, mode: Mode = Mode.standard) -> Ticket: ...

    def receive(self, verb: Verb, qubits: object | None, source: int, context: int, tag: int, operation: int = 0, wanted: int = 0) -> Ticket:
        """`wanted`: what a probe has claimed."""

    def probe(self, source: int, context: int, tag: int, claims: bool) -> Ticket: ...

    def meet(self, qubits: object, peer: int, context: int, tag: int) -> Ticket: ...

    def send_bytes(self, data: bytes, dest: int, context: int, tag: int) -> None: ...

    def post_bytes(self, data: bytes, dest: int, context: int, tag: int) -> Ticket:
        """
        The same, for who may want to withdraw it; wait for the ticket in the end.
        """

    def disclaim(self, peer: int, context: int, operation: int) -> None:
        """What the peer sends for this operation is dropped."""

    def send_note(self, text: str, dest: int, context: int, tag: int, operation: int) -> None: ...

    def reserve(self, qubits: int) -> bool:
        """
        Room in this rank's buffer for EPR halves that stay; False if less than one slot were left for the rest.
        """

    def give_back(self, qubits: int) -> None: ...

    def wait_any(self, tickets: Sequence[Ticket], seconds: float) -> bool:
        """
        True once one of them is finished; waits at most `seconds`, and not beyond a signal.
        """

    def exchange(self, a: object, b: object) -> None:
        """The contents of as many qubits change places."""

    def publish(self, tickets: Sequence[Ticket], members: Sequence[int], line: str) -> None:
        """
        Tells the watch that this rank waits for one of these; `members` are who can answer a receive from anybody.
        """

    def unpublish(self) -> None: ...

    def look(self, given_up: Sequence[Ticket]) -> None:
        """
        What a waiting rank does now and then; raises RankLost, PeerFailed, or Deadlock or PeerLeft after these were withdrawn.
        """

    def receive_bytes(self, source: int, context: int, tag: int) -> Ticket: ...

    def set_threads(self, threads: int) -> None:
        """
        How many threads of this process, the caller among them, work on what is large.
        """

    def set_planned_from(self, qubits: int) -> None:
        """Gates on components of at least so many qubits are planned together."""

    def hire(self) -> int:
        """Sees to it that these threads are there; how many they are."""

    @property
    def gate_counts(self) -> list[int]: ...

    @property
    def measurements(self) -> int: ...

    @property
    def held(self) -> int: ...

    @property
    def peak_held(self) -> int: ...

class Qubit:
    """
    A place in this rank's quantum memory. It never changes its owner; what it holds may travel.
    """

    @property
    def frozen(self) -> bool:
        """True while a pending request names it."""

    @property
    def freed(self) -> bool:
        """True once it has been freed (or qmpi closed)."""

    @property
    def _obliged(self) -> bool: ...

    @_obliged.setter
    def _obliged(self, arg: bool, /) -> None: ...

    @property
    def _session(self) -> Session: ...

    def __len__(self) -> int: ...

    def __eq__(self, arg: object | None, /) -> bool: ...

    def __hash__(self) -> int: ...

    def __repr__(self) -> str: ...

def call_site() -> int:
    """
    The innermost line of the user's program, as a number that `describe_site` reads.
    """

def describe_site(site: int) -> str:
    """`file:line` of a call site."""

def qubits_of(operand: object | None) -> tuple[Qubit, ...]:
    """
    The qubits of an operand: a Qubit, a Register, or a list or tuple of these. A TypeError for anything else.
    """

def apply_one(code: int, qubit: object | None) -> None: ...

def rotate_one(code: int, theta: float, qubit: object | None) -> None: ...

def apply_two(code: int, a: object | None, b: object | None) -> None: ...

def apply(code: int, parameters: Sequence[float], operands: tuple[object, ...]) -> None: ...

def apply_controlled(code: int, parameters: Sequence[float], controls: object | None, target: object | None) -> None: ...

def apply_unitary(matrix: Annotated[NDArray[numpy.complex128], dict(shape=(None, None), order='C', device='cpu', writable=False)], qubits: object | None) -> None: ...

def apply_pauli(theta: float, paulis: str, qubits: object | None) -> None: ...

def measure(qubit: object) -> int: ...

def reset(qubit: object) -> None: ...

def probability(qubit: object) -> float: ...

class World:
    """Is, for each thread, that thread's world communicator."""

    def __getattribute__(self, name, /):
        """Return getattr(self, name)."""

    def __setattr__(self, name, value, /):
        """Implement setattr(self, name, value)."""

    def __delattr__(self, name, /):
        """Implement delattr(self, name)."""

    def __init__(self, first_use: object) -> None: ...

    def __enter__(self) -> object: ...

    def __exit__(self, *args) -> object: ...

    def __repr__(self) -> str: ...

def set_world(communicator: object | None) -> None:
    """Says what COMM_WORLD is in the calling thread; None: not founded yet."""

class Gates:
    """A checked list of gates on n qubits."""

    @property
    def n(self) -> int: ...

    @property
    def digest(self) -> int:
        """64 bits that tell lists apart, the same in all processes."""

    def __len__(self) -> int: ...

def parse_gates(n: int, gates: object) -> Gates:
    """Checks a list of (name, qubits, parameters)."""

class Circuit:
    """Gates on bits, merged as they come."""

    def __init__(self, n: int, layout: Sequence[int]) -> None: ...

    def add(self, gates: Gates) -> None: ...

    def restore_order(self) -> None: ...

    def segments(self, global_bits: int, free_choice: bool) -> list[tuple[int, list[int]]]:
        """Pairs of the bits that are global and the actions that run meanwhile."""

    def localised(self, actions: Sequence[int], place: Sequence[int], local_bits: int, node: int, scalar: complex) -> Circuit: ...

    @property
    def widest(self) -> int:
        """Most bits that one action mixes."""

    @property
    def scalar(self) -> complex: ...

    @property
    def layout(self) -> list[int]: ...

    @property
    def empty(self) -> bool: ...

    def __len__(self) -> int: ...

def vector_draws(seed: int, context: int, vector: int, number: int, count: int) -> Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C')]:
    """Uniform in [0, 1): a function of these numbers and of the position."""

class Plan:
    """A circuit's programs, each one pass over memory."""

    @property
    def layout(self) -> list[int]: ...

    def __len__(self) -> int: ...

    @property
    def bytes(self) -> int: ...

class Vector:
    """2^n amplitudes in the arena."""

    def __init__(self, arena: Arena, bits: int, single_precision: bool, workers: int) -> None: ...

    @property
    def bits(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def amplitudes(self) -> NDArray[numpy.complex128] | NDArray[numpy.complex64]:
        """The amplitudes themselves."""

    def clear(self, first_is_one: bool) -> None: ...

    def plan(self, circuit: Circuit, tile_bits: int = 0, run_bits: int = 0, chunk_bits: int = 0, near_bits: int = 0) -> Plan:
        """Bits that are 0 are chosen for this machine."""

    def run(self, plan: Plan) -> None:
        """Where an interrupt ends it, it goes on when it is run again."""

    def weights(self, mask: int) -> tuple[float, float]: ...

    def multiply(self, bit: int, zero: float, one: float) -> None: ...

    def expectations(self, masks: Sequence[tuple[int, int]]) -> list[float]: ...

    def sample(self, targets: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', writable=False)]) -> Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C')]: ...

    def marginal(self, bits: Sequence[int]) -> Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C')]: ...

def uniform_draw(seed: int, protocol: bool, rank: int, number: int, position: int) -> float: ...
