"""`params` in memory: each operation rounds to f32, as the host's do."""

from array import array
from fnmatch import fnmatchcase
from math import copysign, sqrt
from random import Random

from ..single import divide, single


def _flat(values):
    """(shape, scalars) of nested lists."""
    if not isinstance(values, (list, tuple)):
        return [], [values]
    parts = [_flat(value) for value in values]
    shapes = [shape for shape, _ in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"rows of different lengths in {values}")
    return [len(parts), *(shapes[0] if shapes else [])], [value for _, own in parts for value in own]


class Params:
    """Named f32 tensors, ordered by name."""

    def __init__(self, shapes, values):
        self._shapes, self._values = shapes, values

    @classmethod
    def of(cls, tensors):
        """From values or nested lists of them by name."""
        flat = {name: _flat(tensors[name]) for name in sorted(tensors)}
        shapes = {name: shape for name, (shape, _) in flat.items()}
        return cls(shapes, array("f", (value for _, own in flat.values() for value in own)))

    def names(self):
        return list(self._shapes)

    def shape(self, name):
        shape = self._shapes.get(name)
        return None if shape is None else list(shape)

    def count(self):
        return len(self._values)

    def filled(self, value):
        return self._map(lambda _: value)

    def select(self, glob):
        # Only `*` is special, as in the host.
        pattern = glob.replace("[", "[[]").replace("?", "[?]")
        tensors = {name: own for name, own in self._tensors().items() if fnmatchcase(name, pattern)}
        if not tensors:
            raise ValueError(f"`{glob}` selects nothing")
        return _joined(tensors)

    def merge(self, other):
        return _joined({**self._tensors(), **other._tensors()})

    def add(self, other):
        return self._zip(other, lambda a, b: a + b)

    def sub(self, other):
        return self._zip(other, lambda a, b: a - b)

    def mul(self, other):
        return self._zip(other, lambda a, b: a * b)

    def div(self, other):
        return self._zip(other, divide)

    def minimum(self, other):
        return self._zip(other, lambda a, b: a if a < b or a != a else b)

    def maximum(self, other):
        return self._zip(other, lambda a, b: a if a > b or a != a else b)

    def scale(self, factor):
        factor = single(factor)
        return self._map(lambda a: factor * a)

    def offset(self, addend):
        addend = single(addend)
        return self._map(lambda a: a + addend)

    def add_scaled(self, factor, other):
        factor = single(factor)
        return self._zip(other, lambda a, b: a + single(factor * b))

    def sqrt(self):
        return self._map(lambda a: sqrt(a) if a >= 0.0 else float("nan"))

    def square(self):
        return self._map(lambda a: a * a)

    def abs(self):
        return self._map(abs)

    def sign(self):
        return self._map(lambda a: copysign(1.0, a) if a > 0.0 or a < 0.0 else a)

    def clamp(self, low, high):
        low, high = single(low), single(high)
        return self._map(lambda a: low if a < low else high if a > high else a)

    def sum(self):
        return _added(self._values)

    def dot(self, other):
        self._check(other)
        return _added(a * b for a, b in zip(self._values, other._values))

    def norm(self):
        return sqrt(self.dot(self))

    def norms(self):
        return [sqrt(_added(value * value for value in own)) for _, own in self._tensors().values()]

    def read(self, offset, length):
        if offset + length > len(self._values):
            raise IndexError(f"scalars {offset} to {offset + length} of {len(self._values)}")
        return self._values[offset : offset + length].tolist()

    def write(self):
        return Writer(self)

    def _tensors(self):
        """(shape, scalars) by name."""
        tensors, start = {}, 0
        for name, shape in self._shapes.items():
            size = 1
            for side in shape:
                size *= side
            tensors[name] = shape, self._values[start : start + size]
            start += size
        return tensors

    def _check(self, other):
        if self._shapes != other._shapes:
            raise ValueError(f"structures differ: {self._shapes} and {other._shapes}")

    def _map(self, operation):
        return Params(self._shapes, array("f", map(operation, self._values)))

    def _zip(self, other, operation):
        self._check(other)
        return Params(self._shapes, array("f", map(operation, self._values, other._values)))


class Writer:
    """Builds parameters from raw scalars; what is never written stays 0."""

    def __init__(self, like):
        self._shapes, self._values = like._shapes, array("f", bytes(4 * like.count()))

    def put(self, offset, values):
        if offset + len(values) > len(self._values):
            raise IndexError(f"scalars {offset} to {offset + len(values)} of {len(self._values)}")
        self._values[offset : offset + len(values)] = array("f", values)

    @classmethod
    def finish(cls, this):
        return Params(this._shapes, this._values)


def _joined(tensors):
    ordered = {name: tensors[name] for name in sorted(tensors)}
    values = array("f")
    for _, own in ordered.values():
        values.extend(own)
    return Params({name: shape for name, (shape, _) in ordered.items()}, values)


def _added(values):
    answer = 0.0
    for value in values:
        answer += value
    return answer


def weighted_sum(items):
    """Σ weight · item, in 64 bits."""
    first = items[0][0]
    sums = [0.0] * first.count()
    for item, weight in items:
        first._check(item)
        sums = [own + weight * value for own, value in zip(sums, item._values)]
    return Params(first._shapes, array("f", sums))


def trimmed_mean(items, drop):
    """Coordinate-wise mean after dropping the `drop` smallest and `drop` largest values."""
    return _columns(items, lambda column: _mean(column[drop : len(column) - drop]))


def median(items):
    """Coordinate-wise median."""
    return _columns(items, _middle)


def mean_near_median(items, keep):
    """Coordinate-wise mean of the `keep` values that lie nearest to the median."""

    def near(column):
        middle = _middle(column)
        return _mean(sorted(sorted(column, key=lambda value: abs(value - middle))[:keep]))

    return _columns(items, near)


def distances(items, center):
    """Squared L2 distance of each item from `center`."""
    return [_distance(item, center) for item in items]


def pairwise_distances(items):
    """Squared L2 distance of every pair, row-major upper triangle without the diagonal."""
    return [_distance(a, b) for at, a in enumerate(items) for b in items[at + 1 :]]


def gaussian(like, label):
    """Normal scalars of `like`'s structure, from `label`. The host draws other numbers: a unit test may rely on
    mean 0 and variance 1 only."""
    draws = Random(label)
    return like._map(lambda _: draws.gauss(0.0, 1.0))


def _distance(a, b):
    a._check(b)
    return _added((x - y) * (x - y) for x, y in zip(a._values, b._values))


def _columns(items, pick):
    for item in items:
        items[0]._check(item)
    columns = zip(*(item._values for item in items))
    return Params(items[0]._shapes, array("f", (pick(sorted(column)) for column in columns)))


def _mean(values):
    return _added(values) / len(values)


def _middle(column):
    half = len(column) // 2
    return column[half] if len(column) % 2 else (column[half - 1] + column[half]) / 2.0
