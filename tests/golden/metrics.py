"""Golden classification metrics and perplexity.

Makes metrics.json in OUT:
  classification  60 pairs of expected label and generated text, the prediction for each,
                  accuracy, its standard error sqrt(p*(1-p)/n), and macro F1: the mean over
                  the three labels, a label never met counting 0. A prediction is the label
                  that occurs first in the text as a whole word, whatever its case; "" where
                  none occurs, which is counted wrong.
  perplexity      20 pairs of summed log-likelihood (natural) and token count, and
                  exp(-sum of likelihoods / sum of tokens) over all

A word is bounded as Python's re has it for str: by anything but a letter, a digit or "_", in
Unicode; so "positive_" and "positivé" hold no label and "non-negative" holds "negative".
Scores are scikit-learn's: accuracy_score, f1_score(labels=..., average="macro",
zero_division=0).

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1.
Run: python metrics.py OUT
"""

import argparse
import json
import math
import re
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, f1_score

LABELS = ["negative", "neutral", "positive"]

# Expected label, generated text, prediction by hand.
PAIRS = [
    ("positive", " Positive.", "positive"),
    ("neutral", "neutral, I think", "neutral"),
    ("negative", "", ""),
    ("negative", "I would say negative or positive", "negative"),
    ("positive", "I would say negative or positive", "negative"),
    ("positive", "notpositive", ""),
    ("positive", "POSITIVE", "positive"),
    ("negative", " negative", "negative"),
    ("negative", "Negative<|im_end|>", "negative"),
    ("neutral", "<|im_start|>neutral", "neutral"),
    ("neutral", "\n\n\tNeutral\n", "neutral"),
    ("positive", "positively", ""),
    ("positive", "unpositive, positive", "positive"),
    ("negative", "positivenegative", ""),
    ("negative", "positivenegative negative", "negative"),
    ("neutral", "The sentiment is: neutral.", "neutral"),
    ("neutral", "The sentiment is (Neutral)", "neutral"),
    ("neutral", "The sentiment is \"neutral\"", "neutral"),
    ("neutral", "It is neither positive nor negative: neutral", "positive"),
    ("positive", "negative? no, positive", "negative"),
    ("positive", "not negative", "negative"),
    ("negative", "non-negative", "negative"),
    ("positive", "positive-ish", "positive"),
    ("positive", "positive_", ""),
    ("positive", "_positive", ""),
    ("positive", "positive1", ""),
    ("positive", "1 positive", "positive"),
    ("positive", "positive/negative", "positive"),
    ("negative", "positive/negative", "positive"),
    ("negative", "negative,positive,neutral", "negative"),
    ("neutral", "NEUTRAL!!!", "neutral"),
    ("neutral", "nEuTrAl", "neutral"),
    ("neutral", "neutrality", ""),
    ("neutral", "neutral-positive", "neutral"),
    ("negative", "very bad", ""),
    ("negative", "neg", ""),
    ("negative", "-", ""),
    ("negative", "negatives", ""),
    ("negative", "negative's", "negative"),
    ("negative", "négative", ""),
    ("positive", "positivé", ""),
    ("positive", "\u201cPositive\u201d", "positive"),
    ("positive", "\u00a0positive\u00a0", "positive"),
    ("positive", "中positive", ""),
    ("positive", "。positive。", "positive"),
    ("positive", "\U0001f600positive\U0001f600", "positive"),
    ("positive", "pos itive", ""),
    ("positive", "posi\ntive", ""),
    ("positive", "**Positive**", "positive"),
    ("negative", "`negative`", "negative"),
    ("negative", "<b>negative</b>", "negative"),
    ("negative", "Answer: Negative. Explanation: not positive.", "negative"),
    ("neutral", "Answer: Positive. Explanation: not neutral.", "positive"),
    ("neutral", "Answer: Negative", "negative"),
    ("neutral", "mixed", ""),
    ("neutral", "positive" * 3 + " neutral", "neutral"),
    ("positive", "ＰＯＳＩＴＩＶＥ", ""),
    ("negative", "negative\r\npositive", "negative"),
    ("negative", " positive\r\nnegative", "positive"),
    ("positive", "x" * 200 + " positive", "positive"),
]


def predict(text):
    found = re.search(r"\b(negative|neutral|positive)\b", text, re.IGNORECASE)
    return found[1].lower() if found else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    expected = [label for label, _, _ in PAIRS]
    predicted = [predict(text) for _, text, _ in PAIRS]
    wrong = [pair for pair, p in zip(PAIRS, predicted) if p != pair[2]]
    assert not wrong and len(PAIRS) == 60, wrong
    accuracy = float(accuracy_score(expected, predicted))

    rng = np.random.default_rng(7)
    tokens = [1, 2] + [int(n) for n in rng.integers(1, 400, 18)]
    likelihoods = [0.0, -25.5] + [-n * float(x) for n, x in zip(tokens[2:], rng.uniform(0.2, 6.0, 18))]

    result = {
        "classification": {
            "labels": LABELS,
            "pairs": [{"expected": e, "generated": text, "predicted": p} for e, text, p in PAIRS],
            "accuracy": accuracy,
            "macro_f1": float(f1_score(expected, predicted, labels=LABELS, average="macro", zero_division=0)),
            "standard_error": math.sqrt(accuracy * (1 - accuracy) / len(PAIRS)),
        },
        "perplexity": {
            "pairs": [{"log_likelihood": ll, "tokens": n} for ll, n in zip(likelihoods, tokens)],
            "value": math.exp(-math.fsum(likelihoods) / sum(tokens)),
        },
    }
    (out / "metrics.json").write_text(json.dumps(result, indent=1) + "\n")
    print({k: result["classification"][k] for k in ("accuracy", "macro_f1", "standard_error")}, result["perplexity"]["value"])


if __name__ == "__main__":
    main()
