"""What authors do with a round's updates and randomness, in terms of the contract's resources."""

from random import Random

from .backend import extend, interface
from .choices import Weighting
from .params import weighted_sum
from .refusal import Refusal
from .statistics import total

_run = interface("run")

Client = _run.Client
Message = _run.Message
Objective = _run.Objective
Round = _run.Round
State = _run.State
Training = _run.Training
Update = _run.Update
Updates = _run.Updates


def log(level, message):
    """A line for the log. Level: `debug`, `info`, `warn`, `error`."""
    _run.log(level, str(message))


def report(name, value):
    """A scalar for the run's record."""
    _run.report(name, float(value))


@extend(Round)
class _Round:
    def rng(self):
        """A generator seeded from the experiment, this round and this plugin."""
        return Random(self.random())


@extend(Updates)
class _Updates:
    def __len__(self):
        return self.count()

    def __iter__(self):
        """The updates in ascending client id."""
        return (self.get(index) for index in range(self.count()))

    def deltas(self):
        """The clients' changes of the parameters, in ascending client id."""
        return [update.delta() for update in self]

    def shares(self, weighting=Weighting.EXAMPLES):
        """pᵢ = nᵢ / Σ n with n = examples, or 1 / the number of updates; in ascending client id."""
        uniform = weighting is Weighting.UNIFORM
        weights = [1.0 if uniform else float(update.examples()) for update in self]
        whole = total(weights)
        return [weight / whole for weight in weights]

    def mean(self):
        """Σ pᵢ Δᵢ with pᵢ = nᵢ / Σ n, n = examples: the mean update of FedAvg (McMahan et al. 2017)."""
        return self.mean_by(Weighting.EXAMPLES)

    def mean_by(self, weighting):
        """Σ pᵢ Δᵢ with the shares of `weighting`."""
        return self.weighted_mean(self.shares(weighting))

    def weighted_mean(self, weights):
        """Σ wᵢ Δᵢ / Σ w, one weight per update in ascending client id."""
        deltas, weights = self.deltas(), [float(weight) for weight in weights]
        whole = total(weights)
        if len(deltas) != len(weights) or not whole > 0.0:
            raise Refusal(f"{len(weights)} weights with sum {whole} for {len(deltas)} updates")
        return weighted_sum([(delta, weight / whole) for delta, weight in zip(deltas, weights)])
