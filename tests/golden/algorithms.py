"""Golden rounds of every algorithm plugin, and OpenFedLLM's scalar vectors.

Makes algorithms.json in OUT. A federation of 12 clients (ids 0 to 11) with different example
counts trains for 24 rounds; a round's cohort is 11 of them, client 10 always among them.
  shapes, clients   the tensors (flat, row-major); example counts by client id
  lr, global        the clients' learning rate; the first global model
  rounds            per round and client of the cohort: steps, initial_loss, delta
  cases             per plugin and settings the results of the check_rounds: "global" after the
                    round and, where the algorithm has a client half, what the first two
                    clients of the cohort are sent at its start; "only": k means that no client
                    but k is aggregated
  openfedllm_vectors  scalar runs (below)
A delta D_k is what client k trained minus what it received; the deltas are the same numbers in
every case, whatever the objective. Round t + 1 starts from the case's own result of round t.
The state of a client (c_k, h_k) persists while it is not in the cohort.

Inputs are decimals of 5 significant digits, taken to f32 and from there to float64, in which all
arithmetic is done; lr and the settings stay float64. Results are written with 12 significant
digits.

Definitions. n_k examples, p_k = n_k / sum of the cohort's, or 1 / cohort with "weighting":
"uniform"; mean() is by p_k; K_k steps; N all clients; every state starts at 0 unless said.
  fedavg       w += mean(D)
  fedprox      the same; proximal [mu, w]
  scaffold     correct c - c_k; w += eta mean(D); c_k+ = c_k - c - D_k / (K_k lr);
               c += sum(c_k+ - c_k) / N; eta is 1 unless given
  fedavgm      m = beta1 m + mean(D); w += eta m
  fedadagrad   v += mean(D)^2; w += eta mean(D) / (sqrt(v) + tau); v starts at tau^2
  fedyogi      m = beta1 m + (1 - beta1) mean(D); v -= (1 - beta2) mean(D)^2 sign(v - mean(D)^2);
               w += eta m / (sqrt(v) + tau); v starts at tau^2; no bias correction
  fedadam      as fedyogi but v = beta2 v + (1 - beta2) mean(D)^2
  fednova      w += (sum p_k K_k) sum p_k D_k / K_k
  feddyn       proximal [alpha, w], linear -h_k; h_k -= alpha D_k; h -= alpha sum(D_k) / N;
               w += mean(D) - h / alpha
  qfedavg      L = 1 / eta (eta is lr unless given), F_k = initial_loss + 1e-10;
               w += L sum F_k^q D_k / sum(q F_k^(q-1) ||L D_k||^2 + L F_k^q)
  median       per coordinate
  trimmed-mean per coordinate, without the `drop` (or floor(fraction n)) least and greatest
  norm-bounded D_k min(1, bound / ||D_k||), then mean; bound is the median norm unless given
  rfa          v = mean(D), then `iterations` times: beta_k = p_k / max(nu, ||v - D_k||),
               v = sum beta_k D_k / sum beta_k
  krum         the D_k of the least score, the sum of its n - f - 2 least squared distances to
               others (f = byzantine); the lower id of equals
  multikrum    mean of the `keep` (n - f unless given) of least score
  bulyan       theta = n - 2f by repeated Krum on those left (max(1, r - f - 2) neighbours of r),
               then per coordinate the mean of the theta - 2f values nearest the median, the
               smaller of equally near ones first
  local        w += D of one client
"variant": "openfedllm" is OpenFedLLM's arithmetic: fedavg and scaffold as above; fedavgm
m = beta1 m + (1 - beta1) mean(D), in the first round m = mean(D), w += m; fedadagrad, fedyogi and
fedadam weight uniformly, take m = mean(D) in the first round and m^2 where v has mean(D)^2.
The functions here must give OpenFedLLM's vectors to the digits printed: one scalar w, two
clients with `examples` in every round, y = w + offset; "scaffold" has what each client is sent
and, after the round, each c_k and c.

Held against Flower's own code in every round of every case (1e-9; the script fails otherwise):
  fedavg, fedprox, scaffold (the model)     aggregate
  scaffold with eta, fedavgm                FedAvgM; the openfedllm variant of fedavgm with a
                                            preset momentum of -mean(D) / (1 - beta1)
  fedadagrad (all), fedyogi, fedadam        FedAdagrad, FedYogi, FedAdam with v_t preset to tau^2
                                            and, for FedAdam, its bias correction divided out
  qfedavg                                   QFedAvg of flwr.serverapp (the one of flwr.server
                                            has a single loss), given the initial loss for the
                                            training loss that it asks for
  median, trimmed-mean                      aggregate_median, aggregate_trimmed_avg
  krum, multikrum                           aggregate_krum
  bulyan                                    aggregate_bulyan with aggregate_krum (the one of
                                            flwr.serverapp selects by a single MultiKrum pass)
  norm-bounded                              compute_clip_model_update and aggregate
Flower has nothing equal to: scaffold's corrections, fednova, feddyn, rfa, local, and fedyogi and
fedadam of the openfedllm variant (m^2 in v). Scaffold and that variant are held against
OpenFedLLM's vectors; fednova, feddyn, rfa and scaffold against identities (check_identities).

Where an algorithm chooses (Krum's scores, Bulyan's nearest values, Yogi's sign) the script also
fails if a choice is so near that f32 models could turn it.

Made with Python 3.11, numpy 2.4.6, flwr 1.41.0.
Run: python algorithms.py OUT
"""

