"""Gates that wait for others while another rank measures what they are entangled with: at any moment, with anything that comes after.

Rank 0 hands a list of gates over at once; rank 1 measures in the middle of it. When exactly is left to chance, of which there is enough.
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

import qmpi
from qmpi import Register, cx, gates, measure, reset, ry, testing
from tests import dense
from tests.oracle import Oracle

RUNS = 150
FILLING = 900  # gates on a qubit of its own: a list of rank 0 takes some 10 us longer, in which nothing else happens

# What rank 0 applies last: names and labels. `a` is entangled with rank 1's `c` only, `p` is on its own, `q` and `r` are entangled.
LAST: dict[str, list[dense.Triple]] = {
    "two others join": [("ryy", (1, 2), (0.8,)), ("rx", (1,), (0.3,))],
    "it joins one of its own": [("ryy", (0, 1), (0.8,)), ("rx", (0,), (0.3,))],
    "it joins others": [("cx", (0, 2), ()), ("rzx", (3, 0), (0.7,))],
    "others go on": [("crx", (2, 3), (0.7,)), ("ryy", (3, 2), (0.4,))],
    "it is exchanged": [("swap", (0, 2), ()), ("rxx", (0, 1), (0.4,))],
    "it controls": [("cry", (0, 2), (0.9,)), ("h", (0,), ())],
}
SMALLER = "what is left is too small to wait"  # `a` is entangled with `p` as well: the same gates act on three qubits, then on two
LAST[SMALLER] = [("ryy", (0, 1), (0.8,)), ("rx", (0,), (0.3,)), ("cx", (1, 0), ())]
OWN = "apqr"


class Moment:
    """When rank 1 measures, in seconds after rank 0 has begun."""

    def __init__(self) -> None:
        self.begun = False
        self.delay_s = 0.0
        self.took_s = 0.0  # rank 0's list


def program(case: str, moment: Moment) -> tuple[int, np.ndarray]:
    comm, outcome = qmpi.COMM_WORLD, 0
    if comm.rank == 0:
        q = comm.alloc(18)
        a, c, p, q_, r, filling = (q[k] for k in range(6))
        large = q[6:]
        for angle, qubit in ((0.9, a), (0.7, q_), (1.1, p)):
            ry(angle, qubit)
        ry(0.3, large)
        cx(a, c)
        if case == SMALLER:
            cx(p, a)
        cx(q_, r)
        for left, right in pairwise(large[:-1]):
            cx(left, right)
        comm.send_move(c, 1)
        testing.flush(comm)
    else:
        theirs = comm.recv_move(source=0)
    comm.barrier()
    if comm.rank == 0:
        cx(large[-2], large[-1])  # from here on the core does without Python's lock
        for k in range(20):
            (gates.rx if k % 2 else gates.ry)(0.1 * k, a)
        for k in range(FILLING):
            gates.rx(0.01 * k, filling)
        for name, places, parameters in LAST[case]:
            getattr(gates, name)(*parameters, *((a, p, q_, r)[k] for k in places))
        begin = time.perf_counter()
        moment.begun = True
        testing.flush(comm)
        moment.took_s = time.perf_counter() - begin
    else:
        while not moment.begun:
            time.sleep(0)
        end = time.perf_counter() + moment.delay_s
        while time.perf_counter() < end:
            pass
        outcome = measure(theirs[0])
    comm.barrier()
    state = comm.statevector(Register([a, p, q_, r]) if comm.rank == 0 else Register())
    comm.barrier()
    if comm.rank == 0:
        reset(Register([a, p, q_, r, filling, *large]))
        comm.free(Register([a, p, q_, r, filling, *large]))
    else:
        reset(theirs)
        comm.free(theirs)
    return outcome, state


def expected(case: str, outcome: int) -> np.ndarray:
    oracle = Oracle()
    for label in "apqrc":
        oracle.add(label)
    for label, angle in (("a", 0.9), ("q", 0.7), ("p", 1.1)):
        oracle.gate("ry", label, angles=[angle])
    oracle.gate("cx", "a", "c")
    if case == SMALLER:
        oracle.gate("cx", "p", "a")
    oracle.gate("cx", "q", "r")
    oracle.reset("c", outcome)
    oracle.remove("c")
    for k in range(20):
        oracle.gate("rx" if k % 2 else "ry", "a", angles=[0.1 * k])
    for gate in LAST[case]:
        oracle.apply(dense.gate_matrix(gate), [OWN[k] for k in gate[1]])
    return oracle.vector("apqr")


@pytest.mark.parametrize("case", LAST)
def test_a_qubit_whose_partner_is_measured_while_its_gates_wait_gets_them(case: str) -> None:
    rng = np.random.default_rng(43)
    right = [expected(case, outcome) for outcome in (0, 1)]
    took_s = 1e-4
    for seed in range(RUNS):
        moment = Moment()
        moment.delay_s = rng.uniform(0, took_s)

        def planned(moment: Moment = moment) -> tuple[int, np.ndarray]:
            with testing.plan_from(qmpi.COMM_WORLD, 3 if case == SMALLER else 2):
                return program(case, moment)

        (_, state), (outcome, _) = qmpi.run(planned, 2, seed=seed)
        took_s = 0.9 * took_s + 0.1 * moment.took_s
        overlap = abs(np.vdot(right[outcome], state)) ** 2
        assert abs(overlap - 1) < 1e-10, f"run {seed}: overlap {overlap} after a delay of {moment.delay_s}"
