"""Golden statistics of partitioners: what Flower Datasets' own do.

Makes partitioners.json in OUT:
  cases     a plugin with settings, splitting a table over clients:
    name, plugin, settings, clients   ours; clients 0 where settings or data say how many
    columns   per column the values, and a stride (1 if it is not given): row i holds value
              i * stride mod n. Values are "runs" of [value, count]; "squares": n for 0, 1, 4, ...;
              or listed as "values". Where they are whole numbers, Flower gets them as such.
    count     the column whose values are the labels below
    note      what was done to Flower
    sizes     the size of each client, where all seeds give the same
    table     examples by client and label (in the order of the values), where they all do
    random    whether different seeds give a client different rows
    consecutive   the shards, one after another, are the rows in order
    refused   share of the seeds that Flower raised for or left a client empty (below)
    stats     where there is no table: mean and its standard error over 100 seeds of entropy, mean
              over clients of the label entropy in nats; distance, mean Jensen-Shannon distance
              (base 2, the root) of a client's labels from those of the table; labels, mean number
              of different labels; largest, mean share of the commonest label; and where sizes differ,
              of rows, all that are handed out; size k, of the client of rank k, ascending; client k,
              where the clients are not alike
  refused   plugin, settings, clients and table that Flower raises for, and what it says

A client may not be empty here, while it may in Flower: such a seed is passed over, and the next
one taken, so the statistics are of the splits without an empty client. A split that is drawn anew
until it fits has the distribution of one that is passed over, so the number of tries (Flower's 11)
does not matter to the statistics. At alpha 0.001 there are few clients and many labels, lest all
splits have an empty one.

Flower's FederatedDataset shuffles before it partitions. That is done here, with the seed, where a
partitioner takes rows as they come (note "shuffled") and `shuffle` is true. Not for natural ids,
which are grouped in the order of their first rows, or sorted with `sort_ids`.

Not here, for Flower fails by accident: self_balancing with alpha 0.001 (where all that is left to
clients that are not full is 0, it divides by 0, and the last client gets the class); group_size 0,
and more shards per client than rows, division by 0; inner-dirichlet where a class is exhausted
whose clients have nothing else, NaN, and with labels that are not 0, 1, ..., an endless loop.
And not among what is refused: more clients than rows in iid, a size of 0 in inner-dirichlet, no
class per client in pathological, empty clients that Flower hands out. A constant column with
strictness 0 is left in order by continuous, not shuffled, for it is NaN.

Made with Python 3.11, numpy 2.4.6, datasets 4.8.5, flwr-datasets 0.6.1.
Run: python partitioners.py OUT
"""

import argparse
import json
import math
import warnings
from pathlib import Path

import datasets
import numpy as np
from flwr_datasets import partitioner as flower

SEEDS = 100

