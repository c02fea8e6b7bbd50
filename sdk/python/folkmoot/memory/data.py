"""`data` in memory."""

from ..refusal import Refusal
from .run import drawn


class Dataset:
    """A read-only view of a data set: columns of equal length."""

    def __init__(self, columns, seed):
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")
        self._columns = {name: list(columns[name]) for name in sorted(columns)}
        self._length, self._drawn = lengths.pop() if lengths else 0, seed

    def examples(self):
        return self._length

    def columns(self):
        return list(self._columns)

    def categories(self, column):
        values = [str(value) for value in self._column(column)]
        names = sorted(set(values))
        numbers = {name: number for number, name in enumerate(names)}
        return [numbers[value] for value in values], names

    def numbers(self, column):
        try:
            return [float(value) for value in self._column(column)]
        except ValueError as error:
            raise Refusal(f"column `{column}`: {error}") from None

    def lengths(self):
        """Here: the words of each example over all columns."""
        return [len(self.text(row).split()) for row in range(self._length)]

    def text(self, example):
        return " ".join(str(values[example]) for values in self._columns.values())

    def random(self):
        self._drawn = drawn(self._drawn)
        return self._drawn

    def _column(self, column):
        if column not in self._columns:
            raise Refusal(f"column `{column}` is missing")
        return self._columns[column]
