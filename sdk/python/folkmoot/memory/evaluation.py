"""`evaluation` in memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """What the model answered to one question."""

    #: Generated or judged texts.
    texts: tuple = ()
    #: Summed natural-log likelihood, the tokens it was summed over, and whether greedy decoding gives them.
    log_likelihood: float = 0.0
    tokens: int = 0
    greedy: bool = False
    #: Of a program: whether it ran to its end, what it printed, why it failed.
    succeeded: bool = False
    output: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Score:
    """One score of a metric."""

    name: str
    value: float
    higher_is_better: bool
    standard_error: float | None


class Questions:
    """What a metric asked: `asked` has the calls in order, each with its arguments."""

    def __init__(self):
        self.asked = []

    def generate(self, prompt, options):
        self.asked.append(("generate", prompt, options))

    def chat(self, messages, options):
        self.asked.append(("chat", messages, options))

    def likelihood(self, context, continuation):
        self.asked.append(("likelihood", context, continuation))

    def perplexity(self, text):
        self.asked.append(("perplexity", text))

    def judge(self, messages, options):
        self.asked.append(("judge", messages, options))

    def execute(self, language, source, timeout_ms):
        self.asked.append(("execute", language, source, timeout_ms))


class Answers:
    """Answers in the order of the questions."""

    def __init__(self, replies):
        self._replies = list(replies)

    def count(self):
        return len(self._replies)

    def texts(self, index):
        return list(self._replies[index].texts)

    def log_likelihood(self, index):
        return self._replies[index].log_likelihood

    def tokens(self, index):
        return self._replies[index].tokens

    def greedy(self, index):
        return self._replies[index].greedy

    def succeeded(self, index):
        return self._replies[index].succeeded

    def output(self, index):
        return self._replies[index].output

    def failure(self, index):
        return self._replies[index].failure


class Observations:
    """Quantities that add over examples; `notes` has what was noted for the reader."""

    def __init__(self):
        self._values, self._labels, self.notes = [], [], []

    def add(self, name, sum, weight):
        self._values.append((name, float(sum), float(weight)))

    def label(self, name, expected, predicted):
        self._labels.append((name, expected, predicted))

    def note(self, name, text):
        self.notes.append((name, text))

    def names(self):
        return sorted({row[0] for row in (*self._values, *self._labels)})

    def values(self, name):
        return [(own, weight) for named, own, weight in self._values if named == name]

    def labels(self, name):
        return [(expected, predicted) for named, expected, predicted in self._labels if named == name]


class Scores:
    """What a metric scored: `added` has each as a `Score`, in the order added."""

    def __init__(self):
        self.added = []

    def add(self, name, value, higher_is_better, standard_error):
        self.added.append(Score(name, float(value), higher_is_better, standard_error))
