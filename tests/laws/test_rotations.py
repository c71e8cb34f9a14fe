"""comm.pauli_rotation is exp(-iθ/2 P), in every strategy, wherever the auxiliary is, in every branch, and at the price it promises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab

STRATEGIES = ["in-place", "out-of-place", "constant-depth"]
# This rank's letters, of so many ranks; ranks may have no qubits at all, or only I.
STRINGS = {
    "X everywhere": lambda rank, size: "X",
    "all letters": lambda rank, size: ("XY", "ZI", "YX", "Z")[rank],
    "every other rank": lambda rank, size: ("YZ", "II", "X", "I")[rank],
    "not the first": lambda rank, size: "I" if rank == 0 else ("Y", "ZX", "X")[rank - 1],
    "one rank": lambda rank, size: "XZY" if rank == size - 1 else "I",
    "no rank": lambda rank, size: "II",
    "empty registers": lambda rank, size: ("", "ZY", "", "X")[rank],
    "one rank, the others empty": lambda rank, size: "YX" if rank == size - 1 else "",
}


@pytest.fixture
def rng() -> np.random.Generator:
    """One seed is enough: each test does its work several times."""
    return np.random.default_rng([2105, 1109, 7])


def names(rank: int, letters: str) -> list[str]:
    return [f"q{rank}{k}" for k in range(len(letters))]


def entangled(lab: Lab, strings: list[str]) -> None:
    """A random state of all ranks' qubits, and of one more."""
    everything = [name for rank, letters in enumerate(strings) for name in names(rank, letters)]
    for rank, letters in enumerate(strings):
        if letters:
            lab.alloc(rank, *names(rank, letters))
    lab.alloc(lab.comm.size - 1, "more")
    half = len(everything) // 2
    for a, b in zip(everything[:half], everything[half : 2 * half], strict=True):
        lab.entangle(a, b)
    for rank, letters in enumerate(strings):
        mine = names(rank, letters) + (["more"] if rank == lab.comm.size - 1 else [])
        if mine:
            lab.scramble(*mine)


def rotate(lab: Lab, theta: float, strings: list[str], *arguments: Any, waits: bool = True, **named: Any) -> None:
    """On the ranks and in the oracle."""
    mine = strings[lab.comm.rank]
    q = lab.register(*names(lab.comm.rank, mine))
    if waits:
        lab.comm.pauli_rotation(theta, mine, q, *arguments, **named)
    else:
        lab.comm.ipauli_rotation(theta, mine, q, *arguments, **named).wait()
    turn(lab, theta, strings)
    lab.check(global_phase=len(ranks_of(strings)) > 0)


def turn(lab: Lab, theta: float, strings: list[str]) -> None:
    """In the oracle, as cos(θ/2) - i sin(θ/2) P."""
    labels = [name for rank, letters in enumerate(strings) for name in names(rank, letters)]
    image = lab.oracle.copy()  # P, applied
    for letter, label in zip("".join(strings), labels, strict=True):
        if letter != "I":
            image.gate(letter.lower(), label)
    lab.oracle.tensor = np.cos(theta / 2) * lab.oracle.tensor - 1j * np.sin(theta / 2) * image.tensor


def ranks_of(strings: list[str]) -> list[int]:
    return [rank for rank, letters in enumerate(strings) if letters.strip("I")]


def price(strategy: str, ranks: list[int], auxiliary: int | None) -> tuple[int, int]:
    """EPR pairs and bits, as the docstring has them."""
    k = len(ranks)
    if k < 2:
        return 0, 0
    if strategy == "in-place":
        return 2 * (k - 1), 4 * (k - 1)
    pairs = k - 1 if auxiliary is None or auxiliary in ranks else k
    return pairs, 3 * pairs - (strategy == "constant-depth")


def rotate_at_its_price(lab: Lab, strings: list[str], strategy: str, auxiliary: int | None, taking_part: list[int], **named: Any) -> None:
    """By some angle; nothing is kept of it."""
    comm = lab.comm
    held, before = testing.qubits_held(comm), comm.ledger.total()
    rotate(lab, float(lab.rng.uniform(-7, 7)), strings, strategy, auxiliary, **named)
    after = comm.ledger.total()
    spent = after.epr_pairs - before.epr_pairs, after.classical_bits - before.classical_bits
    assert spent == price(strategy, taking_part, auxiliary)
    assert testing.qubits_held(comm) == held and not testing.outstanding(comm)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("string", STRINGS)