# Headlines by tone, news by subject, digits, products by kind: as unbalanced as such data is.
TONES = {"runs": [["negative", 121], ["neutral", 577], ["positive", 274]], "stride": 85}
NEWS = {"runs": [["business", 250], ["science", 250], ["sports", 250], ["world", 250]], "stride": 77}
DIGITS = {"runs": [[d, n] for d, n in enumerate([98, 113, 99, 102, 97, 89, 96, 105, 97, 104])], "stride": 7}
# As numbers 10 comes after 9, as text before 2.
TOPICS = {"runs": [[t, 40 + 17 * t % 41] for t in range(12)], "stride": 9}
PRODUCTS = {"runs": [[f"product {chr(97 + i)}", 4 + 240 // (i + 1)] for i in range(20)], "stride": 11}
PAIRS = {"runs": [[f"pair {chr(97 + i)}", 2] for i in range(20)]}
WRITERS = {"runs": [[f"writer {chr(97 + 7 * i % 11)}", 5 + 90 // (i + 1)] for i in range(11)], "stride": 7}
IDS = {"runs": [[7 * i % 12 * 3, 4 + i] for i in range(12)], "stride": 17}
# Values 0, 1, 4, ..., and the tenth of the rows that each is in.
TENTHS = {"runs": [[b, 103 if b == 9 else 100] for b in range(10)], "stride": 10}
PRICES = {"value": {"squares": 1003, "stride": 10}, "label": TENTHS}


def unfold(spec):
    if "runs" in spec:
        values = [value for value, count in spec["runs"] for _ in range(count)]
    elif "squares" in spec:
        values = [i * i for i in range(spec["squares"])]
    else:
        values = spec["values"]
    stride = spec.get("stride", 1)
    assert math.gcd(stride, len(values)) == 1, spec
    return [values[i * stride % len(values)] for i in range(len(values))]


def uniques(spec):
    return list(dict.fromkeys(value for value, _ in spec["runs"]))


def make(plugin, settings, clients, seed):
    """Flower's partitioner for our plugin and settings."""
    s = dict(settings)
    by, shuffle = s.pop("column", None), s.pop("shuffle", True)
    common = {"partition_by": by, "shuffle": shuffle, "seed": seed}
    match plugin:
        case "iid":
            made = flower.IidPartitioner(clients)
        case "linear":
            made = flower.LinearPartitioner(clients)
        case "square":
            made = flower.SquarePartitioner(clients)
        case "exponential":
            made = flower.ExponentialPartitioner(clients)
        case "size":
            made = flower.SizePartitioner(s.pop("sizes"))
        case "natural-id":
            made = flower.NaturalIdPartitioner(by)
        case "grouped-natural-id":
            made = flower.GroupedNaturalIdPartitioner(
                by, s.pop("group_size"), s.pop("mode", "allow-smaller"), s.pop("sort_ids", False)
            )
        case "dirichlet":
            made = flower.DirichletPartitioner(
                clients,
                alpha=s.pop("alpha"),
                min_partition_size=s.pop("min_size"),
                self_balancing=s.pop("self_balancing", False),
                **common,
            )
        case "inner-dirichlet":
            made = flower.InnerDirichletPartitioner(s.pop("sizes"), alpha=s.pop("alpha"), **common)
        case "distribution":
            made = flower.DistributionPartitioner(
                np.array(s.pop("distribution")),
                clients,
                rescale=s.pop("rescale", True),
                **common,
                num_unique_labels_per_partition=s.pop("classes_per_client"),
                preassigned_num_samples_per_label=s.pop("preassigned_per_class"),
            )
        case "pathological":
            made = flower.PathologicalPartitioner(
                clients,
                num_classes_per_partition=s.pop("classes_per_client"),
                class_assignment_mode=s.pop("assignment", "random"),
                **common,
            )
        case "shard":
            made = flower.ShardPartitioner(
                clients,
                num_shards_per_partition=s.pop("shards_per_client", None),
                shard_size=s.pop("shard_size", None),
                keep_incomplete_shard=s.pop("keep_incomplete_shard", False),
                **common,
            )
        case "continuous":
            made = flower.ContinuousPartitioner(clients, strictness=s.pop("strictness"), **common)
    assert not s, s
    return made


def split(plugin, settings, clients, columns, shuffled, seed):
    """For each client its rows, ascending."""
    table = {name: unfold(spec) for name, spec in columns.items()}
    rows = len(next(iter(table.values())))
    order = np.random.default_rng([seed, 1]).permutation(rows) if shuffled else range(rows)
    table = {name: [values[row] for row in order] for name, values in table.items()}
    made = make(plugin, settings, clients, seed)
    made.dataset = datasets.Dataset.from_dict(table | {"row": list(order)})
    # Nothing of Flower's arithmetic may have run into 0 / 0.
    with warnings.catch_warnings(), np.errstate(invalid="raise", divide="raise"):
        warnings.simplefilter("ignore")
        shards = [made.load_partition(k)[:]["row"] for k in range(made.num_partitions)]
    assert len(set(sum(shards, []))) == sum(map(len, shards))
    return [sorted(shard) for shard in shards]


def measure(shards, labels, alike):
    """labels: the index of each row's."""
    kinds = max(labels) + 1
    counts = np.array([np.bincount(labels[shard], minlength=kinds) for shard in shards])
    shares = counts / counts.sum(1, keepdims=True)
    whole = np.bincount(labels, minlength=kinds) / len(labels)

    def log(share):
        return np.log(np.where(share > 0, share, 1))

    middle = (shares + whole) / 2
    divergence = (shares * (log(shares) - log(middle)) + whole * (log(whole) - log(middle))).sum(1) / 2
    stats = {
        "rows": counts.sum(),
        "entropy": -(shares * log(shares)).sum(1).mean(),
        "distance": np.sqrt(divergence.clip(0) / np.log(2)).mean(),
        "labels": (counts > 0).sum(1).mean(),
        "largest": shares.max(1).mean(),
    }
    sizes = counts.sum(1)
    stats |= {f"size {k}": size for k, size in enumerate(sorted(sizes))}
    if not alike:
        stats |= {f"client {k}": size for k, size in enumerate(sizes)}
    return stats, counts.tolist()


def figure(values):
    values = np.array(values, dtype=float)
    error = values.std(ddof=1) / math.sqrt(len(values))
    return [float(f"{values.mean():.10g}"), float(f"{error:.6g}") if error > 1e-12 else 0.0]


TAKES_ROWS_IN_ORDER = ["iid", "size", "linear", "square", "exponential"]


def case(name, plugin, settings, clients, columns, count="label"):
    shuffled = plugin in TAKES_ROWS_IN_ORDER and settings.get("shuffle", True)
    names = uniques(columns[count])
    labels = np.array([names.index(value) for value in unfold(columns[count])])
    alike = not isinstance(settings.get("alpha"), list)
    stats, tables, splits, seed = [], [], [], 0
    # Natural ids leave nothing to chance.
    seeds = 3 if "natural-id" in plugin else SEEDS
    while len(stats) < seeds:
        assert seed < 10 * seeds, f"{name}: refused too often"
        try:
            shards = split(plugin, settings, clients, columns, shuffled, seed)
        except ValueError as error:
            assert "max number of attempts" in str(error), (name, error)
            shards = [[]]
        if all(shards):
            splits.append(shards)
            one, table = measure(shards, labels, alike)
            stats.append(one)
            tables.append(table)
        seed += 1
    made = {
        "name": name,
        "plugin": plugin,
        "settings": settings,
        "clients": clients,
        "columns": columns,
        "count": count,
    }
    if shuffled:
        made["note"] = "shuffled"
    sizes = [list(map(len, shards)) for shards in splits]
    if all(size == sizes[0] for size in sizes):
        made["sizes"] = sizes[0]
    if all(table == tables[0] for table in tables):
        made["table"] = tables[0]
    made["random"] = any(shards != splits[0] for shards in splits)
    if settings.get("shuffle") is False and all(
        sum(shards, []) == list(range(sum(map(len, shards)))) for shards in splits
    ):
        made["consecutive"] = True
    made["refused"] = round(1 - seeds / seed, 4)
    if "table" not in made:
        keys = [
            key for key in stats[0] if "sizes" not in made or key.split()[0] not in ("rows", "size", "client")
        ]
        made["stats"] = {key: figure([one[key] for one in stats]) for key in keys}
    told = ", ".join(key for key in ("sizes", "table", "consecutive") if key in made)
    print(f"{name}: refused {made['refused']:.2f}, exact {told or 'nothing'}")
    return made


def cases():
    tones, news, digits, topics, products = ({"label": c} for c in (TONES, NEWS, DIGITS, TOPICS, PRODUCTS))
    label = {"column": "label"}
    for name, columns, clients in [("tones", tones, 7), ("news", news, 10), ("products", products, 3)]:
        yield case(f"iid, {name}", "iid", {}, clients, columns)

    def dirichlet(name, columns, clients, alpha, min_size, self_balancing=False):
        name = f"dirichlet, {name}, alpha {alpha}, min {min_size}" + ", balancing" * self_balancing
        settings = label | {"alpha": alpha, "min_size": min_size, "self_balancing": self_balancing}
        return case(name, "dirichlet", settings, clients, columns)

    for min_size in (0, 10):
        yield dirichlet("topics", topics, 3, 0.001, min_size)
        for alpha in (0.1, 0.5, 1, 1000):
            for balancing in (False, True):
                yield dirichlet("digits", digits, 5, alpha, min_size, balancing)
        for balancing in (False, True):
            yield dirichlet("few labels", tones, 12, 1, min_size, balancing)
        yield dirichlet("list", topics, 5, [0.2, 0.5, 1, 2, 8.5], min_size)
    # A client with exactly the mean is not full.
    yield dirichlet("pairs", {"label": PAIRS}, 4, 1, 0, True)
    yield dirichlet("pairs", {"label": PAIRS}, 4, [0.5, 3, 3, 3], 1, True)
    yield dirichlet("list", digits, 4, [1, 1, 1, 4], 0, True)

    for name, sizes, alpha in [
        ("all rows", [100, 300, 50, 250, 300], 1.0),
        ("all rows, skewed", [200] * 5, 0.3),
        ("some rows", [60, 80, 10, 40, 60, 120], 0.2),
        ("even", [200] * 4, 1000.0),
        ("list", [50] * 6, [5.0, 0.1, 0.1, 1, 1, 1, 1, 1, 1, 2]),
    ]:
        yield case(
            f"inner-dirichlet, {name}", "inner-dirichlet", label | {"alpha": alpha, "sizes": sizes}, 0, digits
        )

    def distribution(name, columns, clients, array, per, preassigned, rescale=True):
        settings = label | {
            "distribution": array,
            "classes_per_client": per,
            "preassigned_per_class": preassigned,
            "rescale": rescale,
        }
        return case(f"distribution, {name}", "distribution", settings, clients, columns)

    drawn = np.random.default_rng(2024).lognormal(0, 2, (10, 4)).round(4).tolist()
    yield distribution("power law", digits, 20, drawn, 2, 5)
    yield distribution("all labels", tones, 6, [[1, 2, 3, 4, 5, 6], [1.5] * 6, [3, 1, 4, 1, 5, 9]], 3, 0)
    yield distribution("one label", topics, 24, [[1, 2.5]] * 12, 1, 3)
    yield distribution(
        "not rescaled",
        news,
        8,
        [[10.9, 20.2, 30, 40], [5, 5, 5, 5], [100, 1, 1, 100], [60, 70, 60, 60]],
        2,
        9,
        False,
    )

    for mode in ("random", "first-deterministic", "deterministic"):
        for name, columns, clients, classes in [
            ("topics", topics, 10, 3),
            ("news", news, 9, 2),
            ("tones", tones, 5, 3),
        ]:
            settings = label | {"classes_per_client": classes, "assignment": mode}
            yield case(f"pathological, {mode}, {name}", "pathological", settings, clients, columns)
    yield case(
        "pathological, unused classes",
        "pathological",
        label | {"classes_per_client": 2, "assignment": "deterministic"},
        3,
        digits,
    )
    yield case(
        "pathological, unused classes by chance", "pathological", label | {"classes_per_client": 1}, 6, digits
    )

    for name, columns, clients, settings in [
        ("by number", digits, 10, {"shards_per_client": 2}),
        ("by number, one each", tones, 7, {"shards_per_client": 1}),
        # 500 shards of 2 for the 360 that are wanted.
        ("by number, many left", digits, 36, {"shards_per_client": 10}),
        (
            "by number, many left, incomplete kept",
            {"label": {"runs": [["no", 59], ["yes", 40]]}},
            6,
            {"shards_per_client": 10, "keep_incomplete_shard": True},
        ),
        ("by number, incomplete kept", topics, 7, {"shards_per_client": 3, "keep_incomplete_shard": True}),
        ("by number and size", topics, 6, {"shards_per_client": 3, "shard_size": 20}),
        (
            "by number and size, incomplete has no effect",
            topics,
            6,
            {"shards_per_client": 3, "shard_size": 20, "keep_incomplete_shard": True},
        ),
        ("by size", digits, 9, {"shard_size": 45}),
        ("by size, incomplete kept", digits, 9, {"shard_size": 45, "keep_incomplete_shard": True}),
        ("by size, numbers", topics, 5, {"shard_size": 31, "keep_incomplete_shard": True}),
        ("by size, one each", tones, 10, {"shard_size": 100, "keep_incomplete_shard": True}),
    ]:
        yield case(f"shard, {name}", "shard", label | settings, clients, columns)

    for name, spec in [("writer", WRITERS), ("id", IDS)]:
        own, columns = {"column": name}, {name: spec}
        yield case(f"natural-id, {name}", "natural-id", own, 0, columns, name)
        ids = len(spec["runs"])
        for sort in ({}, {"sort_ids": True}):
            for mode, size in [
                ("allow-smaller", 4),
                ("allow-smaller", 5),
                ("allow-smaller", 50),
                ("allow-bigger", 4),
                ("allow-bigger", 5),
                ("allow-bigger", 7),
                ("drop-reminder", 4),
                ("drop-reminder", 5),
                ("strict", 1),
                ("strict", ids),
                *[("strict", 3)] * (ids == 12),
            ]:
                told = f"{name}, {mode} {size}" + ", sorted" * bool(sort)
                settings = own | {"group_size": size, "mode": mode} | sort
                yield case(f"grouped-natural-id, {told}", "grouped-natural-id", settings, 0, columns, name)

    for name, sizes in [("some rows", [100, 20, 300, 1]), ("all rows", [500, 250, 125, 97])]:
        for shuffle in ({}, {"shuffle": False}):
            yield case(
                f"size, {name}" + ", in order" * bool(shuffle), "size", {"sizes": sizes} | shuffle, 0, tones
            )
    for plugin, most in [("linear", 30), ("square", 12), ("exponential", 6)]:
        yield case(f"{plugin}, one", plugin, {}, 1, tones)
        yield case(f"{plugin}, five", plugin, {}, 5, tones)
        yield case(f"{plugin}, in order", plugin, {"shuffle": False}, 4, digits)
        yield case(f"{plugin}, {most}", plugin, {}, most, products)

    for strictness in (0, 0.25, 0.5, 0.9, 1):
        yield case(
            f"continuous, {strictness}",
            "continuous",
            {"column": "value", "strictness": strictness},
            8,
            PRICES,
        )


def refused():
    label = {"column": "label"}
    tones, digits = {"label": TONES}, {"label": DIGITS}
    few = {"label": {"runs": [["no", 3], ["yes", 2]]}}
    array = [[1, 2], [3, 4], [5, 6]]
    spread = label | {
        "distribution": array,
        "classes_per_client": 1,
        "preassigned_per_class": 0,
    }
    dirichlet = label | {"alpha": 0.5, "min_size": 0}
    sizes = label | {"sizes": [100, 200], "alpha": 0.5}
    classes = label | {"classes_per_client": 2}
    value = {"column": "value", "strictness": 0.5}
    for plugin, settings, clients, columns in [
        ("iid", {}, 0, tones),
        ("dirichlet", dirichlet, 0, tones),
        ("dirichlet", dirichlet, 6, few),
        ("dirichlet", dirichlet | {"alpha": 0}, 2, tones),
        ("dirichlet", dirichlet | {"alpha": -0.5}, 2, tones),
        ("dirichlet", dirichlet | {"alpha": [0.5, 0.5, 0.5]}, 2, tones),
        ("dirichlet", dirichlet | {"alpha": [0.5, 0.0]}, 2, tones),
        ("dirichlet", dirichlet | {"min_size": 400}, 3, tones),
        ("dirichlet", dirichlet | {"column": "tone"}, 3, tones),
        ("inner-dirichlet", sizes | {"sizes": [500, 501]}, 0, digits),
        ("inner-dirichlet", sizes | {"sizes": [100, -1]}, 0, digits),
        ("inner-dirichlet", sizes | {"alpha": [0.5, 0.5]}, 0, digits),
        ("inner-dirichlet", sizes | {"alpha": 0}, 0, digits),
        ("distribution", spread | {"distribution": array[:2]}, 6, tones),
        ("distribution", spread | {"distribution": [row + [1] for row in array]}, 6, tones),
        ("distribution", spread | {"distribution": [[[1]]]}, 6, tones),
        (
            "distribution",
            spread | {"distribution": [[1, 2, 3, 4]] * 3, "classes_per_client": 4},
            3,
            tones,
        ),
        ("distribution", spread | {"distribution": [[60, 62], [5, 5], [5, 5]], "rescale": False}, 6, tones),
        ("distribution", spread | {"distribution": [[1], [1], [1]]}, 5, tones),
        # Each label has two holders, "negative" 121 examples: 1 is left, but Flower wants 2.
        ("distribution", spread | {"preassigned_per_class": 60}, 6, tones),
        ("pathological", label | {"classes_per_client": 4}, 5, tones),
        ("pathological", classes, 6, few),
        # Each label is wanted by four clients and has fewer examples.
        ("pathological", classes, 4, few),
        ("pathological", classes | {"assignment": "sorted"}, 4, tones),
        ("shard", label, 4, tones),
        ("shard", label | {"shard_size": 0}, 4, tones),
        ("shard", label | {"shards_per_client": 0}, 4, tones),
        ("shard", label | {"shards_per_client": 2.5}, 4, tones),
        ("shard", label | {"shards_per_client": 3, "shard_size": 82}, 4, tones),
        ("shard", label | {"shard_size": 300}, 4, tones),
        ("shard", label | {"shard_size": 330, "keep_incomplete_shard": True}, 4, tones),
        ("shard", label | {"shards_per_client": 1}, 6, few),
        ("natural-id", {"column": "tone"}, 0, tones),
        ("grouped-natural-id", label | {"group_size": -1}, 0, tones),
        ("grouped-natural-id", label | {"group_size": 2, "mode": "strict"}, 0, tones),
        ("grouped-natural-id", label | {"group_size": 4, "mode": "strict"}, 0, tones),
        ("grouped-natural-id", label | {"group_size": 4, "mode": "allow-bigger"}, 0, tones),
        ("grouped-natural-id", label | {"group_size": 4, "mode": "drop-reminder"}, 0, tones),
        ("grouped-natural-id", label | {"group_size": 2, "mode": "drop"}, 0, tones),
        ("size", {"sizes": [500, 473]}, 0, tones),
        ("size", {"sizes": []}, 0, tones),
        ("size", {"sizes": [10, 0]}, 0, tones),
        ("size", {"sizes": [10, -1]}, 0, tones),
        ("size", {"sizes": [10, 1.5]}, 0, tones),
        ("linear", {}, 0, tones),
        ("linear", {}, 50, tones),
        ("square", {}, 0, tones),
        ("square", {}, 15, tones),
        ("exponential", {}, 0, tones),
        ("exponential", {}, 8, tones),
        ("continuous", value | {"strictness": 1.1}, 3, PRICES),
        ("continuous", value | {"strictness": -0.1}, 3, PRICES),
        ("continuous", value, 0, PRICES),
        ("continuous", value, 4, {"value": {"values": [1.5, 2.5, 3.5]}}),
        ("continuous", value, 2, {"value": {"values": [1.5, 1.5, 1.5]}}),
        ("continuous", value, 2, {"value": {"values": [1.5, None, 3.5]}}),
    ]:
        try:
            split(plugin, settings, clients, columns, False, 0)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            # Zero division and the like would be an accident.
            known = (ValueError, TypeError)
            assert isinstance(error, known) or settings.get("column") == "tone", (plugin, settings, told)
        else:
            raise AssertionError(f"{plugin} {settings}: not refused")
        yield {
            "plugin": plugin,
            "settings": settings,
            "clients": clients,
            "columns": columns,
            "flower": told[:160],
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    datasets.disable_progress_bars()
    made = {"refused": list(refused()), "cases": list(cases())}
    lines = [
        f'"{key}": [\n' + ",\n".join(json.dumps(one) for one in made[key]) + "\n]"
        for key in ("cases", "refused")
    ]
    (out / "partitioners.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
