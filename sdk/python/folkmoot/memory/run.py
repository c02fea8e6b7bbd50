"""`run` in memory."""

import sys

_MULTIPLIER, _INCREMENT, _MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1


def drawn(state):
    """The next state of a linear congruential generator, which is also what it draws."""
    return (state * _MULTIPLIER + _INCREMENT) & _MASK


class Round:
    """The present round."""

    def __init__(self, number, total, clients):
        self._number, self._total, self._clients, self._drawn = number, total, clients, number

    def number(self):
        return self._number

    def total(self):
        return self._total

    def clients(self):
        return self._clients

    def random(self):
        self._drawn = drawn(self._drawn)
        return self._drawn


class Client:
    """A client as the server knows it."""

    def __init__(self, id, examples, idle, figures):
        self._id, self._examples, self._idle, self._figures = id, examples, idle, dict(figures)

    def id(self):
        return self._id

    def examples(self):
        return self._examples

    def idle(self):
        return self._idle

    def figure(self, name):
        return self._figures.get(name)


class State:
    """What outlasts a call."""

    def __init__(self):
        self._params, self._bytes = {}, {}

    def put_params(self, name, value):
        self._params[name] = value

    def put_bytes(self, name, value):
        self._bytes[name] = bytes(value)

    def params(self, name):
        return self._params.get(name)

    def bytes(self, name):
        return self._bytes.get(name)


class Message(State):
    """Tensors, scalars and bytes beside the parameters."""

    def __init__(self):
        super().__init__()
        self._scalars = {}

    def put_scalar(self, name, value):
        self._scalars[name] = float(value)

    def scalar(self, name):
        return self._scalars.get(name)


class Update:
    """One client's answer."""

    def __init__(self, client, delta, steps, lr, staleness, message):
        self._client, self._delta, self._message = client, delta, message
        self._steps, self._lr, self._staleness = steps, lr, staleness

    def client(self):
        return self._client

    def examples(self):
        return self._client.examples()

    def steps(self):
        return self._steps

    def lr(self):
        return self._lr

    def staleness(self):
        return self._staleness

    def figure(self, name):
        return self._client.figure(name)

    def delta(self):
        return self._delta

    def message(self):
        return self._message


class Updates:
    """The updates of a round, in ascending client id, as the host has them."""

    def __init__(self, updates):
        self._updates = sorted(updates, key=lambda update: update.client().id())

    def count(self):
        return len(self._updates)

    def get(self, index):
        return self._updates[index]


class Objective:
    """What was asked of the host's local training: `asked` has the calls in order, each with its arguments."""

    def __init__(self):
        self.asked = []
        #: The personal objective, if one was asked for.
        self.within = None

    def _ask(self, *call):
        self.asked.append(call)

    def proximal(self, mu, reference):
        self._ask("proximal", mu, reference)

    def linear(self, gradient):
        self._ask("linear", gradient)

    def correct(self, direction):
        self._ask("correct", direction)

    def freeze(self, glob):
        self._ask("freeze", glob)

    def freeze_during(self, glob, start, end):
        self._ask("freeze_during", glob, start, end)

    def keep(self, glob):
        self._ask("keep", glob)

    def scale_lr(self, factor):
        self._ask("scale_lr", factor)

    def envelope(self, lambda_, rate, period):
        self._ask("envelope", lambda_, rate, period)

    def personal(self, from_):
        self._ask("personal", from_)
        self.within = Objective()
        return self.within

    def initial_loss(self, examples):
        self._ask("initial_loss", examples)


class Training:
    """A finished local training."""

    def __init__(self, steps, lr, before, after, personal, figures):
        self._steps, self._lr, self._before, self._after = steps, lr, before, after
        self._personal, self._figures = personal, dict(figures)

    def steps(self):
        return self._steps

    def lr(self):
        return self._lr

    def figure(self, name):
        return self._figures.get(name)

    def before(self):
        return self._before

    def after(self):
        return self._after

    def personal(self):
        return self._personal


def log(level, message):
    """A line on standard error."""
    sys.stderr.write(f"{level}: {message}\n")


def report(name, value):
    """A scalar for the run's record: a line on standard error."""
    log("report", f"{name} = {value}")
