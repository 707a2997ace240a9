"""Sums of float32 numbers without rounding."""

from __future__ import annotations

import fractions

import numpy as np

from slimft.tasks.packed import Packed

# A float32 is a whole number of up to 24 bits times a power of two, of which 2**-148 / 2**24 is the least.
_BITS, _LEAST = 24, -148
# Beyond the sum of 2**64 of the largest, in units of the least.
_BEYOND = 1 << (128 + 64 + _BITS - _LEAST)


class ExactSum:
    """A sum that is the same in whatever order, and from however many parts, it is added up.

    >>> total = ExactSum()
    >>> total.add(np.array([1e30, 1.0, -1e30], np.float32))
    >>> total.mean(1)
    1.0
    """

    def __init__(self) -> None:
        self._total = 0  # In units of 2**(_LEAST - _BITS).
        self._not_finite = 0.0

    def add(self, values: np.ndarray) -> None:
        """Adds numbers; what is not finite makes the sum not finite."""
        values = values.astype(np.float32).ravel()
        finite = np.isfinite(values)
        if not finite.all():
            self._not_finite += sum(values[~finite].tolist())
            values = values[finite]
        mantissas, exponents = np.frexp(values.astype(np.float64))
        # Whole numbers below 2**53, as long as there are fewer than 2**29 values at a time.
        sums = np.bincount(exponents - _LEAST, mantissas * 2**_BITS)
        self._total += sum(int(part) << place for place, part in enumerate(sums) if part)

    def merge(self, other: ExactSum) -> None:
        """Adds another sum."""
        self._total += other._total
        self._not_finite += other._not_finite

    def packed(self) -> list[int | float]:
        """It, for `slimft.tasks.packed.pack`."""
        return [self._total, self._not_finite]

    @classmethod
    def of(cls, packed: Packed) -> ExactSum:
        """The same sum again; raises ValueError if it is none."""
        made, (total, not_finite) = cls(), packed.items(2)
        made._total, made._not_finite = total.integer(_BEYOND, 1 - _BEYOND), not_finite.number()
        return made

    def mean(self, number: int) -> float:
        """The sum divided by `number`, rounded once."""
        if self._not_finite:  # NaN is true.
            return self._not_finite
        return float(fractions.Fraction(self._total, number << (_BITS - _LEAST)))
