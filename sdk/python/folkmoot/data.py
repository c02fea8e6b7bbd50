"""What authors do with a data set."""

from random import Random

from .backend import INSIDE, extend, interface
from .refusal import Refusal

_data = interface("data")

Dataset = _data.Dataset


@extend(Dataset)
class _Dataset:
    def rng(self):
        """A generator seeded from the experiment and this plugin: the same in every run."""
        return Random(self.random())


def _refusing(method):
    """`method`, whose refusal by the host is a `Refusal` here."""

    def refusing(self, column):
        try:
            return method(self, column)
        except Exception as error:
            value = getattr(error, "value", None)
            raise Refusal(value) if isinstance(value, str) else error

    return refusing


if INSIDE:
    for _name in ("categories", "numbers"):
        setattr(Dataset, _name, _refusing(getattr(Dataset, _name)))
