"""The quantum Fourier transform of a register that is spread over all ranks, checked against its closed form.

    mpiexec -n 3 python examples/qft.py --qubits-per-rank 2 --input 5

The gates of the transform are H and controlled phases. A phase does not care which of its two qubits is the control, so the owner of a
qubit broadcasts a copy of it, every rank turns that copy with its own qubits, and the end of the block takes all copies back: (N-1) EPR
pairs and 2(N-1) bits for each qubit. The result stands in reversed order of qubits, as it comes out.
"""

from math import pi

import numpy as np
from arguments import Arguments, whole

import qmpi
from qmpi import Comm, Register, cp, h
from qmpi.gates import x

LARGEST = 14  # qubits whose state is checked


def transform(comm: Comm, q: Register) -> None:
    """Transforms the register that all ranks' q make together; collective."""
    width = len(q)
    for target in reversed(range(comm.size * width)):
        owner, place = divmod(target, width)
        if comm.rank == owner:
            h(q[place])
        with comm.bcast(q[place] if comm.rank == owner else None, root=owner) as copy:
            for control, qubit in enumerate(q, comm.rank * width):
                if control < target:
                    cp(pi / 2 ** (target - control), qubit, copy[0])


def closed_form(number: int, qubits: int) -> "np.ndarray[tuple[int], np.dtype[np.complex128]]":
    """Amplitudes of the transform of a basis state, the index's qubits in reversed order."""
    reversed_index = [int(f"{index:0{qubits}b}"[::-1], 2) for index in range(2**qubits)]
    return np.exp(2j * pi * number * np.array(reversed_index) / 2**qubits) / 2 ** (qubits / 2)


def main() -> None:
    """Transforms a basis state; rank 0 prints how far it is from the closed form."""
    parser = Arguments(__doc__)
    parser.add_argument("--qubits-per-rank", metavar="N", type=whole(1), default=2, help="default 2")
    parser.add_argument("--input", metavar="N", type=whole(0), default=5, help="the basis state, a number (default 5)")
    arguments = parser.parse_args()
    comm = qmpi.COMM_WORLD
    width = arguments.qubits_per_rank
    qubits = comm.size * width
    if qubits > LARGEST:
        parser.error(f"checks at most {LARGEST} qubits, not {qubits}")
    number = arguments.input % 2**qubits
    q = comm.alloc(width)
    for place, qubit in enumerate(q, comm.rank * width):
        if number >> place & 1:
            x(qubit)
    transform(comm, q)
    spent = comm.ledger.total()
    error = np.abs(comm.statevector(q) - closed_form(number, qubits)).max()
    if comm.rank == 0:
        print(f"transform of |{number}⟩ on {qubits} qubits: {'equals' if error < 1e-5 else 'differs from'} the closed form")
        print(f"{spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")


if __name__ == "__main__":
    main()
