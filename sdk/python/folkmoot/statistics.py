"""Means with their standard errors.

Sums go from the first to the last in 64 bits, as in Rust: Python's own `sum` of floats compensates since 3.12,
and so gives other bits.
"""

from math import sqrt


def total(values):
    """Σ x in the order given, each partial sum rounded."""
    answer = 0.0
    for value in values:
        answer += value
    return answer


def mean(values):
    """The mean and its standard error s/√n, s² = Σ(x - mean)²/(n - 1); without an error where n = 1."""
    n = float(len(values))
    middle = total(values) / n
    if len(values) < 2:
        return middle, None
    squares = total((value - middle) * (value - middle) for value in values)
    return middle, sqrt(squares / (n - 1.0) / n)


def share_error(p, n):
    """The standard error √(p(1-p)/n) of a share `p` of `n`."""
    return sqrt(max(p * (1.0 - p) / n, 0.0)) if n > 0.0 else None
