"""Closed choices, and those that many algorithms offer, spelt the same in all of them."""

from enum import Enum

from .refusal import Refusal


class Choice(Enum):
    """A closed choice for a setting: members are `NAME = "value", "what it means"`."""

    def __new__(cls, value, meaning=""):
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member

    def __str__(self):
        return self.value


class Weighting(Choice):
    """What an update weighs in a mean."""

    EXAMPLES = "examples", "Its client's number of examples."
    UNIFORM = "uniform", "As much as any other."


class Variant(Choice):
    """Whose arithmetic."""

    PAPER = "paper", "The formula of the cited paper."
    OPENFEDLLM = (
        "openfedllm",
        "What OpenFedLLM (Ye et al. 2024, https://arxiv.org/abs/2402.06954) computes, to repeat its runs.",
    )

    def weighting(self, asked, fixed):
        """The weighting under this variant: the paper's is free (default examples), OpenFedLLM fixes its own."""
        if self is Variant.PAPER:
            return asked or Weighting.EXAMPLES
        if asked not in (None, fixed):
            raise Refusal(f"weighting is `{asked}`, but variant `openfedllm` fixes `{fixed}`")
        return fixed
