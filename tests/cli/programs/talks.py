"""Two ranks make one call of each kind. The test of the log knows its lines by their comments."""

import qmpi
from qmpi import cx, h, measure

comm = qmpi.COMM_WORLD
q = comm.alloc()  # alloc
if comm.rank == 0:
    h(q)  # gate
    comm.send(q, dest=1, tag=5)  # send
    comm.unsend(q)  # unsend
    with comm.send_move(q, 1):  # move
        pass
    try:
        cx(q, q)  # refused
    except qmpi.QMPIError as error:
        print(error)
elif comm.rank == 1:
    copy = comm.recv(source=0, tag=qmpi.ANY_TAG)  # recv
    comm.unrecv(copy)  # unrecv
    with comm.recv_move(source=0):  # moved
        pass
    request = comm.irecv(source=0)  # irecv
    request.test()  # test
    request.cancel()  # cancel
qmpi.reset(q)  # reset
qmpi.probability(q[0])  # probability
qmpi.gates.rx(0.5, q)  # rotation
measure(q)  # measure
comm.measure(q)  # collective
