"""Random reproducible programs with many measurements; rank 0 prints every outcome. Run under one seed, both modes and every run must
print the same. Started by tests/test_seeds.py as `reproducible.py COUNT`.

What makes them reproducible: a barrier between any two steps, so measurements of entangled qubits on different ranks are ordered.
Copies are tampered with before they are undone, so their protocols' random bits show in what is measured later. (Not those of a broadcast:
its ranks undo it at the same time, which orders nothing.)
"""

from __future__ import annotations

import sys

import numpy as np

import qmpi

comm = qmpi.COMM_WORLD


def run(number: int) -> str:
    rng = np.random.default_rng([1109, number])  # what the program is; its outcomes come from QMPI_SEED
    owner = {name: int(rng.integers(comm.size)) for name in range(3)}
    handle = {name: comm.alloc(1)[0] for name, rank in owner.items() if rank == comm.rank}
    part = comm.alloc(1)  # of what all ranks do together
    qmpi.ry(0.3 + comm.rank, part)
    copies: list[tuple[int, int]] = []
    outcomes: list[int] = []

    def rotate(name: int) -> None:
        theta, phi = rng.uniform(0.3, 2.8, 2)
        if name in handle:
            qmpi.ry(theta, handle[name])
            qmpi.rz(phi, handle[name])

    def measure(name: int) -> None:
        bit = qmpi.measure(handle[name]) if name in handle else None
        outcomes.append(comm.mpi.bcast(bit, root=owner[name]))

    for name in owner:
        rotate(name)
    for step in range(14):
        comm.barrier()
        bound = {name for pair in copies for name in pair}
        name = int(rng.choice(sorted(owner)))
        actions = ["copy", "copy", "move", "undo", "undo", "measure", "broadcast", "reduce", "turn"]
        dest, action, new = int(rng.integers(comm.size)), str(rng.choice(actions)), 100 + step
        rotate(name)
        if action == "copy" and len(owner) < 8:
            if name in handle:
                comm.send(handle[name], dest, tag=step)
            if comm.rank == dest:
                handle[new] = comm.recv(tag=step)[0]
            owner[new] = dest
            copies.append((name, new))
            rotate(new)
        elif action == "move" and name not in bound:
            moved = handle.pop(name, None)
            if moved is not None:
                comm.send_move(moved, dest)
            if comm.rank == dest:
                handle[new] = comm.recv_move()[0]
            if moved is not None:
                comm.free(moved)
            del owner[name]
            owner[new] = dest
        elif action == "undo" and copies:
            original, copy = next(pair for pair in reversed(copies) if all(first != pair[1] for first, _ in copies))
            copies.remove((original, copy))
            if copy in handle:
                comm.unrecv(handle[copy])
                comm.free(handle.pop(copy))
            if original in handle:
                comm.unsend(handle[original], owner[copy], copy - 100)
            del owner[copy]
        elif action == "measure" and name not in bound:
            measure(name)
        elif action == "broadcast":
            own, algorithm = handle.get(name), str(rng.choice(["tree", "cat"]))
            register = comm.alloc(1) if own is None else qmpi.Register([own])
            with comm.bcast(register, owner[name], algorithm) as copy:
                qmpi.cp(0.4 + comm.rank, copy, part)
            if own is None:
                comm.free(register)
        elif action == "reduce":
            with comm.reduce(part, op=qmpi.PARITY, root=dest) as parity:
                outcomes.append(comm.mpi.bcast(qmpi.measure(parity[0]) if comm.rank == dest else None, root=dest))
        elif action == "turn":
            letters, strategy = rng.choice(list("XYZ"), comm.size), str(rng.choice(["in-place", "out-of-place", "constant-depth"]))
            comm.pauli_rotation(0.7, str(letters[comm.rank]), part, strategy)
    comm.barrier()
    for name in sorted(owner):  # measuring discharges what is still out
        comm.barrier()
        measure(name)
    rows = comm.measure(qmpi.Register([handle[name] for name in sorted(handle)]) + part)
    comm.barrier()
    mine = qmpi.Register(list(handle.values())) + part
    qmpi.reset(mine)
    comm.free(mine)
    return "".join(map(str, outcomes)) + " " + " ".join("".join(map(str, row)) for row in rows)


for number in range(int(sys.argv[1])):
    line = run(number)
    if comm.rank == 0:
        print(number, line)
comm.close()
