"""`qmpi.run`: what it gives each rank, what it gives back, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import qmpi
from qmpi import errors, testing
from qmpi.world.program import run_program
from qmpi.world.settings import _cgroup_limits


def pair() -> int:
    """What this rank measures of a pair, or 0."""
    comm = qmpi.COMM_WORLD
    q = comm.alloc()
    if comm.rank < 2:
        comm.prepare_epr(q, 1 - comm.rank)
    return int(comm.measure(q)[comm.rank][0])


def test_a_run_returns_what_each_rank_returned_in_rank_order():
    assert qmpi.run(lambda x: (qmpi.COMM_WORLD.rank, qmpi.COMM_WORLD.size, x), 5, "given") == [(rank, 5, "given") for rank in range(5)]


def test_runs_share_nothing_and_one_may_be_inside_another():
    def outer() -> tuple[int, list[int]]:
        inner = qmpi.run(pair, 3, seed=qmpi.COMM_WORLD.rank)
        return pair(), inner

    results = qmpi.run(outer, 2, seed=1)
    assert [result for result, _ in results] == qmpi.run(pair, 2, seed=1)
    assert [inner for _, inner in results] == [qmpi.run(pair, 3, seed=0), qmpi.run(pair, 3, seed=1)]
    assert {tuple(qmpi.run(pair, 2, seed=seed)) for seed in range(20)} == {(0, 0), (1, 1)}


def test_arguments_override_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QMPI_MODE", "faithful")
    monkeypatch.setenv("QMPI_DTYPE", "complex64")

    def in_force() -> tuple[str, bool, int, bool, float | None]:
        qmpi.COMM_WORLD.alloc()
        settings = testing.settings(qmpi.COMM_WORLD)
        return settings.mode, settings.single_precision, settings.memory, settings.strict, settings.timeout_s

    assert qmpi.run(in_force, 1, mode="fast", memory="64M", strict=True, timeout_s=2.5) == [("fast", True, 2**26, True, 2.5)]
    assert qmpi.run(in_force, 1, dtype="complex128", memory="1G", strict=False) == [("faithful", False, 2**30, False, None)]


@pytest.mark.parametrize(
    ("ranks", "settings", "message"),
    [
        (0, {}, "from 1 to 4096, not 0"),
        (4097, {}, "from 1 to 4096, not 4097"),
        (2.0, {}, "whole number"),
        (2, {"seed": -1}, "QMPI_SEED must be"),
        (2, {"mode": "slow"}, "QMPI_MODE must be"),
        (2, {"memory": "much"}, "QMPI_MEMORY must be"),
        (2, {"timeout_s": 0}, "QMPI_TIMEOUT_S must be"),
    ],
)
def test_what_cannot_be_is_refused_before_any_rank_starts(ranks, settings, message):
    with pytest.raises(errors.InvalidArgument, match=message):
        qmpi.run(lambda: pytest.fail("a rank ran"), ranks, **settings)


def test_the_first_failure_is_raised_with_its_rank_and_ends_the_others():
    told: dict[int, BaseException] = {}

    def program() -> None:
        comm = qmpi.COMM_WORLD
        if comm.rank == 1:
            comm.barrier()
            raise ZeroDivisionError("on purpose, with an umlaut: ü" + 300 * "é")
        try:
            comm.barrier()
            comm.recv(source=1) if comm.rank else comm.mpi.recv(source=1)
        except errors.PeerFailed as error:
            told[comm.rank] = error
            raise

    with pytest.raises(ZeroDivisionError) as caught:
        qmpi.run(program, 3)
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["raised by rank 1 of 3"]
    assert sorted(told) == [0, 2] and all("rank 1 has failed: ZeroDivisionError" in str(error) for error in told.values())


def test_a_thousand_ranks_exchange_qubits_with_their_neighbours_in_little_memory():
    program = r"""
import re, qmpi
def ring():
    comm = qmpi.COMM_WORLD
    q = comm.alloc(4)
    qmpi.h(q[0])
    for k in range(3):
        qmpi.cx(q[k], q[k + 1])
    arriving = comm.irecv_move(source=(comm.rank - 1) % comm.size)
    comm.send_move(q[3], (comm.rank + 1) % comm.size)
    theirs = arriving.wait()
    return sum(qmpi.measure(q[:3])) + qmpi.measure(theirs[0])