def test_a_rotation_is_the_exponential_of_its_string_at_its_price_wherever_its_auxiliary_is(lab: Lab, string: str, strategy: str) -> None:
    size = lab.comm.size
    strings = [STRINGS[string](rank, size) for rank in range(size)]
    entangled(lab, strings)
    for auxiliary in (None, *range(size)):
        rotate_at_its_price(lab, strings, strategy, auxiliary, ranks_of(strings))
    lab.give_up()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("string", STRINGS)
def test_who_knows_the_ranks_need_not_ask_and_need_not_wait(lab: Lab, string: str, strategy: str) -> None:
    """By default all ranks take part; one whose string is only I lends a qubit in |0⟩."""
    size = lab.comm.size
    strings = [STRINGS[string](rank, size) for rank in range(size)]
    entangled(lab, strings)
    letters = ranks_of(strings)
    some = sorted({*letters, int(lab.rng.integers(size))})
    for waits, ranks in ((True, letters), (True, some), (False, letters), (False, some[::-1]), (False, None)):
        auxiliary = [None, *range(size)][lab.rng.integers(size + 1)]
        rotate_at_its_price(lab, strings, strategy, auxiliary, list(range(size)) if ranks is None else ranks, waits=waits, ranks=ranks)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_rotations_at_once_freeze_their_qubits_until_they_are_done(lab: Lab, strategy: str) -> None:
    comm, size = lab.comm, lab.comm.size
    entangled(lab, ["XZ"] * size)
    q = lab.register(f"q{comm.rank}0", f"q{comm.rank}1")
    first = comm.ipauli_rotation(0.4, "X", q[0], strategy)
    second = comm.ipauli_rotation(1.3, "Z", q[1], strategy, size - 1)
    for qubit in q:
        with pytest.raises(errors.FrozenQubit):
            qmpi.gates.x(qubit)
    qmpi.waitall([second, first])
    turn(lab, 0.4, ["XI"] * size)
    turn(lab, 1.3, ["IZ"] * size)
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rotation_is_undone_by_the_opposite_one_and_twice_pi_is_minus_one(lab: Lab, strategy: str) -> None:
    strings = [STRINGS["all letters"](rank, lab.comm.size) for rank in range(lab.comm.size)]
    entangled(lab, strings)
    before = lab.amplitudes()
    for theta, sign in ((0.83, None), (-0.83, 1), (2 * np.pi, -1), (0.0, -1)):
        rotate(lab, theta, strings, strategy)
        if sign is not None:
            assert abs(lab.amplitudes() - sign * before).max() < lab.tolerance
    lab.give_up()


def test_a_rotation_without_any_qubit_is_legal(lab: Lab) -> None:
    lab.alloc(0, "a")
    lab.scramble("a")
    lab.comm.pauli_rotation(0.3, "", qmpi.Register())
    lab.check()
    lab.give_up()


# --- branches ---------------------------------------------------------------------------------------------------------------------------


def draws(strategy: str, ranks: list[int], helper: int) -> dict[int, int]:
    """How many outcomes each rank draws where protocols are carried out."""
    if strategy == "in-place":  # a bit for each copy that is sent, and one for each that is given back; all this twice
        count = dict.fromkeys(ranks, 0)
        reach = 1
        while reach < len(ranks):
            for position in range(reach, len(ranks), 2 * reach):
                count[ranks[position]] += 2
                count[ranks[position - reach]] += 2
            reach *= 2
        return count
    nodes = [helper, *(rank for rank in ranks if rank != helper)]
    if strategy == "out-of-place":
        return {rank: len(nodes) if rank == helper else 1 for rank in nodes}
    return {rank: 1 + (0 < k < len(nodes) - 1) for k, rank in enumerate(nodes)}  # parities inside the chain; the ends of the cat state