import argparse
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAdagrad, FedAdam, FedAvgM, FedYogi
from flwr.server.strategy.aggregate import (
    aggregate, aggregate_bulyan, aggregate_krum, aggregate_median, aggregate_trimmed_avg)
from flwr.serverapp.strategy import QFedAvg
from flwr.supercore.differential_privacy import compute_clip_model_update

SHAPES = {"layer.lora_A": (3, 4), "layer.lora_B": (5, 2)}
SIZES = [int(np.prod(shape)) for shape in SHAPES.values()]
SIZE = sum(SIZES)
EXAMPLES = [120, 7, 64, 1, 333, 48, 210, 15, 90, 500, 33, 75]
COHORT = 11
ALWAYS = 10
ROUNDS = 24
CHECK_ROUNDS = [1, 2, 3, 8, 16, 24]
SHOWN_CLIENTS = 2
LR = 0.01
SEED = 20240211

OPT = {"eta": 0.02, "tau": 0.01}
MOMENTS = OPT | {"beta1": 0.8, "beta2": 0.95}
UNIFORM = {"weighting": "uniform"}
OPENFEDLLM = {"variant": "openfedllm"}

CASES = [
    ("fedavg", {}),
    ("fedavg", UNIFORM),
    ("fedavg", OPENFEDLLM),
    ("fedprox", {"mu": 0.05}),
    ("scaffold", {}),
    ("scaffold", {"eta": 0.5} | UNIFORM),
    ("scaffold", OPENFEDLLM),
    ("fedavgm", {"beta1": 0.8, "eta": 0.7}),
    ("fedavgm", {"beta1": 0.9} | OPENFEDLLM),
    ("fedadagrad", OPT),
    ("fedadagrad", OPT | UNIFORM),
    ("fedadagrad", OPT | OPENFEDLLM),
    ("fedyogi", MOMENTS),
    ("fedyogi", MOMENTS | UNIFORM),
    ("fedyogi", MOMENTS | OPENFEDLLM),
    ("fedadam", MOMENTS),
    ("fedadam", MOMENTS | UNIFORM),
    ("fedadam", MOMENTS | OPENFEDLLM),
    ("fednova", {}),
    ("feddyn", {"alpha": 0.1}),
    ("qfedavg", {"q": 0.7, "eta": 0.01}),
    ("qfedavg", {"q": 2}),
    ("median", {}),
    ("trimmed-mean", {"drop": 2}),
    ("trimmed-mean", {"fraction": 0.3}),
    ("norm-bounded", {"bound": 0.2}),
    ("norm-bounded", {}),
    ("rfa", {"iterations": 4, "nu": 1e-6}),
    ("krum", {"byzantine": 3}),
    ("multikrum", {"byzantine": 2}),
    ("multikrum", {"byzantine": 3, "keep": 4} | UNIFORM),
    ("bulyan", {"byzantine": 2}),
    ("local", {"client": ALWAYS}),
]