counts = qmpi.run(ring, 1000, seed=1)
assert set(counts) == {0, 1, 3, 4} and 2 not in counts, set(counts)
assert sum(counts) % 4 == 0
# Not ru_maxrss: a child inherits its parent's.
print(int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read()).group(1)) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300, "MiB"


def test_a_program_has_globals_lines_and_classes_of_its_own_in_every_thread(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "program.py"
    file.write_text(
        "import qmpi\n"
        "comm = qmpi.COMM_WORLD\n"
        "class Message:\n"
        "    rank = comm.rank\n"
        "for k in range(20):\n"
        "    print('rank', comm.rank, 'of', comm.size)\n"
        "others = comm.mpi.allgather(Message())\n"
        "assert all(type(other) is Message for other in others)  # by name, as between processes\n"
        "assert __name__ == '__main__' and __file__.endswith('program.py')\n"
        "raise SystemExit(comm.rank)\n"
    )
    main, path, arguments = sys.modules["__main__"], list(sys.path), sys.argv
    try:
        assert run_program(str(file), [], 3) == 2
    finally:
        sys.modules["__main__"], sys.path[:], sys.argv = main, path, arguments
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(f"rank {rank} of 3" for rank in range(3) for _ in range(20))


def test_memory_is_bounded_by_every_control_group_that_the_process_lies_in(tmp_path: Path):
    own = tmp_path / "cgroup"
    own.write_text("0::/slurm/job_7/step_0\n")
    root = tmp_path / "fs"
    found = [str(path.relative_to(root)) for path in _cgroup_limits(root, own)]
    assert found == ["slurm/job_7/step_0/memory.max", "slurm/job_7/memory.max", "slurm/memory.max", "memory.max"]
    own.write_text("5:cpu:/a\n4:memory:/b\n")
    assert [str(path.relative_to(root)) for path in _cgroup_limits(root, own)] == [
        "memory/b/memory.limit_in_bytes",
        "memory/memory.limit_in_bytes",
    ]


def test_another_rank_s_qubit_is_foreign_although_the_memory_is_shared():
    shared: list[qmpi.Register] = [qmpi.Register()] * 2

    def program() -> None:
        comm = qmpi.COMM_WORLD
        shared[comm.rank] = comm.alloc(2)
        comm.barrier()
        other = shared[1 - comm.rank]
        for call in (qmpi.gates.h, qmpi.measure, qmpi.reset, comm.free, lambda q: qmpi.cx(q, q), lambda q: comm.send(q, 0)):
            with pytest.raises(errors.ForeignQubit):
                call(other[0] if call in (qmpi.measure, qmpi.reset) else other)
        with pytest.raises(errors.ForeignQubit):
            qmpi.cx(shared[comm.rank][0], other[0])
        comm.barrier()
        comm.free(shared[comm.rank])

    qmpi.run(program, 2)


def test_the_first_gates_of_many_ranks_may_come_at_the_same_moment():
    program = """
import sys, qmpi
sys.setswitchinterval(1e-6)
def first():
    q = qmpi.COMM_WORLD.alloc(2)
    qmpi.COMM_WORLD.mpi.Barrier()
    qmpi.cx(q[0], q[1])
qmpi.run(first, 8)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.timeout(30)
def test_wrapping_a_communicator_waits_for_nobody_and_meets_no_message_of_the_program():
    """Some ranks come to qmpi before a classical collective, some after it: each call of it gets the program's own messages."""

    def program() -> tuple[list[str], int]:
        comm = qmpi.COMM_WORLD
        told = []
        for k in range(3):
            early = qmpi.Comm(comm.mpi) if (comm.rank + k) % 3 == 0 else None
            told.append(comm.mpi.bcast(f"round {k}" if comm.rank == 1 else None, root=1))
            with early or qmpi.Comm(comm.mpi) as again:
                q = again.alloc(1)
                if again.rank == 0:
                    qmpi.gates.x(q)
                with again.bcast(q, root=0):
                    told.append(str(int(qmpi.probability(q[0]))))
                qmpi.reset(q)
                again.free(q)
        return told, pair()

    (first, *others) = qmpi.run(program, 4, seed=3)
    assert first[0] == ["round 0", "1", "round 1", "1", "round 2", "1"] and [told for told, _ in others] == [first[0]] * 3