@pytest.mark.modes("faithful")
@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("auxiliary", [None, "last"])
@pytest.mark.parametrize("string", ["X everywhere", "not the first"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_branch_of_a_rotation(lab: Lab, strategy: str, string: str, auxiliary: str | None) -> None:
    comm, size = lab.comm, lab.comm.size
    strings = [STRINGS[string](rank, size) for rank in range(size)]
    if auxiliary == "last" and string == "not the first":
        strings = ["X", *("Y" for _ in range(size - 2)), "I"]  # the auxiliary is on a rank of its own
    ranks, at = ranks_of(strings), size - 1 if auxiliary else None
    if len(ranks) < 2:
        strings, ranks = ["Z", "Y"], [0, 1]
    count = draws(strategy, ranks, ranks[0] if at is None or strategy == "in-place" else at)
    places = [rank for rank in sorted(count) for _ in range(count[rank])]
    branches = list(itertools.product((0, 1), repeat=len(places)))
    if len(branches) > 20:
        branches = [branches[0], branches[-1], *(branches[k] for k in lab.rng.choice(len(branches), 18, replace=False))]
    entangled(lab, strings)
    probe = comm.alloc(1)
    for branch in branches:
        mine = [bit for rank, bit in zip(places, branch, strict=True) if rank == comm.rank]
        mine.append(int(lab.rng.integers(2)))  # what the next measurement finds if the rotation draws as often as it should
        testing.force_outcomes(comm, mine)
        comm.mpi.Barrier()
        rotate(lab, float(lab.rng.uniform(-3, 3)), strings, strategy, at)
        qmpi.h(probe)
        assert qmpi.measure(probe[0]) == mine[-1]
        qmpi.reset(probe)
    comm.free(probe)
    lab.give_up()


# --- refusals -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize(
    "other", [(0.31, "in-place", None), (0.3, "constant-depth", None), (0.3, "in-place", 0)], ids=["angle", "strategy", "auxiliary"]
)
def test_ranks_that_disagree_are_all_told_and_nothing_happened(lab: Lab, other: tuple[Any, ...]) -> None:
    comm = lab.comm
    strings = ["X"] * comm.size
    entangled(lab, strings)
    theta, *rest = other if comm.rank == comm.size - 1 else (0.3, "in-place", None)
    with lab.untouched(), pytest.raises(errors.InvalidArgument, match="disagree"):
        comm.pauli_rotation(theta, "X", lab.register(f"q{comm.rank}0"), *rest)
    rotate(lab, 0.4, strings)
    lab.give_up()


BAD = {
    "letter": (errors.InvalidArgument, "one letter I, X, Y or Z", lambda q: ("x", q)),
    "length": (errors.InvalidArgument, "one letter", lambda q: ("XX", q)),
    "strategy": (errors.InvalidArgument, "knows the strategies", lambda q: ("X", q, "sideways")),
    "auxiliary": (errors.RankOutOfRange, "auxiliary 99", lambda q: ("X", q, "out-of-place", 99)),
    "twice": (errors.DuplicateQubit, "twice", lambda q: ("XX", q + q)),
    "frozen": (errors.FrozenQubit, "", lambda q: ("X", q)),
    "freed": (errors.FreedQubit, "", lambda q: ("X", q)),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_argument_on_one_rank_is_told_to_all_and_nothing_happened(lab: Lab, bad: str) -> None:
    comm, last = lab.comm, lab.comm.size - 1
    strings = ["X"] * comm.size
    entangled(lab, strings)
    error, words, arguments = BAD[bad]
    q, spoilt = lab.register(f"q{comm.rank}0"), comm.alloc(1)
    request = comm.irecv_move(spoilt, comm.rank) if bad == "frozen" else None
    if bad == "freed":
        comm.free(spoilt)
    mine = spoilt if bad in ("frozen", "freed") else q
    with lab.untouched(), pytest.raises(error if comm.rank == last else errors.PeerFailed, match=words or None):
        comm.pauli_rotation(0.3, *(arguments(mine) if comm.rank == last else ("X", q)))
    if request is not None:
        assert request.cancel()
    if bad != "freed":
        comm.free(spoilt)
    rotate(lab, 0.4, strings)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize(
    ("ranks", "error", "words"),
    [([0, 99], errors.RankOutOfRange, "one of ranks, 99"), ([0], errors.InvalidArgument, "rank 1 has 'X', but takes no part")],
    ids=["no such rank", "left out"],
)
@pytest.mark.parametrize("call", ["pauli_rotation", "ipauli_rotation"])
def test_ranks_that_cannot_take_part_are_refused(lab: Lab, call: str, ranks: list[int], error: type[Exception], words: str) -> None:
    strings = ["X"] * lab.comm.size
    entangled(lab, strings)
    with lab.untouched():
        if lab.comm.rank == 1:
            with pytest.raises(error, match=words):
                getattr(lab.comm, call)(0.3, "X", lab.register("q10"), ranks=ranks)
    rotate(lab, 0.4, strings, waits=False)
    lab.give_up()