# --- The algorithms. A model is one flat vector; an update has client, examples, steps,
# --- initial_loss and delta.


def shares(updates, settings):
    """p_k of each update."""
    if settings.get("weighting") == "uniform":
        return np.full(len(updates), 1 / len(updates))
    examples = np.array([u["examples"] for u in updates], dtype=np.float64)
    return examples / examples.sum()


def deltas_of(updates):
    return np.stack([u["delta"] for u in updates])


def mean_delta(updates, settings):
    return shares(updates, settings) @ deltas_of(updates)


def norms(rows):
    return np.sqrt((rows**2).sum(axis=1))


def decided(gap, least, what):
    """A choice that rounding to f32 could turn is no golden value."""
    if np.min(gap) < least:
        raise SystemExit(f"{what}: a choice by {np.min(gap):.1e} only; take another SEED")


class Algorithm:
    """FedAvg; the others change `step` and, where there is a client half, `terms`."""

    client_half = False

    def __init__(self, settings, clients, size, lr):
        self.settings, self.clients, self.lr = settings, clients, lr
        self.reference = settings.get("variant") == "openfedllm"
        self.size = size

    def terms(self, client, w):
        """What `client` is sent beside the model."""
        return {"proximal": [], "linear": [], "correct": []}

    def step(self, w, updates):
        return w + mean_delta(updates, self.settings)


class FedProx(Algorithm):
    client_half = True

    def terms(self, client, w):
        return {"proximal": [[self.settings["mu"], w]], "linear": [], "correct": []}


class Scaffold(Algorithm):
    client_half = True

    def __init__(self, *args):
        super().__init__(*args)
        self.c = np.zeros(self.size)
        self.c_k = np.zeros((self.clients, self.size))

    def terms(self, client, w):
        return {"proximal": [], "linear": [], "correct": [self.c - self.c_k[client]]}

    def step(self, w, updates):
        change = np.zeros(self.size)
        for u in updates:
            before = self.c_k[u["client"]].copy()
            after = before - self.c - u["delta"] / (u["steps"] * self.lr)
            self.c_k[u["client"]] = after
            change += after - before
        self.c = self.c + change / self.clients
        return w + self.settings.get("eta", 1.0) * mean_delta(updates, self.settings)


class Momentum(Algorithm):
    def __init__(self, *args):
        super().__init__(*args)
        self.m = None

    def step(self, w, updates):
        delta, beta1 = mean_delta(updates, self.settings), self.settings["beta1"]
        if self.m is None:
            self.m = delta
        elif self.reference:
            self.m = beta1 * self.m + (1 - beta1) * delta
        else:
            self.m = beta1 * self.m + delta
        return w + self.settings.get("eta", 1.0) * self.m


class Adaptive(Algorithm):
    """FedAdagrad, FedYogi, FedAdam."""

    def __init__(self, *args):
        super().__init__(*args)
        self.m = None
        self.v = np.full(self.size, self.settings["tau"] ** 2)

    def step(self, w, updates):
        delta = mean_delta(updates, UNIFORM if self.reference else self.settings)
        self.m = self.first_moment(delta)
        self.v = self.second_moment(self.m if self.reference else delta)
        return w + self.settings["eta"] * self.m / (np.sqrt(self.v) + self.settings["tau"])

    def first_moment(self, delta):
        beta1 = self.settings["beta1"]
        if self.m is None:
            return delta if self.reference else (1 - beta1) * delta
        return beta1 * self.m + (1 - beta1) * delta


class Adagrad(Adaptive):
    def first_moment(self, delta):
        return delta

    def second_moment(self, x):
        return self.v + x**2


class Yogi(Adaptive):
    def second_moment(self, x):
        decided(abs(np.sqrt(self.v) - abs(x)), 2e-6, "fedyogi's sign")
        return self.v - (1 - self.settings["beta2"]) * x**2 * np.sign(self.v - x**2)


class Adam(Adaptive):
    def second_moment(self, x):
        beta2 = self.settings["beta2"]
        return beta2 * self.v + (1 - beta2) * x**2


