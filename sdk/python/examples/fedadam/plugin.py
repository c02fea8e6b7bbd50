"""FedAdam: m ← β₁ m + (1 - β₁) Δ, v ← β₂ v + (1 - β₂) Δ², w ← w + η m / (√v + τ).

Δ = Σ pᵢ Δᵢ; before round 1, m = 0 and v = τ²; no bias correction. OpenFedLLM: pᵢ uniform, m = Δ in round 1, and
m² in place of Δ². The same bits as `plugins/algorithms/fedadam`.
"""

from folkmoot import Algorithm, Variant, Weighting, f32, setting


class FedAdam(Algorithm):
    """Adam on the server."""

    references = [
        "Reddi et al. 2020, Adaptive Federated Optimization, https://arxiv.org/abs/2003.00295",
        "Ye et al. 2024, OpenFedLLM: Training Large Language Models on Decentralized Private Data via Federated Learning, https://arxiv.org/abs/2402.06954",
    ]
    linear = True

    eta: f32 = setting(0.001, minimum=0.0, help="Learning rate η of the server; 0.001 by default.")
    tau: f32 = setting(
        0.001,
        above=0.0,
        help="Adaptivity τ, above 0: the smaller, the more each coordinate has its own rate; 0.001 by default.",
    )
    beta1: f32 = setting(0.9, minimum=0.0, maximum=1.0, help="Decay β₁ of the momentum; 0.9 by default.")
    beta2: f32 = setting(0.99, minimum=0.0, maximum=1.0, help="Decay β₂ of the second moment; 0.99 by default.")
    variant: Variant = setting(
        Variant.PAPER, help="Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM."
    )
    weighting: Weighting | None = setting(
        None,
        help="What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `uniform`.",
    )

    def start(self, global_, state):
        self.variant.weighting(self.weighting, Weighting.UNIFORM)

    def aggregate(self, round, global_, updates, state):
        paper = self.variant is Variant.PAPER
        delta = updates.mean_by(self.variant.weighting(self.weighting, Weighting.UNIFORM))
        m = state.params("momentum")
        if m is not None:
            m = self.beta1 * m + (1.0 - self.beta1) * delta
        else:
            m = (1.0 - self.beta1 if paper else 1.0) * delta
        square = delta.square() if paper else m.square()
        state.put_params("momentum", m)
        v = state.params("variance")
        if v is None:
            v = global_.filled(self.tau * self.tau)
        v = self.beta2 * v + (1.0 - self.beta2) * square
        state.put_params("variance", v)
        return global_ + self.eta * (m / (v.sqrt() + self.tau))
