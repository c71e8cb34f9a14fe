"""Every rank prints errors that it has caught; what is told in them has letters of every kind. The path of this file may have, too."""

import qmpi
from qmpi import errors, h

comm = qmpi.COMM_WORLD
q = comm.alloc(2)
for call in (
    lambda: comm.send(q[0], 7),
    lambda: comm.send(q[0], 0, tag=-1),
    lambda: comm.send(q[0], "größer ⟩"),
    lambda: comm.mpi.send(1, 7) if comm.mpi.__class__.__module__.startswith("qmpi") else qmpi.gates.unitary([[2, 0], [0, 1]], q[0]),
    lambda: comm.prepare_epr(q[0], "…"),
    lambda: qmpi.StateVector(comm, 3).h(9),
    lambda: qmpi.measure((q[0], h)),
):
    try:
        call()
    except errors.QMPIError as error:
        print(error)
    except TypeError as error:
        print("no error of ours:", ascii(str(error)))
errors.announce("announced: … ü ⟩")
print(f"rank {comm.rank} is done")
