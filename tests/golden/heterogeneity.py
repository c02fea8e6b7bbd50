"""Golden heterogeneity of clients: labels and sizes.

Makes heterogeneity.json in OUT: a list of cases, each with
  name           what the case is
  counts         rows of each client (outer) and label (inner)
  clients        size; entropy of the labels in nats; effective = exp(entropy), 0 without rows;
                 distinct labels; distance = Jensen-Shannon distance (base 2) to the labels of
                 all clients together, null without rows; largest label (the first of a tie) and
                 its share of the client's rows, null and 0 without rows
  sizes          smallest, median, largest, mean, variation (population's standard deviation by
                 the mean) and gini (mean absolute difference by twice the mean), the last two 0
                 without rows
  mean_distance, weighted_distance, largest_distance
                 over the clients with rows, the second weighted by size; 0 without such

Entropy and distance are scipy.stats.entropy and scipy.spatial.distance.jensenshannon.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1.
Run: python heterogeneity.py OUT
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy


def client(counts, whole):
    size = int(counts.sum())
    if size == 0:
        return {"size": 0, "entropy": 0.0, "effective": 0.0, "distinct": 0,
                "distance": None, "largest": None, "share": 0.0}
    h = float(entropy(counts))
    # scipy's difference of equal distributions may round below zero, whose root is nan.
    distance = float(np.nan_to_num(jensenshannon(counts, whole, base=2)))
    return {
        "size": size, "entropy": h, "effective": float(np.exp(h)),
        "distinct": int((counts > 0).sum()), "distance": distance,
        "largest": int(counts.argmax()), "share": float(counts.max() / size),
    }


def case(name, counts):
    counts = np.asarray(counts, dtype=np.int64)
    whole = counts.sum(axis=0)
    sizes = counts.sum(axis=1)
    clients = [client(row, whole) for row in counts]
    some = sizes.sum() > 0
    met = sizes > 0
    distances = np.array([c["distance"] for c in clients if c["distance"] is not None])
    differences = np.abs(sizes[:, None] - sizes[None, :]).mean()
    return {
        "name": name,
        "counts": counts.tolist(),
        "clients": clients,
        "sizes": {
            "smallest": int(sizes.min()), "median": float(np.median(sizes)),
            "largest": int(sizes.max()), "mean": float(sizes.mean()),
            "variation": float(sizes.std() / sizes.mean()) if some else 0.0,
            "gini": float(differences / (2 * sizes.mean())) if some else 0.0,
        },
        "mean_distance": float(distances.mean()) if some else 0.0,
        "weighted_distance": float(np.average(distances, weights=sizes[met])) if some else 0.0,
        "largest_distance": float(distances.max()) if some else 0.0,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    rng = np.random.default_rng(7)
    shares = rng.dirichlet([0.3] * 12, size=20)
    drawn = np.array([rng.multinomial(n, p) for n, p in zip(rng.integers(1, 900, 20), shares)])
    large = rng.integers(10**9, 10**12, size=(4, 5))
    cases = [
        case("dirichlet 0.3, 20 clients, 12 labels", drawn),
        case("equal shares", [[10, 20, 30], [1, 2, 3], [100, 200, 300]]),
        case("a label each", [[5, 0, 0], [0, 5, 0], [0, 0, 5]]),
        case("empty label", [[3, 0, 4], [9, 0, 1]]),
        case("one label", [[3], [12], [7]]),
        case("one client", [[3, 5, 0, 1]]),
        case("clients without rows", [[0, 0], [4, 1], [0, 0], [2, 6]]),
        case("no rows", [[0, 0], [0, 0]]),
        case("large counts", large),
        case("tie", [[7, 7, 1], [1, 7, 7]]),
    ]
    text = json.dumps(cases, indent=1) + "\n"
    (out / "heterogeneity.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
