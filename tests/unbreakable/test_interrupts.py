"""What a program does wrong or a user does to it: Ctrl-C, exceptions in blocks, forks, other threads. Each has one clear end, and the
other ranks go on.

No wait that is interrupted would end by itself, and a rank that was stopped goes on only after the interrupt was heard of.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.unbreakable.worlds import Job, start

WAITS = {  # and what holds afterwards
    "receive": ["withdrawn"],
    "receive_from_anybody_into_a_target": ["withdrawn"],
    "send_to_a_full_mailbox": ["withdrawn", "received"],
    "unsend": ["undone"],
    "prepare_epr": ["paired"],
    "barrier": ["together"],
    "barrier_after_its_message_is_sent": ["together"],
    "its_turn_in_measuring": ["together"],
    "request": ["posted"],
    "lock_of_a_component": ["measured"],
    "deadlock_that_the_other_cannot_hear_of": [],
    "many_gates_of_its_own": [],
    "loop_in_python": [],
    "sleep": [],
    "between_calls": [],
}
THREAD_WAITS = [
    "receive",
    "full mailbox",
    "unsend",
    "prepare_epr",
    "barrier",
    "request",
    "founding",
    "classical receive",
    "classical barrier",
    "lock of a component",
    "loop in Python",
    "between calls",
    "sleep",
    "many ranks",
]


@cache
def job(world: str, ranks: int, program: str, *arguments: str) -> Job:
    return start(world, ranks, program, *arguments, timeout_s=60)


# --- Ctrl-C -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WAITS)
def test_a_rank_that_is_interrupted_in_a_wait_raises_at_once_and_leaves_nothing_behind(case: str) -> None:
    done = job("processes", 2, "interrupts.py")
    found = done.of(case)
    assert sorted(found) == [0, 1], done
    interrupted = [facts for facts in found.values() if "error" in facts]
    assert [facts["error"] for facts in interrupted] == ["KeyboardInterrupt"], done
    facts = {name: value for facts in found.values() for name, value in facts.items()}
    assert all(facts.get(name) for name in WAITS[case]), done


@pytest.mark.parametrize("case", WAITS)
def test_after_an_interrupt_the_session_works_as_before(case: str) -> None:
    done = job("processes", 2, "interrupts.py")
    for facts in done.of(case).values():
        assert facts["afterwards"] == facts["talk"] == "", done


def test_interrupted_ranks_end_cleanly() -> None:
    job("processes", 2, "interrupts.py").require_clean_end()


@pytest.mark.parametrize("case", THREAD_WAITS)
def test_ctrl_c_ends_a_run_of_threads_at_once_with_a_keyboard_interrupt_in_every_rank(case: str) -> None:
    done = job("none", 1, "thread_interrupts.py")
    facts = done.of(case)[0]
    asleep = [0] if case == "sleep" else []  # outside qmpi, where nothing can wake it
    assert facts["caught"] == "KeyboardInterrupt", done
    assert facts["alive"] == [f"rank {rank}" for rank in asleep], done
    assert {error for _, error in facts["ended"]} == {"KeyboardInterrupt"}, done


@pytest.mark.parametrize("case", THREAD_WAITS)
def test_after_ctrl_c_another_run_of_threads_works(case: str) -> None:
    done = job("none", 1, "thread_interrupts.py")
    assert done.of(case)[0]["again"] == [0, 0] and done.output == "", done
    done.require_clean_end()


# --- exceptions in blocks, and what is forgotten ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["threads", "processes"])
def test_an_exception_in_the_holder_s_block_reaches_the_owner_with_its_line(world: str) -> None:
    done = job(world, 2, "failures.py")
    owner, holder = done.of("holder raises").values()
    assert holder["error"] == "KeyError" and owner["error"] == "PeerFailed", done
    assert holder["line"] in owner["text"] and "KeyError: 'on purpose'" in owner["text"], done


@pytest.mark.parametrize("world", ["threads", "processes"])
def test_an_exception_in_the_owner_s_block_goes_on_and_the_holder_waits_for_nobody(world: str) -> None:
    done = job(world, 2, "failures.py")
    owner, holder = done.of("owner raises").values()
    assert owner["error"] == "KeyError" and holder["error"] == "", done


@pytest.mark.parametrize("world", ["threads", "processes"])
def test_what_a_program_forgets_to_undo_is_listed_with_its_line_when_its_rank_ends(world: str) -> None:
    done = job(world, 2, "failures.py")
    for rank, side in ((0, "copy sent"), (1, "copy received")):
        line = f"qmpi: rank {rank} leaves without undoing {side} of 1 qubit(s), rank {1 - rank}, tag 0, issued at "
        assert line + done.of("forgotten")[rank]["where"] + "\n" in done.output, done
    done.require_clean_end()


# --- other processes and threads of a rank ---------------------------------------------------------------------------------------------

WAYS = [
    ("threads", ["os._exit", "sys.exit", "uncaught", "multiprocessing", "subprocess"]),
    ("processes", ["os._exit", "sys.exit", "uncaught", "multiprocessing", "subprocess"]),
    ("mpiexec", ["os._exit", "uncaught", "multiprocessing", "subprocess"]),  # after sys.exit mpi4py's own MPI_Finalize may hang in a child
]
FORKS = [(world, way) for world, ways in WAYS for way in ways]


@cache
def forks() -> dict[tuple[str, str], Job]:
    with ThreadPoolExecutor(2) as pool:
        running = {(world, way): pool.submit(start, world, 2, "forks.py", way, timeout_s=40) for world, way in FORKS}
        return {key: done.result() for key, done in running.items()}


@pytest.mark.parametrize(("world", "way"), [key for key in FORKS if key[1] != "subprocess"])
def test_a_forked_child_of_a_rank_is_refused_every_call(world: str, way: str) -> None:
    done = forks()[world, way]
    child = done.of(way)[100]
    assert {error for name, error in child.items() if name != "case"} == {"Forked"} and len(child) > 15, done


@pytest.mark.parametrize(("world", "way"), FORKS)
def test_a_child_of_a_rank_ends_and_does_not_disturb_it(world: str, way: str) -> None:
    done = forks()[world, way]
    found = done.of(way)
    assert found[0]["status"] == (1 if way == "uncaught" else 0), done
    assert found[0]["talk"] == found[1]["talk"] == "", done
    done.require_clean_end()


@pytest.mark.parametrize("calls", ["objects", "COMM_WORLD"])
@pytest.mark.parametrize("world", ["threads", "mpiexec"])
def test_a_second_thread_of_a_rank_is_refused_every_call(world: str, calls: str) -> None:
    done = job(world, 2, "second_threads.py")
    found = done.of(calls)[100]
    assert {error for name, error in found.items() if name != "case"} == {"SecondThread"} and len(found) > 5, done


@pytest.mark.parametrize("world", ["threads", "mpiexec"])
def test_a_second_thread_of_a_rank_does_not_disturb_it(world: str) -> None:
    done = job(world, 2, "second_threads.py")
    assert done.of("thread")[0]["ended"] and all(facts["error"] == "" for facts in done.of("together").values()), done
    done.require_clean_end()


@pytest.mark.parametrize("world", ["processes", "mpiexec"])
def test_a_rank_whose_thread_has_ended_has_left_and_has_not_died(world: str) -> None:
    done = job(world, 2, "founding_thread.py")
    assert done.of("goes on")[1]["error"] == "PeerLeft", done
    done.require_clean_end()
