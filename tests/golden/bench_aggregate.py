"""Flower's side of the aggregation comparison; prints one line of JSON.

Every client's update is one flat float32 array of --size scalars, drawn from the client's number
before anything is timed, with an example count. A figure is one aggregation of --updates such
arrays that are already in memory, by Flower's own functions:
  fedavg (aggregate)     flwr.server.strategy.aggregate.aggregate
  fedavg (arrayrecords)  aggregate_arrayrecords of flwr.serverapp; a Flower record holds an array
                         as bytes, and reading them is part of that function
  fedadam                aggregate, then FedAdam's server step. The strategy takes serialised
                         models only, so its formula is copied here (checked against the
                         strategy on small arrays before the timing). Like Flower's it makes
                         the model float64 (its learning rate is a numpy scalar), so all runs
                         but the first have float64 state
  median                 aggregate_median
  trimmed mean           aggregate_trimmed_avg, 20 % cut from each end
  krum                   aggregate_krum, byzantine = max(1, updates // 5); skipped above 20
                         updates, as it makes every distance twice in a Python loop
"figures" has the seconds of each of --repeats runs (none is left out as warm-up), "peak_rss_mib"
the process's high-water mark, arrays and imports included; with --only it is that figure's own.
--only takes a name, or its first word for both of fedavg. OPENBLAS_NUM_THREADS=1 in the
environment keeps numpy to one core (it matters to krum alone).

Made with Python 3.11, numpy 2.4.6, flwr 1.41.0.
Run: python bench_aggregate.py --updates 10 --size 4194304 --repeats 5 --only median
"""

import argparse
import json
import logging
import resource
import time

import flwr
import numpy as np
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAdam
from flwr.server.strategy.aggregate import aggregate, aggregate_krum, aggregate_median, aggregate_trimmed_avg

try:
    from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
    from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
except ImportError:
    aggregate_arrayrecords = None

ETA, BETA1, BETA2, TAU = 0.1, 0.9, 0.99, 1e-9
KRUM_UPDATES = 20


class Adam:
    """FedAdam.aggregate_fit without its serialisation."""

    def __init__(self, start):
        self.current, self.m, self.v = start, None, None

    def step(self, number, results):
        delta = [x - y for x, y in zip(aggregate(results), self.current, strict=True)]
        if not self.m:
            self.m = [np.zeros_like(x) for x in delta]
        self.m = [np.multiply(BETA1, x) + (1 - BETA1) * y for x, y in zip(self.m, delta, strict=True)]
        if not self.v:
            self.v = [np.zeros_like(x) for x in delta]
        self.v = [BETA2 * x + (1 - BETA2) * np.multiply(y, y) for x, y in zip(self.v, delta, strict=True)]
        eta = ETA * np.sqrt(1 - np.power(BETA2, number + 1.0)) / (1 - np.power(BETA1, number + 1.0))
        self.current = [
            x + eta * y / (np.sqrt(z) + TAU) for x, y, z in zip(self.current, self.m, self.v, strict=True)]
        return self.current


def check_adam():
    start = [np.zeros(100, dtype=np.float32)]
    ours = Adam(start)
    theirs = FedAdam(
        initial_parameters=ndarrays_to_parameters(start), eta=ETA, beta_1=BETA1, beta_2=BETA2, tau=TAU)
    for number in (1, 2):
        results = client_results(3, 100)
        answers = [(None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(m), n, {})) for m, n in results]
        parameters, _ = theirs.aggregate_fit(number, answers, [])
        np.testing.assert_allclose(ours.step(number, results)[0], parameters_to_ndarrays(parameters)[0], rtol=1e-4)


def client_results(updates, size):
    results = []
    for k in range(updates):
        update = np.random.default_rng(k).standard_normal(size, dtype=np.float32)
        update *= np.float32(0.01)
        results.append(([update], 100 + k))
    return results


def records_of(results):
    return [
        RecordDict({
            "arrays": ArrayRecord({"model": Array(model[0])}),
            "metrics": MetricRecord({"num-examples": examples})})
        for model, examples in results]


def prepare(name, results, size):
    """What is timed, or why it is not."""
    updates = len(results)
    if name == "fedavg (aggregate)":
        return lambda number: aggregate(results)
    if name == "fedavg (arrayrecords)":
        if aggregate_arrayrecords is None:
            return "not in this version of flwr"
        records = records_of(results)
        return lambda number: aggregate_arrayrecords(records, "num-examples")
    if name == "fedadam":
        check_adam()
        adam = Adam([np.zeros(size, dtype=np.float32)])
        return lambda number: adam.step(number, results)
    if name == "median":
        return lambda number: aggregate_median(results)
    if name == "trimmed mean":
        return lambda number: aggregate_trimmed_avg(results, 0.2)
    if updates > KRUM_UPDATES:
        return f"skipped: {updates} updates, quadratic in Python"
    return lambda number: aggregate_krum(results, max(1, updates // 5), 0)


NAMES = ["fedavg (aggregate)", "fedavg (arrayrecords)", "fedadam", "median", "trimmed mean", "krum"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", metavar="NAME")
    args = parser.parse_args()
    names = [n for n in NAMES if args.only in (None, n, n.split(" (")[0])]
    if not names:
        parser.error(f"--only takes one of: {', '.join(NAMES)}")

    logging.getLogger("flwr").setLevel(logging.ERROR)
    results = client_results(args.updates, args.size)
    figures, notes = {}, {}
    for name in names:
        timed = prepare(name, results, args.size)
        if isinstance(timed, str):
            notes[name] = timed
            continue
        figures[name] = []
        for number in range(1, args.repeats + 1):
            start = time.perf_counter()
            made = timed(number)
            figures[name].append(round(time.perf_counter() - start, 6))
            del made
    print(json.dumps({
        "figures": figures,
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "notes": notes, "updates": args.updates, "size": args.size,
        "flwr": flwr.__version__, "numpy": np.__version__,
    }))


if __name__ == "__main__":
    main()
