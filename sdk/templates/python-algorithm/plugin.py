"""{{Name}}: m ← β m + Δ with Δ = Σ pᵢ Δᵢ, then w ← w + η m; before round 1, m = 0."""

from folkmoot import Algorithm, f32, report, setting


class {{Name}}(Algorithm):
    """Averages the clients' updates, with momentum on the server."""

    # As `Authors year, title, address`.
    references = []
    # Whether `aggregate` is linear in the updates, so that it may run under secure aggregation.
    linear = True

    eta: f32 = setting(1.0, minimum=0.0, help="Learning rate η of the server; 1 by default.")
    beta: f32 = setting(0.9, minimum=0.0, below=1.0, help="Decay β of the momentum; 0.9 by default.")

    def aggregate(self, round, global_, updates, state):
        m, last = updates.mean(), state.params("momentum")
        if last is not None:
            m = self.beta * last + m
        state.put_params("momentum", m)
        report("momentum", m.norm())
        return global_ + self.eta * m
