"""Golden duplicates of texts.

Makes duplicates.json in OUT:
  shingle, threshold
              words of a shingle, and the least Jaccard index of near duplicates
  texts       60 texts: ten of drawn words, each with five variants (case and white space
              changed; a word replaced; words cut from an end; words moved; half kept)
  pairs       every pair [i, j, index] with an index above 0, by plain sets of runs of words
  together    pairs that must be in one cluster: an index of at least 0.9
  apart       pairs of one original that must not: not connected by pairs at the threshold
  banding     [threshold, weight of false negatives, bands, rows], as datasketch chooses
              them for 128 permutations

A text is lower-cased and split at white space; one shorter than a shingle is one shingle.

Made with Python 3.11, datasketch 2.0.0.
Run: python duplicates.py OUT
"""

import argparse
import itertools
import json
import random
from pathlib import Path

from datasketch import MinHashLSH

SHINGLE, THRESHOLD = 5, 0.8


def shingles(text):
    words = text.lower().split()
    size = min(SHINGLE, len(words))
    return {tuple(words[i:i + size]) for i in range(len(words) - size + 1)} if words else set()


def jaccard(a, b):
    return len(a & b) / len(a | b) if a | b else 1.0


def variants(words, rng):
    swapped = list(words)
    swapped[rng.randrange(len(words))] = "ersetzt"
    moved = words[20:] + words[:20]
    yield " ".join(words)
    yield "  " + "\n".join(word.upper() for word in words) + "\t"
    yield " ".join(swapped)
    yield " ".join(words[rng.randint(1, 4):])
    yield " ".join(moved)
    yield " ".join(words[:len(words) // 2])


def components(count, pairs):
    name = list(range(count))
    for i, j, _ in pairs:
        a, b = name[i], name[j]
        name = [a if n == b else n for n in name]
    return name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    rng = random.Random(7)
    known = ["straße", "haus", "Ärger", "naïve", "the", "of", "λόγος", "мир", "数据", "data"]
    known += [f"w{i}" for i in range(300)]
    texts = []
    for original in range(10):
        words = rng.choices(known, k=30 + 12 * original)
        texts += variants(words, rng)
    sets = [shingles(text) for text in texts]
    pairs = [[i, j, jaccard(sets[i], sets[j])]
             for i, j in itertools.combinations(range(len(texts)), 2)]
    pairs = [pair for pair in pairs if pair[2] > 0]
    name = components(len(texts), [pair for pair in pairs if pair[2] >= THRESHOLD])
    banding = [
        [threshold, misses, lsh.b, lsh.r]
        for threshold in (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
        for misses in (0.5, 0.9)
        for lsh in [MinHashLSH(threshold, num_perm=128, weights=(1 - misses, misses))]
    ]
    golden = {
        "shingle": SHINGLE,
        "threshold": THRESHOLD,
        "texts": texts,
        "pairs": pairs,
        "together": [[i, j] for i, j, index in pairs if index >= 0.9],
        "apart": [[i, j] for i, j, _ in pairs if name[i] != name[j]],
        "banding": banding,
    }
    text = json.dumps(golden, ensure_ascii=False) + "\n"
    (out / "duplicates.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
