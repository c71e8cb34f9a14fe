"""Whether outcomes come as often as they should: what was measured against the probabilities that the oracle gave."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SIGMAS = 5.0
CERTAIN = 1e-6  # an outcome that is (nearly) certain says nothing
LEAST = 5.0  # sum of variances from which a deviation means anything

# What is summed: outcome - p, weighted so that different mistakes show: too many ones, certainty exaggerated or denied, one range of p.
WEIGHTS = (lambda p: 1.0, lambda p: 4 * (p - 0.5), *(lambda p, low=low: float(low <= p < low + 0.2) for low in (0.0, 0.2, 0.4, 0.6, 0.8)))


@dataclass(slots=True)
class Tally:
    """Measurements by the probability of 1 that they had.

    Draws are independent, so each weight (p) · (outcome - p) is a martingale difference with variance weight² · p (1 - p), whatever the
    programs are and in whatever order they are replayed.

    Attributes:
        excess, variance: sums over all measurements, one per weight.
        count: of measurements whose outcome was uncertain.
    """

    excess: np.ndarray = field(default_factory=lambda: np.zeros(len(WEIGHTS)))
    variance: np.ndarray = field(default_factory=lambda: np.zeros(len(WEIGHTS)))
    count: int = 0

    def enter(self, probability: float, outcome: int) -> None:
        if CERTAIN < probability < 1 - CERTAIN:
            weights = np.array([weight(probability) for weight in WEIGHTS])
            self.excess += weights * (outcome - probability)
            self.variance += weights**2 * probability * (1 - probability)
            self.count += 1

    def add(self, other: Tally) -> None:
        self.excess = self.excess + other.excess
        self.variance = self.variance + other.variance
        self.count += other.count

    def deviations(self) -> list[float]:
        """In standard deviations, one per weight that says something."""
        return [float(e / np.sqrt(v)) for e, v in zip(self.excess, self.variance, strict=True) if v > LEAST]

    def check(self) -> None:
        worst = max(self.deviations(), key=abs, default=0.0)
        assert abs(worst) < SIGMAS, f"outcomes are {worst:.1f} standard deviations from their probabilities: {self.deviations()}"
