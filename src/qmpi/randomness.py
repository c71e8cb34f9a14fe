"""Seeds. Every draw is a function of the seed and of what the draw is for (Philox4x64-10, in the core), never of what was drawn before.

A user's draw is a function of (seed, rank, number of the rank's measurement); a protocol's of (seed, rank, number of its operation,
position in it). A program is reproducible when measurements of entangled qubits on different ranks are ordered by its messages, its
barriers or the collective `comm.measure`.
"""

from __future__ import annotations

import secrets

from .errors import InvalidArgument


def choose_seed(text: str | None) -> int:
    """The seed written in `text` (QMPI_SEED), or a fresh one from the operating system.

    Args:
        text: a decimal integer in 0 … 2⁶⁴-1, or None or empty for a fresh seed.

    Raises:
        InvalidArgument: it is not such a number.
    """
    if not text:
        return secrets.randbits(64)
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**64:
        raise InvalidArgument(f"QMPI_SEED must be an integer between 0 and 2^64 - 1, not {text!r}")
    return seed
