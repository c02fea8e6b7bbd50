"""What metrics work with: examples, options of questions, what is said of a score."""

import json
from dataclasses import asdict, dataclass

from .refusal import Refusal


@dataclass(frozen=True)
class ScoreInfo:
    """What a metric says of one of its scores."""

    #: Its name, in snake case as scikit-learn and its like spell it.
    name: str
    #: What it is, its range or unit.
    meaning: str
    higher_is_better: bool = True
    #: How its standard error is found: `closed_form`, `bootstrap` or `none`.
    error: str = "closed_form"

    def __post_init__(self):
        if self.error not in ("closed_form", "bootstrap", "none"):
            raise ValueError(f"error is `{self.error}`, it must be `closed_form`, `bootstrap` or `none`")

    def described(self):
        """As `describe` has it."""
        return asdict(self)


@dataclass(frozen=True)
class Generation:
    """Options of a generating question."""

    #: Tokens at most.
    max_tokens: int
    #: Texts that end it and are cut off.
    stop: tuple = ()
    #: 0: the likeliest token each time.
    temperature: float = 0.0
    #: Draw from the fewest tokens that make up this probability.
    top_p: float | None = None
    #: Draw from so many of the likeliest tokens.
    top_k: int | None = None
    #: Texts to draw.
    samples: int = 1

    def ask_once(self, example, so_far, questions):
        """Asks for what follows the example's prompt, unless it was asked already: the whole `ask` of a metric
        that reads one text."""
        if so_far.count() == 0:
            questions.generate(example.prompt(), self.to_json())

    def to_json(self):
        """As the contract takes them."""
        options = {name.replace("_", "-"): value for name, value in asdict(self).items()}
        return json.dumps({name: value for name, value in options.items() if value not in (None, (), [])})


class Example:
    """One row of the evaluation set: its columns, `prompt` and `reference`."""

    def __init__(self, fields):
        self._fields = dict(fields)

    @classmethod
    def from_json(cls, text):
        """From the JSON object that the host hands over."""
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise Refusal(f"example is no JSON object: {text}")
        return cls(fields)

    def get(self, column):
        """A column as it is; None where it is not there."""
        return self._fields.get(column)

    def _column(self, column):
        if column not in self._fields:
            raise Refusal(f"column `{column}` is missing; there are: {', '.join(self._fields)}")
        return self._fields[column]

    def text(self, column):
        """A column as text; refused with its name where it is missing or no text."""
        value = self._column(column)
        if not isinstance(value, str):
            raise Refusal(f"column `{column}` holds {json.dumps(value)}, not text")
        return value

    def texts(self, column):
        """A column as a list of texts; a single text is a list of one."""
        value = self._column(column)
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise Refusal(f"column `{column}` holds {json.dumps(value)}, not text")
        return texts

    def number(self, column):
        """A column as a number; refused with its name where it is missing or no number."""
        value = self._column(column)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refusal(f"column `{column}` holds {json.dumps(value)}, not a number")
        return float(value)

    def numbers(self, column):
        """A column as a list of numbers."""
        value = self._column(column)
        numbers = value if isinstance(value, list) else [None]
        if any(isinstance(each, bool) or not isinstance(each, (int, float)) for each in numbers):
            raise Refusal(f"column `{column}` holds {json.dumps(value)}, not a list of numbers")
        return [float(each) for each in numbers]

    def prompt(self):
        """The text up to the place of the response, as the experiment's template renders it."""
        return self.text("prompt")

    def response(self):
        """What the example says the response is."""
        return self.text("response")

    def references(self):
        """The right answers: column `reference`, a text or a list of texts, of which there is at least one."""
        references = self.texts("reference")
        if not references:
            raise Refusal("column `reference` is an empty list")
        return references