class FedNova(Algorithm):
    def step(self, w, updates):
        p, steps = shares(updates, self.settings), np.array([u["steps"] for u in updates])
        return w + (p @ steps) * ((p / steps) @ deltas_of(updates))


class FedDyn(Algorithm):
    client_half = True

    def __init__(self, *args):
        super().__init__(*args)
        self.h = np.zeros(self.size)
        self.h_k = np.zeros((self.clients, self.size))

    def terms(self, client, w):
        return {"proximal": [[self.settings["alpha"], w]], "linear": [-self.h_k[client]], "correct": []}

    def step(self, w, updates):
        alpha = self.settings["alpha"]
        for u in updates:
            self.h_k[u["client"]] -= alpha * u["delta"]
        self.h = self.h - alpha / self.clients * deltas_of(updates).sum(axis=0)
        return w + mean_delta(updates, self.settings) - self.h / alpha


class FairAverage(Algorithm):
    def step(self, w, updates):
        q, lipschitz = self.settings["q"], 1 / self.settings.get("eta", self.lr)
        above, below = np.zeros(self.size), 0.0
        for u in updates:
            loss = u["initial_loss"] + 1e-10
            above += loss**q * u["delta"]
            below += q * loss ** (q - 1) * ((lipschitz * u["delta"]) ** 2).sum() + lipschitz * loss**q
        return w + lipschitz * above / below


class Median(Algorithm):
    def step(self, w, updates):
        return w + np.median(deltas_of(updates), axis=0)


class TrimmedMean(Algorithm):
    def step(self, w, updates):
        n = len(updates)
        drop = self.settings["drop"] if "drop" in self.settings else int(self.settings["fraction"] * n)
        return w + np.sort(deltas_of(updates), axis=0)[drop:n - drop].mean(axis=0)


class NormBounded(Algorithm):
    def step(self, w, updates):
        rows = deltas_of(updates)
        length = norms(rows)
        bound = self.settings.get("bound", np.median(length))
        return w + (shares(updates, self.settings) * np.minimum(1, bound / length)) @ rows


class Rfa(Algorithm):
    def step(self, w, updates):
        return w + self.centres(updates)[-1]

    def centres(self, updates):
        """The weighted mean and the centre after each iteration."""
        p, rows = shares(updates, self.settings), deltas_of(updates)
        found = [p @ rows]
        for _ in range(self.settings["iterations"]):
            beta = p / np.maximum(self.settings["nu"], norms(found[-1] - rows))
            found.append(beta @ rows / beta.sum())
        return found


def krum_scores(rows, byzantine):
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    neighbours = max(1, len(rows) - byzantine - 2)
    return np.array([np.sort(np.delete(s, i))[:neighbours].sum() for i, s in enumerate(squares)])


def least(scores, count):
    """The places of the `count` least scores, in ascending order; the first of equals."""
    order = np.argsort(scores, kind="stable")
    # Equal scores are no accident: with one neighbour two that are nearest to each other have
    # the same one. Only what is above the last kept must be clear of it.
    last = scores[order[count - 1]]
    above = scores[scores > last]
    if len(above) > 0:
        decided((above - last) / above, 1e-5, "Krum's scores")
    return sorted(order[:count])


class MultiKrum(Algorithm):
    def step(self, w, updates):
        byzantine = self.settings["byzantine"]
        keep = self.settings.get("keep", len(updates) - byzantine)
        kept = [updates[i] for i in least(krum_scores(deltas_of(updates), byzantine), keep)]
        return w + mean_delta(kept, self.settings)


class Krum(Algorithm):
    def step(self, w, updates):
        [best] = least(krum_scores(deltas_of(updates), self.settings["byzantine"]), 1)
        return w + updates[best]["delta"]


class Bulyan(Algorithm):
    def step(self, w, updates):
        byzantine, rows = self.settings["byzantine"], deltas_of(updates)
        theta = len(rows) - 2 * byzantine
        count = theta - 2 * byzantine
        left, chosen = list(range(len(rows))), []
        for _ in range(theta):
            [best] = least(krum_scores(rows[left], byzantine), 1)
            chosen.append(left.pop(best))
        rows = rows[sorted(chosen)]
        distance = abs(rows - np.median(rows, axis=0))
        order = np.lexsort((rows, distance), axis=0)
        ranked = np.take_along_axis(distance, order, axis=0)
        decided(ranked[count] - ranked[count - 1], 2e-6, "bulyan's nearest values")
        return w + np.take_along_axis(rows, order, axis=0)[:count].mean(axis=0)


