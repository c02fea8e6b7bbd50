"""SCAFFOLD: after each step of client i, v ← v - lr (c - cᵢ); then w ← w + η Σ pᵢ Δᵢ and c ← c + 1/N Σ δᵢ.

Option II of the paper: cᵢ⁺ = cᵢ - c - Δᵢ / (K lr) after K local steps, and δᵢ = cᵢ⁺ - cᵢ; N counts all clients. For
SGD the correction after the step is the paper's corrected gradient; for AdamW it keeps c out of the moments. The
same bits as `plugins/algorithms/scaffold`.
"""

from folkmoot import Algorithm, Refusal, Variant, Weighting, f32, setting, weighted_sum


def or_zeros(control, like):
    """A control, zeros where there is none yet."""
    return like.zeros() if control is None else control


class Scaffold(Algorithm):
    """FedAvg with control variates that take the drift of each client out of its steps."""

    references = [
        "Karimireddy et al. 2020, SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, https://arxiv.org/abs/1910.06378",
        "Ye et al. 2024, OpenFedLLM: Training Large Language Models on Decentralized Private Data via Federated Learning, https://arxiv.org/abs/2402.06954",
    ]
    linear = True

    eta: f32 = setting(
        1.0, minimum=0.0, help="Learning rate η of the server; 1 by default, and fixed by `openfedllm`."
    )
    variant: Variant = setting(
        Variant.PAPER, help="Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM."
    )
    weighting: Weighting | None = setting(
        None,
        help="What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `examples`.",
    )

    def start(self, global_, state):
        if self.variant is Variant.OPENFEDLLM and self.eta != 1.0:
            raise Refusal(f"eta is `{self.eta:g}`, but variant `openfedllm` fixes `1`")
        self.variant.weighting(self.weighting, Weighting.EXAMPLES)

    def configure(self, round, client, state, to):
        c = state.params("control")
        if c is not None:
            to.put_params("control", c)

    def begin(self, round, global_, received, state, objective):
        c = or_zeros(received.params("control"), global_)
        own = or_zeros(state.params("control"), global_)
        objective.correct(c - own)

    def finish(self, round, training, received, state, to):
        way = training.steps() * training.lr()
        if way <= 0.0:
            raise Refusal(
                f"no way in `{training.steps()}` steps at learning rate `{training.lr():g}`: a control needs some"
            )
        before, after = training.before(), training.after()
        c = or_zeros(received.params("control"), before)
        own = or_zeros(state.params("control"), before)
        following = own - c + (1.0 / way) * (before - after)
        state.put_params("control", following)
        to.put_params("control-change", following - own)

    def aggregate(self, round, global_, updates, state):
        changes = [update.message().params("control-change") for update in updates]
        for update, change in zip(updates, changes):
            if change is None:
                raise Refusal(f"client `{update.client().id()}` sent no `control-change`")
        share = 1.0 / round.clients()
        c = or_zeros(state.params("control"), global_)
        state.put_params("control", c + weighted_sum([(change, share) for change in changes]))
        weighting = self.variant.weighting(self.weighting, Weighting.EXAMPLES)
        return global_ + self.eta * updates.mean_by(weighting)
