"""The contract's side of a component: forwards each call of the host to a fresh instance of the plugin."""

import json
import random
import sys

from componentize_py_types import Err

from .metric import Example
from .params import Params
from .plugin import plugin_of
from .refusal import Refusal
from .run import log

# The module's own generator would be a snapshot of the building machine's entropy.
random.seed(0)


_SDK = __file__.rpartition("/")[0] + "/"


def _place(error):
    """Where in the author's files an exception came from, if it came from there."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(_SDK):
            place = f" ({code.co_filename.rpartition('/')[2]}, line {trace.tb_lineno}, in `{code.co_name}`)"
        trace = trace.tb_next
    return place


class _Absent:
    """Says why a module cannot be imported in a call, instead of looking for files that are not there."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        raise ModuleNotFoundError(f"module `{name}` is not in the component: import it at the top of the file")


def _close_imports():
    """In a call, only what is compiled into the interpreter can still be imported."""
    if _Absent not in sys.meta_path:
        sys.meta_path[:] = [*sys.meta_path[:2], _Absent]


def _guarded(body):
    """Runs a call. A refusal is the contract's error; another exception is said to the host as the last line of its
    traceback, before it ends the instance."""
    _close_imports()
    try:
        try:
            return body()
        except Refusal as refusal:
            message = str(refusal)
    except BaseException as error:
        log("error", f"{type(error).__name__}: {error}{_place(error)}")
        raise
    raise Err(message)


class _Exported:
    """What every kind exports; `plugin` and `description` come with the plugin."""

    plugin = description = None

    def describe(self):
        return self.description

    def made(self, settings):
        """A fresh instance with these settings."""
        return self.plugin(**json.loads(settings))


class _Algorithm(_Exported):
    def start(self, settings, global_, state):
        _guarded(lambda: self.made(settings).start(global_, state))

    def sample(self, settings, round, clients, count, state):
        def body():
            chosen = self.made(settings).sample(round, clients, count, state)
            return None if chosen is None else list(chosen)

        return _guarded(body)

    def configure(self, settings, round, client, state, to):
        _guarded(lambda: self.made(settings).configure(round, client, state, to))

    def begin(self, settings, round, global_, received, state, objective):
        _guarded(lambda: self.made(settings).begin(round, global_, received, state, objective))

    def finish(self, settings, round, training, received, state, to):
        _guarded(lambda: self.made(settings).finish(round, training, received, state, to))

    def aggregate(self, settings, round, global_, updates, state):
        def body():
            answer = self.made(settings).aggregate(round, global_, updates, state)
            if not isinstance(answer, Params):
                raise TypeError(f"`aggregate` answered a `{type(answer).__name__}`, not `Params`")
            # What was lent cannot be given away: times 1 it is the plugin's own, bit for bit.
            return answer.scale(1.0) if answer is global_ else answer

        return _guarded(body)


class _BlockKernel(_Exported):
    def reduce(self, settings, deltas, weights):
        return _guarded(lambda: list(self.made(settings).reduce(deltas, weights)))


class _Partitioner(_Exported):
    def partition(self, settings, data, clients):
        def body():
            return [list(rows) for rows in self.made(settings).partition(data, clients)]

        return _guarded(body)


class _Metric(_Exported):
    def ask(self, settings, example, so_far, questions):
        _guarded(lambda: self.made(settings).ask(Example.from_json(example), so_far, questions))

    def observe(self, settings, example, answers, observations):
        _guarded(lambda: self.made(settings).observe(Example.from_json(example), answers, observations))

    def summarize(self, settings, observations, scores):
        _guarded(lambda: self.made(settings).summarize(observations, scores))


#: The name of each interface's class, as componentize-py looks for it.
_NAMES = {
    "algorithm": ("Algorithm", _Algorithm),
    "block-kernel": ("BlockKernel", _BlockKernel),
    "partitioner": ("Partitioner", _Partitioner),
    "metric": ("Metric", _Metric),
}


def exported(module):
    """The name and the class that a component of this module exports."""
    plugin, interface = plugin_of(module)
    name, base = _NAMES[interface]
    # Described while the component is built, so that a call of `describe` only answers.
    return name, type(name, (base,), {"plugin": plugin, "description": plugin.describe()})
