"""Golden rounds of FedAvg and FedAvgM (server momentum, Hsu et al. 2019).

Makes algorithms.json in OUT: the first global model, 4 rounds of updates from 5 clients with
different example counts, and the global model expected after each round under
  fedavg   w <- w + sum_k (n_k / n) * delta_k
  fedavgm  m <- beta * m + sum_k (n_k / n) * delta_k;  w <- w + m;  m starts at 0
A delta is what a client trained minus what it received; the updates of a round are the same
numbers under both algorithms. Inputs are f32 values (written so that reading them back as
f32 is exact), the arithmetic is float64; tensors are flat and row-major, "a" 3x4, "b" 7.

Both are held against Flower's own code in every round and the script fails if they differ:
FedAvg against flwr.server.strategy.aggregate.aggregate on the clients' whole models, FedAvgM
against the weights flwr.server.strategy.FedAvgM returns for the same models with a server
learning rate of 1.

Made with Python 3.11, numpy 2.4.6, flwr 1.41.0.
Run: python algorithms.py OUT
"""

import argparse
import json
from pathlib import Path

import numpy as np
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvgM
from flwr.server.strategy.aggregate import aggregate

SHAPES = {"a": (3, 4), "b": (7,)}
EXAMPLES = {"oak": 120, "elm": 7, "ash": 64, "yew": 1, "fir": 333}
ROUNDS = 4
BETA = 0.9


def draw(rng, scale):
    return {name: (scale * rng.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


def exact(tensors):
    return {name: t.astype(np.float64) for name, t in tensors.items()}


def written(tensors):
    """Flat lists; a float32 widened to float64 is written exactly."""
    return {name: t.astype(np.float64).ravel().tolist() for name, t in tensors.items()}


def mean_delta(updates):
    total = sum(u["examples"] for u in updates)
    return {name: sum(u["examples"] * u["delta"][name].astype(np.float64) for u in updates) / total for name in SHAPES}


def clients_models(start, updates):
    return [([start[name] + u["delta"][name] for name in SHAPES], u["examples"]) for u in updates]


class FlowerMomentum:
    """Flower's FedAvgM, driven with models instead of messages."""

    def __init__(self, start):
        self.strategy = FedAvgM(
            initial_parameters=ndarrays_to_parameters(list(start.values())),
            server_learning_rate=1.0, server_momentum=BETA)
        self.strategy.initialize_parameters(None)

    def step(self, round_, models):
        results = [(None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(m), n, {})) for m, n in models]
        parameters, _ = self.strategy.aggregate_fit(round_, results, [])
        return parameters_to_ndarrays(parameters)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(20190913)
    start = draw(rng, 1.0)
    rounds = [[{"client": c, "examples": n, "delta": draw(rng, 0.1)} for c, n in EXAMPLES.items()] for _ in range(ROUNDS)]

    average, momentum_model = exact(start), exact(start)
    momentum = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    flower = FlowerMomentum(exact(start))
    fedavg, fedavgm = [], []
    for number, updates in enumerate(rounds, 1):
        mean = mean_delta(updates)

        theirs = aggregate(clients_models(average, updates))
        average = {name: average[name] + mean[name] for name in SHAPES}
        for got, expected in zip(theirs, average.values(), strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
        fedavg.append(written(average))

        theirs = flower.step(number, clients_models(momentum_model, updates))
        momentum = {name: BETA * momentum[name] + mean[name] for name in SHAPES}
        momentum_model = {name: momentum_model[name] + momentum[name] for name in SHAPES}
        for got, expected in zip(theirs, momentum_model.values(), strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
        fedavgm.append(written(momentum_model))

    result = {
        "shapes": {name: list(shape) for name, shape in SHAPES.items()},
        "beta": BETA,
        "global": written(start),
        "rounds": [[u | {"delta": written(u["delta"])} for u in updates] for updates in rounds],
        "fedavg": fedavg,
        "fedavgm": fedavgm,
    }
    (out / "algorithms.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"{ROUNDS} rounds, {len(EXAMPLES)} clients: FedAvg and FedAvgM agree with Flower's")


if __name__ == "__main__":
    main()
