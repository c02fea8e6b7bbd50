"""{{Name}}: rows in a seeded order, dealt out one after the other."""

from folkmoot import Partitioner, Refusal, setting


class {{Name}}(Partitioner):
    """Deals the examples out evenly, at random."""

    # As `Authors year, title, address`.
    references = []

    least: int = setting(1, minimum=0, help="Examples that each client has at least; 1 by default.")

    def partition(self, data, clients):
        rows = list(range(data.examples()))
        if len(rows) < self.least * clients:
            raise Refusal(f"`{len(rows)}` examples are too few for `{clients}` clients with `{self.least}` each")
        data.rng().shuffle(rows)
        return [sorted(rows[client::clients]) for client in range(clients)]
