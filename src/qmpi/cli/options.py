"""The settings as options of the command line: one row per environment variable, for `qmpi run` to set and `qmpi doctor` to list.

What a value may be is known where it is used; here those places are asked before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .._core import kernels
from ..errors import InvalidArgument, QMPIError
from ..world.settings import Settings, threads_per_rank


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        option: of `qmpi run`.
        variable: of the environment.
        values: what may be given, for people.
        default: what holds without it.
        meaning: half a sentence.
    """

    option: str
    variable: str
    values: str
    default: str
    meaning: str


SETTINGS = (
    Setting("--seed", "QMPI_SEED", "INTEGER", "fresh", "one seed gives the same outcomes again"),
    Setting("--mode", "QMPI_MODE", "fast|faithful", "fast", "faithful simulates every EPR pair, measurement and fix-up"),
    Setting("--memory", "QMPI_MEMORY", "512M|16G|80%", "80%", "what entangled states may take"),
    Setting("--dtype", "QMPI_DTYPE", "complex128|complex64", "complex128", "precision of the amplitudes"),
    Setting("--strict/--no-strict", "QMPI_STRICT", "0|1", "0", "copies that were never undone are an error"),
    Setting("--epr-buffer", "QMPI_EPR_BUFFER", "INTEGER", "64", "EPR halves that each rank can hold"),
    Setting("--epr-full", "QMPI_EPR_FULL", "wait|refuse", "wait", "what a persistent request does that finds no room for its pairs"),
    Setting("--timeout-s", "QMPI_TIMEOUT_S", "SECONDS", "none", "bounds every single wait"),
    Setting("--order", "QMPI_ORDER", "record:FILE|replay:FILE", "none", "writes down the order of measurements, or repeats it"),
    Setting("--num-threads", "QMPI_NUM_THREADS", "INTEGER", "its share of the cores", "threads of each rank that work on what is large"),
    Setting("--ranks-per-node", "QMPI_RANKS_PER_NODE", "INTEGER", "all", "state vectors pretend that so many ranks make a node"),
    Setting("--isa", "QMPI_ISA", "plain|avx2|avx512", "best", "instruction set of the kernels"),
    Setting("--log", "QMPI_LOG", "debug", "none", "one line per call on standard error"),
)


def check(environment: Mapping[str, str]) -> Settings:
    """The settings that this environment means.

    Raises:
        InvalidArgument: a value is not one of those allowed; the message names them.
    """
    settings = Settings.from_environment(environment)
    threads_per_rank(1, environment)
    instruction_set(environment)
    return settings


def instruction_set(environment: Mapping[str, str]) -> str:
    """The instruction set that the kernels will use, as the core chooses it.

    Raises:
        InvalidArgument: the machine does not have the one that is wanted.
    """
    available = kernels.available()
    wanted = environment.get("QMPI_ISA") or available[-1]
    if wanted not in available:
        raise InvalidArgument(f"QMPI_ISA must be {' or '.join(available)} on this machine, not {wanted!r}")
    return wanted


def in_one_line(error: QMPIError) -> str:
    """The error's text without the place in the program: on the command line there is none."""
    return error.what


def by_options(text: str, given: Iterable[Setting]) -> str:
    """An error with the options that were given in place of their variables."""
    for setting in given:
        text = text.replace(setting.variable, setting.option)
    return text