class Local(Algorithm):
    def step(self, w, updates):
        [mine] = [u for u in updates if u["client"] == self.settings["client"]]
        return w + mine["delta"]


PLUGINS = {
    "fedavg": Algorithm, "fedprox": FedProx, "scaffold": Scaffold, "fedavgm": Momentum,
    "fedadagrad": Adagrad, "fedyogi": Yogi, "fedadam": Adam, "fednova": FedNova, "feddyn": FedDyn,
    "qfedavg": FairAverage, "median": Median, "trimmed-mean": TrimmedMean, "norm-bounded": NormBounded,
    "rfa": Rfa, "krum": Krum, "multikrum": MultiKrum, "bulyan": Bulyan, "local": Local,
}


# --- Flower. Each function below returns a step(round, w, updates) -> w in Flower's own code,
# --- which sees the clients' whole models as lists of tensors.


def split(vector):
    """One flat vector as the list of tensors."""
    parts = np.split(vector, np.cumsum(SIZES)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, SHAPES.values(), strict=True)]


def joined(tensors):
    return np.concatenate([t.ravel() for t in tensors])


def models(w, updates, settings):
    uniform = settings.get("weighting") == "uniform"
    return [(split(w + u["delta"]), 1 if uniform else u["examples"]) for u in updates]


def run_strategy(strategy, number, results):
    answers = [(None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(m), n, {})) for m, n in results]
    parameters, _ = strategy.aggregate_fit(number, answers, [])
    return joined(parameters_to_ndarrays(parameters))


def flower_average(settings, start):
    return lambda number, w, updates: joined(aggregate(models(w, updates, settings)))


def flower_momentum(settings, start):
    """FedAvgM; without beta1 it is a server learning rate alone."""
    beta1, eta = settings.get("beta1", 0.0), settings.get("eta", 1.0)
    reference = settings.get("variant") == "openfedllm"
    strategy = FedAvgM(
        initial_parameters=ndarrays_to_parameters(split(start)),
        server_learning_rate=1 - beta1 if reference else eta, server_momentum=beta1)

    def step(number, w, updates):
        if reference and number == 1:
            # Flower's momentum points against the update. Its first step then gives
            # beta1 d / (1 - beta1) + d = d / (1 - beta1), of which 1 - beta1 is applied.
            strategy.momentum_vector = [-d / (1 - beta1) for d in split(mean_delta(updates, settings))]
        # Past its first round it does not replace the preset momentum.
        return run_strategy(strategy, number + 1 if reference else number, models(w, updates, settings))

    return step


def flower_adaptive(kind):
    def prepare(settings, start):
        if settings.get("variant") == "openfedllm":
            if kind is not FedAdagrad:
                return None
            settings = settings | UNIFORM
        eta, tau = settings["eta"], settings["tau"]
        beta1, beta2 = settings.get("beta1"), settings.get("beta2")
        betas = {} if kind is FedAdagrad else {"beta_1": beta1, "beta_2": beta2}
        strategy = kind(initial_parameters=ndarrays_to_parameters(split(start)), eta=eta, tau=tau, **betas)
        strategy.v_t = [np.full(shape, tau**2) for shape in SHAPES.values()]

        def step(number, w, updates):
            if kind is FedAdam:
                strategy.eta = eta * (1 - beta1 ** (number + 1)) / np.sqrt(1 - beta2 ** (number + 1))
            return run_strategy(strategy, number, models(w, updates, settings))

        return step

    return prepare


def flower_scaffold(settings, start):
    return (flower_momentum if "eta" in settings else flower_average)(settings, start)


