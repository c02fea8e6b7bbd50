"""Numbers of 32 bits, as the host computes them."""

from array import array
from math import nan, sqrt


def single(value):
    """`value` rounded to the nearest f32, which stays a Python float."""
    return array("f", (value,))[0]


def _numbers(other):
    return isinstance(other, (int, float)) and not isinstance(other, bool)


class f32(float):
    """A float that is rounded to 32 bits after each operation (IEEE 754 binary32), like the scalars of
    `Params` and the settings of a Rust plugin.

    A number beside an f32 is rounded first, as a literal is in Rust: `1.0 - beta` with `beta: f32` is an f32,
    and `f32(0.1) == 0.1`. `float(x)` leaves for 64 bits. The four operations and `sqrt` are correctly rounded,
    since 64 bits are more than twice 24 and two; powers are those of 64 bits, rounded.
    """

    __slots__ = ()

    def __new__(cls, value=0.0):
        return float.__new__(cls, single(value))

    def sqrt(self):
        """The square root; NaN below zero."""
        return f32(sqrt(float(self)) if self >= 0.0 else nan)

    def __truediv__(self, other):
        return _divided(self, other) if _numbers(other) else NotImplemented

    def __rtruediv__(self, other):
        return _divided(other, self) if _numbers(other) else NotImplemented

    def __neg__(self):
        return f32(-float(self))

    def __pos__(self):
        return self

    def __abs__(self):
        return f32(abs(float(self)))

    def __repr__(self):
        """The shortest decimal that is rounded to this number."""
        short = (float(f"{float(self):.{digits}g}") for digits in range(6, 9))
        return repr(next((each for each in short if single(each) == float(self)), float(self)))

    __str__ = __repr__

    def __format__(self, how):
        return format(float(repr(self)), how) if how else repr(self)

    # Equal numbers that both are f32 have equal hashes; others are no keys beside them.
    __hash__ = float.__hash__


def _divided(a, b):
    """a / b of two numbers, rounded, by zero as IEEE 754 has it."""
    return f32(divide(single(a), single(b)))


def divide(a, b):
    """a / b in 64 bits, by zero as IEEE 754 has it: infinite, or NaN for 0 / 0."""
    if b != 0.0:
        return a / b
    if a == 0.0 or a != a:
        return nan
    negative = (str(a)[0] == "-") != (str(float(b))[0] == "-")
    return float("-inf" if negative else "inf")


def _operator(name):
    of_floats = getattr(float, name)

    def operator(self, other):
        if not _numbers(other):
            return NotImplemented
        answer = of_floats(float(self), single(other))
        return f32(answer) if isinstance(answer, float) else answer

    operator.__name__ = name
    return operator


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "pow", "rpow", "eq", "ne", "lt", "le", "gt", "ge"):
    setattr(f32, f"__{_name}__", _operator(f"__{_name}__"))
