"""The fuzzer's command line: `python -m tests.fuzz --calls 10000 --seed 7 --ranks 3 --world threads`."""

from __future__ import annotations

import argparse
import faulthandler
import json
import secrets
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tests.fuzz.running import PER_UNIVERSE, Growth, Progress, Settings, Ticker, play, program_of, run_as_threads, settings_of
from tests.fuzz.shrinking import failure, shrink
from tests.fuzz.steps import Step
from tests.fuzz.tally import Tally
from tests.worlds.launch import launch

SWITCH_S = 1e-4  # threads take turns more often than usual
CALLS, CALLS_PER_RANK = 60, 20  # of a program, rather fewer than on average
HANG_S = 600  # without an end of one universe's programs: where everybody is, and out
SHRINK_S = 90.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Random programs of valid and invalid calls, checked against the oracle."
    )
    parser.add_argument("--calls", type=int, default=10_000, help="public calls by ranks, at least (default %(default)s)")
    parser.add_argument("--seed", type=int, help="what the programs are (default: drawn, and printed)")
    parser.add_argument("--ranks", type=int, default=3, help="default %(default)s")
    parser.add_argument("--world", choices=["threads", "mpi"], default="threads", help="default %(default)s")
    parser.add_argument("--mode", choices=["fast", "faithful"], help="default: both take turns")
    parser.add_argument("--first", type=int, default=0, help="number of the first program (default %(default)s)")
    parser.add_argument("--programs", type=int, help="how many at most")
    parser.add_argument("--rank-of-mpi", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbits(32)
    if options.rank_of_mpi:
        return rank(options)
    print(f"seed {options.seed}, {options.ranks} ranks, {options.world}", flush=True)
    faulthandler.enable()
    sys.setswitchinterval(SWITCH_S)
    return fuzz(options)


def fuzz(options: argparse.Namespace) -> int:
    """Universe after universe, until there have been enough calls."""
    progress, ticker, growth = Progress(), Ticker(), Growth()
    first, end = options.first, float("inf") if options.programs is None else options.first + options.programs
    run = threads if options.world == "threads" else processes
    while progress.calls < options.calls and first < end:
        settings = settings_of(options.seed, first)
        if options.mode:
            settings = replace(settings, mode=options.mode)
        enough = first + (options.calls - progress.calls) // (CALLS + CALLS_PER_RANK * options.ranks) + 1
        last = int(min(end, enough, (first // PER_UNIVERSE + 1) * PER_UNIVERSE))
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        error = run(options, settings, range(first, last), progress, ticker)
        if error:
            report(options, settings, first, progress, error)
            return 1
        first = last
        growth.look(progress.calls)
    faulthandler.cancel_dump_traceback_later()
    progress.tally.check()
    growth.check()
    seconds = time.monotonic() - ticker.begin
    print(
        f"{progress.calls} calls in {progress.programs} programs, {progress.calls / seconds:.0f} per second: nothing found\n"
        f"{dict(progress.steps.most_common())}\n"
        f"{progress.too_large} states did not fit into memory; {progress.tally.count} measurements of uncertain outcome, deviations "
        + " ".join(f"{deviation:+.1f}" for deviation in progress.tally.deviations())
    )
    return 0


# --- ranks as threads -----------------------------------------------------------------------------------------------------------------


def threads(options: argparse.Namespace, settings: Settings, numbers: range, progress: Progress, ticker: Ticker) -> str:
    """Empty, or how it failed."""

    def make(number: int) -> list[Step]:
        ticker.show(progress)
        return program_of(options.seed, number, options.ranks, settings.tight)

    try:
        run_as_threads([(number, partial(make, number)) for number in numbers], options.ranks, settings, progress)
    except Exception:
        return traceback.format_exc()
    return ""


# --- ranks as processes ---------------------------------------------------------------------------------------------------------------


def processes(options: argparse.Namespace, settings: Settings, numbers: range, progress: Progress, ticker: Ticker) -> str:
    """One launch of all ranks; empty, or how it failed."""
    arguments = ["-m", "tests.fuzz", "--rank-of-mpi", "--seed", str(options.seed)]
    arguments += ["--first", str(numbers.start), "--programs", str(len(numbers))]
    run = launch(options.ranks, arguments, settings.environment(), timeout_s=HANG_S - 60)
    lines = {word: rest for word, _, rest in (line.partition(" ") for line in run.output.splitlines()) if word in ("RESULT", "PROGRAM")}
    if run.code != 0 or "RESULT" not in lines:
        progress.number = int(lines.get("PROGRAM", numbers.start))
        progress.current = program_of(options.seed, progress.number, options.ranks, settings.tight)
        return run.tail()
    if "never received" in run.output or "without undoing" in run.output:
        return "something was left:\n" + run.tail()
    result = json.loads(lines["RESULT"])
    progress.programs += result["programs"]
    progress.calls += result["calls"]
    progress.too_large += result["too_large"]
    progress.steps.update(result["steps"])
    progress.tally.add(Tally(np.array(result["excess"]), np.array(result["variance"]), result["count"]))
    ticker.show(progress)
    return ""


def rank(options: argparse.Namespace) -> int:
    """One rank of a launch."""
    from mpi4py import MPI

    settings, progress = settings_of(options.seed, options.first), Progress()
    numbers = range(options.first, options.first + options.programs)
    listed = [(number, partial(program_of, options.seed, number, MPI.COMM_WORLD.size, settings.tight)) for number in numbers]
    try:
        play(listed, settings.dtype == "complex64", progress, None)
    except BaseException:
        print(f"PROGRAM {progress.number}\nrank {MPI.COMM_WORLD.rank}\n{traceback.format_exc()}", flush=True)
        time.sleep(0.5)  # for the launcher to forward it
        MPI.COMM_WORLD.Abort(1)
    if MPI.COMM_WORLD.rank == 0:
        tally = progress.tally
        numbers = {
            "excess": tally.excess.tolist(),
            "variance": tally.variance.tolist(),
            "count": tally.count,
            "steps": dict(progress.steps),
        }
        print(
            "RESULT",
            json.dumps({"programs": progress.programs, "calls": progress.calls, "too_large": progress.too_large, **numbers}),
            flush=True,
        )
    return 0


# --- what was found -------------------------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace, settings: Settings, first: int, progress: Progress, error: str) -> None:
    """Prints the failure, a smaller program that fails too if there is one, and how to run it again."""
    faulthandler.cancel_dump_traceback_later()
    print(f"{error}\nprogram {progress.number} failed under {settings}")
    alone = failure(progress.current, options.ranks, settings)
    common = f"python -m tests.fuzz --seed {options.seed} --ranks {options.ranks} --world {options.world}" + (
        f" --mode {options.mode}" if options.mode else ""
    )
    if alone is None:
        print(
            "alone, on threads, it does not fail; again with those before it:\n"
            f"{common} --first {first} --programs {progress.number - first + 1}"
        )
        return
    print("smaller, on threads:")
    small = shrink(progress.current, options.ranks, settings, SHRINK_S)
    print(*(f"    {step}," for step in small), sep="\n")
    print(f"which fails with\n{failure(small, options.ranks, settings, attempts=9)}")
    print(f"again:\n{common} --first {progress.number} --programs 1", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.exit(main())
