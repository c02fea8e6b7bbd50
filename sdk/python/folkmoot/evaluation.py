"""What authors do with what was observed."""

from .backend import extend, interface
from .statistics import mean, total

_evaluation = interface("evaluation")

Answers = _evaluation.Answers
Observations = _evaluation.Observations
Questions = _evaluation.Questions
Scores = _evaluation.Scores


@extend(Observations)
class _Observations:
    def total(self, name):
        """(Σ sum, Σ weight) of a quantity over all examples."""
        values = self.values(name)
        return total(own for own, _ in values), total(weight for _, weight in values)

    def mean_of(self, name):
        """The mean over examples of a quantity, each example's being sum / weight, and its standard error."""
        return mean([own / weight for own, weight in self.values(name)])
