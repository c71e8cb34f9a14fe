"""A program that ends with a copy never undone and a message never received; with "closes", it closes the communicator first.
Started by tests/test_founding.py."""

import sys

import qmpi

comm = qmpi.COMM_WORLD
q = comm.alloc(2)
if comm.rank == 0:
    comm.send(q[0], 1, tag=3)
    comm.send_move(q[1], 1, tag=4)
else:
    comm.recv(tag=3)
comm.barrier()
if sys.argv[1] == "closes":
    comm.close()