def flower_qfedavg(settings, start):
    strategy = QFedAvg(client_learning_rate=settings.get("eta", LR), q=settings["q"])

    def step(number, w, updates):
        strategy.current_arrays = ArrayRecord(split(w))
        replies = []
        for u in updates:
            metrics = MetricRecord({"train_loss": u["initial_loss"], "num-examples": u["examples"]})
            arrays = ArrayRecord(split(w + u["delta"]))
            content = RecordDict({"arrays": arrays, "metrics": metrics})
            replies.append(SimpleNamespace(content=content, has_error=lambda: False))
        arrays, _ = strategy.aggregate_train(number, replies)
        return joined(arrays.to_numpy_ndarrays())

    return step


def flower_median(settings, start):
    return lambda number, w, updates: joined(aggregate_median(models(w, updates, settings)))


def flower_trimmed(settings, start):
    def step(number, w, updates):
        # Flower takes a fraction only; half a client more keeps its floor at `drop`.
        cut = settings["fraction"] if "fraction" in settings else (settings["drop"] + 0.5) / len(updates)
        return joined(aggregate_trimmed_avg(models(w, updates, settings), cut))

    return step


def flower_krum(settings, start):
    return lambda number, w, updates: joined(
        aggregate_krum(models(w, updates, settings), settings["byzantine"], to_keep=0))


def flower_multikrum(settings, start):
    def step(number, w, updates):
        keep = settings.get("keep", len(updates) - settings["byzantine"])
        return joined(aggregate_krum(models(w, updates, settings), settings["byzantine"], keep))

    return step


def flower_bulyan(settings, start):
    return lambda number, w, updates: joined(
        aggregate_bulyan(models(w, updates, settings), settings["byzantine"], aggregate_krum, to_keep=0))


def flower_norm_bounded(settings, start):
    def step(number, w, updates):
        bound = settings.get("bound", np.median(norms(deltas_of(updates))))
        results = models(w, updates, settings)
        for model, _ in results:
            compute_clip_model_update(model, split(w), bound)
        return joined(aggregate(results))

    return step


FLOWER = {
    "fedavg": flower_average, "fedprox": flower_average, "scaffold": flower_scaffold,
    "fedavgm": flower_momentum, "fedadagrad": flower_adaptive(FedAdagrad),
    "fedyogi": flower_adaptive(FedYogi), "fedadam": flower_adaptive(FedAdam),
    "qfedavg": flower_qfedavg, "median": flower_median, "trimmed-mean": flower_trimmed,
    "krum": flower_krum, "multikrum": flower_multikrum, "bulyan": flower_bulyan,
    "norm-bounded": flower_norm_bounded,
}


# --- OpenFedLLM's vectors: scalar inputs, and what must come out to the digits printed.

VECTOR_INPUT = {
    "w": 1.0, "examples": [3, 1], "offsets": [[0.2, -0.1], [0.1, -0.2], [-0.05, 0.3]],
    "clients": 4, "steps": 2, "lr": 0.1,
}
VECTOR_OPT = {"eta": 0.001, "tau": 0.001} | OPENFEDLLM
VECTOR_MOMENTS = VECTOR_OPT | {"beta1": 0.9, "beta2": 0.99}
VECTORS = [
    {"plugin": "fedavg", "settings": OPENFEDLLM, "w": [1.125, 1.15, 1.1875]},
    {"plugin": "fedavgm", "settings": {"beta1": 0.9} | OPENFEDLLM,
     "w": [1.125, 1.24, 1.34725], "m": [0.125, 0.115, 0.10725]},
    {"plugin": "fedadagrad", "settings": VECTOR_OPT,
     "w": [1.0009802, 1.0002830225, 1.0011473713], "v": [0.002501, 0.005001, 0.020626]},
    {"plugin": "fedyogi", "settings": VECTOR_MOMENTS,
     "w": [1.008198039, 1.0135451031, 1.0188779398], "v": [2.6e-5, 4.2e-5, 6.55225e-5]},
    {"plugin": "fedadam", "settings": VECTOR_MOMENTS,
     "w": [1.0081993574, 1.0135613712, 1.0189192812], "v": [2.599e-5, 4.17301e-5, 6.4835299e-5]},
    {"plugin": "scaffold", "settings": OPENFEDLLM, "w": [1.125, 1.15, 1.1875],
     "correct": [[0.0, 0.0], [0.875, -0.625], [1.4375, -1.5625]],
     "c_k": [[-1.0, 0.5], [-1.375, 1.625], [-1.1875, 0.0625]], "c": [-0.125, 0.0625, -0.28125]},
]


