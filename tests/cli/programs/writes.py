"""Every rank writes many lines to both streams, more of them in threads of its own, and ends in the middle of one."""

import sys
import threading

import qmpi

rank = qmpi.COMM_WORLD.rank


def write(who):
    for stream in (sys.stdout, sys.stderr):
        for k in range(int(sys.argv[1])):
            print("line", k, "of", who, "ä" * 50, file=stream)
        print("end of", who, end="|", file=stream)


thread = threading.Thread(target=write, args=(f"thread {rank}",))
write(f"rank {rank}")
thread.start()
thread.join()
sys.stdout.flush()
sys.stdout.buffer.write(b"bytes of %d|" % rank)
