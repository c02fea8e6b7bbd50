"""Operators on parameters, in terms of the contract's operations: formulas read as in a paper.

`factor * p`, `p + addend`, `p - q`, `p / q`, `-p`, with `p.sqrt()`, `p.square()` and the others of `wit/params.wit`.
Each operation rounds to f32, and so does a number before it meets parameters.
"""

from .backend import extend, interface

_params = interface("params")

Params = _params.Params
Writer = _params.Writer
trimmed_mean = _params.trimmed_mean
median = _params.median
mean_near_median = _params.mean_near_median
distances = _params.distances
pairwise_distances = _params.pairwise_distances
gaussian = _params.gaussian


def weighted_sum(items):
    """Σ weight · item of pairs (item, weight), in 64 bits, rounded once."""
    return _params.weighted_sum([(item, float(weight)) for item, weight in items])


def _number(other):
    return isinstance(other, (int, float)) and not isinstance(other, bool)


@extend(Params)
class _Operators:
    def zeros(self):
        """Same structure, every scalar zero."""
        return self.filled(0.0)

    def __add__(self, other):
        if isinstance(other, Params):
            return self.add(other)
        return self.offset(float(other)) if _number(other) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other):
        if isinstance(other, Params):
            return self.sub(other)
        return self.offset(-float(other)) if _number(other) else NotImplemented

    def __rsub__(self, other):
        return self.scale(-1.0).offset(float(other)) if _number(other) else NotImplemented

    def __mul__(self, other):
        if isinstance(other, Params):
            return self.mul(other)
        return self.scale(float(other)) if _number(other) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other):
        # Not by a number: p / a and (1 / a) * p are rounded differently, so the author says which.
        return self.div(other) if isinstance(other, Params) else NotImplemented

    def __neg__(self):
        return self.scale(-1.0)

    def __abs__(self):
        return self.abs()