def assert_printed(value, printed, what):
    """The model is printed to 10 decimals, the states are exact."""
    if abs(float(value) - printed) > (0.5001e-10 if what.endswith(" w") else 1e-14):
        raise SystemExit(f"OpenFedLLM's vectors, {what}: {float(value)!r}, not {printed}")


def check_vectors():
    given = VECTOR_INPUT
    for vector in VECTORS:
        name = vector["plugin"]
        algorithm = PLUGINS[name](vector["settings"], given["clients"], 1, given["lr"])
        w = np.array([given["w"]])
        for t, offsets in enumerate(given["offsets"]):
            for k, printed in enumerate(vector["correct"][t] if "correct" in vector else []):
                assert_printed(algorithm.terms(k, w)["correct"][0][0], printed, f"{name} correct")
            w = algorithm.step(w, [
                {"client": k, "examples": n, "steps": given["steps"], "delta": np.array([offset])}
                for k, (n, offset) in enumerate(zip(given["examples"], offsets, strict=True))])
            assert_printed(w[0], vector["w"][t], f"{name} w")
            for state in ("m", "v", "c"):
                if state in vector:
                    assert_printed(getattr(algorithm, state)[0], vector[state][t], f"{name} {state}")
            for k, printed in enumerate(vector["c_k"][t] if "c_k" in vector else []):
                assert_printed(algorithm.c_k[k][0], printed, f"{name} c_k")


def check_identities(start, rounds):
    """What Flower cannot say of fednova, feddyn, rfa and scaffold's corrections."""

    def make(plugin, settings):
        return PLUGINS[plugin](settings, len(EXAMPLES), SIZE, LR)

    def same(a, b):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)

    rfa, dyn = make("rfa", {"iterations": 4, "nu": 1e-6}), make("feddyn", {"alpha": 0.1})
    scaffold, reference = make("scaffold", {}), make("scaffold", OPENFEDLLM)
    total, own = np.zeros(SIZE), np.zeros((len(EXAMPLES), SIZE))
    for updates in rounds:
        average = make("fedavg", {}).step(start, updates)
        # FedNova: with equal steps it is FedAvg, otherwise FedAvg of rescaled deltas.
        same(make("fednova", {}).step(start, [u | {"steps": 7} for u in updates]), average)
        examples = sum(u["examples"] for u in updates)
        effective = sum(u["examples"] * u["steps"] for u in updates) / examples
        scaled = [u | {"delta": u["delta"] / u["steps"] * effective} for u in updates]
        same(make("fednova", {}).step(start, updates), make("fedavg", {}).step(start, scaled))
        # FedDyn: h and h_k are -alpha times all the deltas so far.
        total += deltas_of(updates).sum(axis=0)
        for u in updates:
            own[u["client"]] += u["delta"]
        same(dyn.step(start, updates), average + total / len(EXAMPLES))
        same(dyn.h_k, -0.1 * own)
        # RFA: each iteration brings the weighted sum of distances down.
        p, rows = shares(updates, {}), deltas_of(updates)
        sums = [p @ norms(centre - rows) for centre in rfa.centres(updates)]
        assert all(b < a for a, b in zip(sums, sums[1:])), sums
        # SCAFFOLD: OpenFedLLM's server is the plain one.
        same(scaffold.step(start, updates), reference.step(start, updates))
        same(scaffold.c, reference.c)
    # With every client in the cohort SCAFFOLD's c stays the mean of the c_k.
    whole = make("scaffold", {})
    for t, updates in enumerate(rounds):
        everyone = [updates[k % len(updates)] | {"client": k} for k in range(len(EXAMPLES))]
        whole.step(start, everyone)
        np.testing.assert_allclose(whole.c, whole.c_k.mean(axis=0), rtol=0, atol=1e-9, err_msg=str(t))


# --- Inputs and the file.


def short(x):
    """A decimal of 5 significant digits."""
    return float(f"{x:.5g}")


