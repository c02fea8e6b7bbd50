"""The base classes of plugins. A class is its settings; each method is a call of the host.

Every call gets a fresh instance of everything: what must last goes through `state`. Modules are imported when
the component is built, so imports belong at the top of the file. There is no file, network, clock or entropy.
"""

import json

from .refusal import Refusal
from .settings import REQUIRED, converted, schema, settings_of, summary


class Plugin:
    """What all kinds have in common."""

    #: Papers and other sources, as `Authors year, title, address`.
    references = ()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        # Read once here, so that a mistake is told where the class is written.
        cls._settings = settings_of(cls)

    def __init__(self, **settings):
        """An instance with these settings, the others at their defaults: for unit tests."""
        unknown = [name for name in settings if name not in self._settings]
        if unknown:
            known = ", ".join(self._settings) or "none"
            raise Refusal(f"setting `{unknown[0]}` is unknown; known: {known}")
        for name, own in self._settings.items():
            value = settings.get(name, own.default)
            if value is REQUIRED:
                raise Refusal(f"setting `{name}` is missing")
            object.__setattr__(self, name, converted(own, value))

    def __setattr__(self, name, value):
        raise AttributeError(
            f"`self.{name}` would be lost: every call gets a fresh instance, and what must last goes through `state`"
        )

    @classmethod
    def traits(cls):
        """What the host may want to know of this kind."""
        return {}

    @classmethod
    def describe(cls):
        """The JSON of `describe`: summary, references, traits, and the settings as a JSON Schema."""
        own = {
            "summary": summary(cls),
            "references": list(cls.references),
            "traits": cls.traits(),
            "settings": schema(cls),
        }
        return json.dumps(own, ensure_ascii=False)


class Algorithm(Plugin):
    """A federated algorithm: its server half and its client half.

    In a round the host calls, in this order: `sample`, `configure` for each client of the cohort, `begin` and
    `finish` around each local training (where the data is), then `aggregate`.
    """

    #: Whether `aggregate` is linear in the updates, so that it may run under secure aggregation.
    linear = False

    @classmethod
    def traits(cls):
        return {"linear": cls.linear}

    def start(self, global_, state):
        """Once, before round 1: a place to refuse settings that do not fit together."""

    def sample(self, round, clients, count, state):
        """Server: which clients take part, as their ids; None leaves it to the host's seeded uniform choice of
        `count`."""
        return None

    def configure(self, round, client, state, to):
        """Server: what one client gets beside the global parameters."""

    def begin(self, round, global_, received, state, objective):
        """Client, before local training: what is added to it."""

    def finish(self, round, training, received, state, to):
        """Client, after local training: what it sends beside its delta."""

    def aggregate(self, round, global_, updates, state):
        """Server: the next global parameters."""
        raise NotImplementedError(f"`{type(self).__name__}` has no `aggregate`")


class BlockKernel(Plugin):
    """Coordinate-wise mathematics that no operation of `Params` covers: a pure function of one block. The host
    shards the coordinates over its cores and adds the result to the global parameters. Python touches each scalar
    by itself: where an operation of `Params` exists, an `Algorithm` that uses it is far faster."""

    @classmethod
    def traits(cls):
        return {"linear": False}

    def reduce(self, deltas, weights):
        """One list per update in ascending client id, the same coordinates of each delta; and the clients'
        shares of the examples, which sum to 1. Answers the aggregated delta of these coordinates."""
        raise NotImplementedError(f"`{type(self).__name__}` has no `reduce`")


class Partitioner(Plugin):
    """Splits a data set over simulated clients."""

    #: The number of clients comes from the data or the settings. The host then allows leaving it out, and
    #: passes `clients = 0` where it is.
    clients_from_data = False

    @classmethod
    def traits(cls):
        return {"clients_from_data": cls.clients_from_data}

    def partition(self, data, clients):
        """For each client the examples it holds, as row numbers. `clients` is never 0 unless
        `clients_from_data`."""
        raise NotImplementedError(f"`{type(self).__name__}` has no `partition`")


class Metric(Plugin):
    """An evaluation: what to ask the model about an example, and how to score its answers."""

    #: The scores it gives, as `ScoreInfo`. A name may end in `*`.
    scores = ()
    #: Whom it asks beside the model: "judge", "execute".
    asks = ()

    @classmethod
    def traits(cls):
        return {"scores": [score.described() for score in cls.scores], "asks": list(cls.asks)}

    def ask(self, example, so_far, questions):
        """Asks the model about one example; called again with the answers so far until it asks no more."""
        raise NotImplementedError(f"`{type(self).__name__}` has no `ask`")

    def observe(self, example, answers, observations):
        """Turns the answers about one example into quantities that add over examples."""
        raise NotImplementedError(f"`{type(self).__name__}` has no `observe`")

    def summarize(self, observations, scores):
        """Turns the sums into scores, once."""
        raise NotImplementedError(f"`{type(self).__name__}` has no `summarize`")


#: The interface that each kind exports, which is also the start of its world's name.
INTERFACES = {Algorithm: "algorithm", BlockKernel: "block-kernel", Partitioner: "partitioner", Metric: "metric"}


def plugin_of(module):
    """The one plugin that a module defines, and the interface it exports."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(f"`{each.__name__}`" for each in found)
        said = f"defines {names}" if found else "defines none"
        kinds = ", ".join(f"`{each.__name__}`" for each in INTERFACES)
        raise TypeError(f"a plugin's module defines one class derived from one of {kinds}; `{module.__name__}` {said}")
    kind = next((kind for kind in INTERFACES if issubclass(found[0], kind)), None)
    if kind is None:
        raise TypeError(f"`{found[0].__name__}` is of no kind: derive it from folkmoot.Algorithm or another kind")
    return found[0], INTERFACES[kind]
