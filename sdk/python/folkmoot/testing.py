"""The contract as plain values in memory, for a plugin's unit tests outside of WASM.

    from folkmoot.testing import params, update, updates

    given = updates([update(0, 3, params({"w": [4.0]})), update(1, 1, params({"w": [0.0]}))])
    assert given.mean().read(0, 1) == [3.0]

Each operation on parameters rounds to f32, as the host's do; reductions differ from the host's in the order of
their sums.
"""

from .memory.data import Dataset
from .memory.evaluation import Answers, Observations, Questions, Reply, Score, Scores
from .memory.params import Params
from .memory.run import Client, Message, Objective, Round, State, Training, Update, Updates

__all__ = [
    "Reply",
    "Score",
    "answers",
    "client",
    "dataset",
    "message",
    "objective",
    "observations",
    "params",
    "questions",
    "round",
    "scores",
    "state",
    "training",
    "update",
    "updates",
]


def params(tensors):
    """Parameters from nested lists of numbers by name: `{"w": [[1.0, 2.0], [3.0, 4.0]]}`."""
    return Params.of(tensors)


def round(number, total, clients=2):
    """Round `number` of `total` in a federation of so many clients."""
    return Round(number, total, clients)


def client(id, examples, idle=None, **figures):
    """A client as the server knows it."""
    return Client(id, examples, idle, figures)


def message():
    """An empty message."""
    return Message()


def state():
    """A state that holds nothing yet."""
    return State()


def objective():
    """An objective that adds nothing yet; its `asked` has the calls."""
    return Objective()


def update(id, examples, delta, steps=1, lr=1.0, staleness=0, sent=None, **figures):
    """A client's update, with what its algorithm sent beside it."""
    return Update(client(id, examples, **figures), delta, steps, lr, staleness, sent or Message())


def updates(given):
    """A round's updates; they are put in ascending client id, as the host does."""
    return Updates(given)


def training(steps, lr, before, after, personal=None, **figures):
    """A finished local training."""
    return Training(steps, lr, before, after, personal, figures)


def dataset(columns, seed=0):
    """A data set of columns by name; `seed` stands for the experiment's."""
    return Dataset(columns, seed)


def questions():
    """No question yet; its `asked` has the calls."""
    return Questions()


def answers(replies):
    """These replies, in the order of the questions."""
    return Answers(replies)


def observations():
    """Nothing observed yet."""
    return Observations()


def scores():
    """No score yet; its `added` has them."""
    return Scores()