def widened(x):
    """The f32 nearest to a decimal, as float64."""
    return np.asarray(x, dtype=np.float64).astype(np.float32).astype(np.float64)


def draw(rng, scale):
    """A model's worth of short decimals."""
    return [short(x) for x in scale * rng.standard_normal(SIZE)]


def draw_rounds(rng):
    rounds = []
    others = [k for k in range(len(EXAMPLES)) if k != ALWAYS]
    for _ in range(ROUNDS):
        cohort = sorted([*rng.permutation(others)[:COHORT - 1].tolist(), ALWAYS])
        updates = []
        for client in cohort:
            scale = np.exp(rng.uniform(np.log(0.001), np.log(0.3)))
            updates.append({
                "client": client, "steps": int(rng.integers(3, 21)),
                "initial_loss": short(rng.uniform(0.5, 4.0)), "delta": draw(rng, scale)})
        rounds.append(updates)
    return rounds


def named(values):
    """A flat list as flat lists by tensor."""
    return dict(zip(SHAPES, (part.tolist() for part in np.split(np.array(values), np.cumsum(SIZES)[:-1])), strict=True))


def written(vector):
    """12 significant digits, no negative zero."""
    return named([float(f"{x:.12g}") + 0.0 for x in vector])


def written_terms(terms):
    return {
        "proximal": [[mu, written(reference)] for mu, reference in terms["proximal"]],
        "linear": [written(x) for x in terms["linear"]],
        "correct": [written(x) for x in terms["correct"]],
    }


def case_name(plugin, settings):
    return " ".join([plugin, *(str(v) if isinstance(v, str) else f"{k}={v}" for k, v in settings.items())])


def run_case(plugin, settings, start, rounds):
    """The case for the file, and whether Flower had a say."""
    algorithm = PLUGINS[plugin](settings, len(EXAMPLES), SIZE, LR)
    flower = FLOWER[plugin](settings, start) if plugin in FLOWER else None
    w, expected = start, []
    for number, updates in enumerate(rounds, 1):
        shown = {"round": number}
        terms = {
            str(u["client"]): written_terms(algorithm.terms(u["client"], w))
            for u in updates[:SHOWN_CLIENTS]} if algorithm.client_half else None
        after = algorithm.step(w, updates)
        if flower is not None:
            np.testing.assert_allclose(
                flower(number, w, updates), after, rtol=0, atol=1e-9,
                err_msg=f"{case_name(plugin, settings)}, round {number}: Flower differs")
        w = after
        shown["global"] = written(w)
        if terms is not None:
            shown["clients"] = terms
        if number in CHECK_ROUNDS:
            expected.append(shown)
    case = {"name": case_name(plugin, settings), "plugin": plugin, "settings": settings}
    if plugin == "local":
        case["only"] = settings["client"]
    return case | {"expected": expected}, flower is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("flwr").setLevel(logging.ERROR)

    rng = np.random.default_rng(SEED)
    start_decimals, rounds_decimals = draw(rng, 0.5), draw_rounds(rng)
    start = widened(start_decimals)
    rounds = [[{
        "client": u["client"], "examples": EXAMPLES[u["client"]], "steps": u["steps"],
        "initial_loss": float(widened(u["initial_loss"])), "delta": widened(u["delta"]),
    } for u in updates] for updates in rounds_decimals]

    check_vectors()
    check_identities(start, rounds)
    cases, held, alone = [], [], []
    for plugin, settings in CASES:
        case, by_flower = run_case(plugin, settings, start, rounds)
        cases.append(case)
        (held if by_flower else alone).append(case["name"])

    result = {
        "shapes": {name: list(shape) for name, shape in SHAPES.items()},
        "clients": EXAMPLES,
        "lr": LR,
        "global": named(start_decimals),
        "rounds": [[u | {"delta": named(u["delta"])} for u in updates] for updates in rounds_decimals],
        "check_rounds": CHECK_ROUNDS,
        "cases": cases,
        "openfedllm_vectors": VECTOR_INPUT | {"algorithms": VECTORS},
    }
    (out / "algorithms.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"{len(held)} cases agree with Flower in all {ROUNDS} rounds; not in Flower: {'; '.join(alone)}")


if __name__ == "__main__":
    main()
