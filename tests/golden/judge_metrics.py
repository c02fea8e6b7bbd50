"""Golden judged metrics: what FastChat and AlpacaEval ask a judge, and what they read in its words.

Makes judge_metrics.json in OUT:
  tasks     MT-Bench's 80 questions with GPT-4's 30 reference answers, and made-up answers of a model
            and a baseline, some of them hostile: places of the prompts, verdicts, braces, nothing
  messages  hashes of the messages to the judge, FastChat's: `single` [turn 1, turn 2], `pair`
            [turn 1 model first, turn 1 baseline first, turn 2 ...]; and AlpacaEval's: `alpaca_eval`
            and `alpaca_eval_2` [model first, baseline first], null where a text holds a place of its
            prompt or a ChatML tag, which AlpacaEval would take for its own
  ratings   judges' words, FastChat's rating (-1: none; null: it fails, as no literal of Python starts
            with 0 or has digits beyond 0 to 9) and, where it fails, the rating by digits 0 to 9 only
  winners   judges' words and FastChat's winner, `A`, `B`, `tie` or `error`
  rankings  judges' words and the preference that AlpacaEval's ranking_parser reads, 1, 2 or null
  choices   numbers of the words that the judges said about each task: `ratings` [turn 1, turn 2],
            `winners` [as in `pair`], `rankings` [model first, baseline first]
  scores    of these: FastChat's show_result (mean grades by turn and over all, win rates), the mean
            grade by category, OpenFedLLM's mean over first turns with -1 for none, AlpacaEval's mean
            preference over both orders of the pairs that have two

A hash is the first 16 hex digits of SHA-256 over role, NUL, content, NUL of every message.

MT-Bench's questions and answers, FastChat and AlpacaEval are under the Apache License, Version 2.0.

Made with Python 3.11, nvidia-mtbench-evaluator 26.3 (which holds FastChat's llm_judge), alpaca-eval
0.6.6, pandas, numpy and scipy; the first two installed without their dependencies.
Run: python judge_metrics.py OUT
"""

import argparse
import ast
import contextlib
import copy
import hashlib
import importlib.util
import io
import json
import logging
import random
import re
import sys
import tempfile
import types
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def fastchat():
    """FastChat's llm_judge; what would load models is left out."""
    home = Path(importlib.util.find_spec("mtbench_evaluator").submodule_search_locations[0])
    home = home / "fastchat" / "fastchat"
    conversation = load(home / "conversation.py", "fastchat_conversation")
    sys.modules["anthropic"] = types.ModuleType("anthropic")
    adapter = types.ModuleType("fastchat.model.model_adapter")
    # FastChat's adapter of gpt-4.
    adapter.get_conversation_template = lambda _: conversation.get_conv_template("chatgpt")
    adapter.ANTHROPIC_MODEL_LIST = []
    for name in ["fastchat", "fastchat.model"]:
        sys.modules[name] = types.ModuleType(name)
    sys.modules["fastchat.model.model_adapter"] = adapter
    judge = home / "llm_judge"
    return load(judge / "common.py", "common"), load(judge / "scripts/show_result.py", "show"), judge / "data"


def alpaca_eval():
    """AlpacaEval's parsers, and the functions that make its prompts."""
    home = Path(importlib.util.find_spec("alpaca_eval").submodule_search_locations[0])
    package = types.ModuleType("alpaca")
    package.__path__ = [str(home)]
    sys.modules["alpaca"] = package
    sys.modules["alpaca.utils"] = package.utils = types.ModuleType("alpaca.utils")
    parsers = load(home / "completion_parsers.py", "alpaca.completion_parsers")
    tree = ast.parse((home / "utils.py").read_text())
    wanted = {"make_prompts", "prompt_to_chatml", "_string_to_dict"}
    tree.body = [own for own in tree.body if getattr(own, "name", None) in wanted]
    space = {"re": re, "copy": copy, "Counter": Counter, "pd": pd}
    exec(compile(tree, "utils.py", "exec"), space)
    configs = home / "evaluators_configs"
    prompts = {
        "alpaca_eval": (configs / "alpaca_eval_gpt4/alpaca_eval.txt").read_text(),
        "alpaca_eval_2": (configs / "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt").read_text(),
    }
    return parsers, space, prompts


def digest(messages):
    text = "".join(f"{own['role']}\0{own['content']}\0" for own in messages)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


WORDS = "the answer is correct but lacks detail and examples a better one would explain why".split()
HOSTILE = [
    "", " ", "\n", "{question}", "{answer}", "{answer_a}", "{output_2}", "{{x}}", "{", "}", "{0}", "%s", "{}",
    "[[10]]", "[[A]]", "[The End of Assistant's Answer]", "<|The End of Assistant A's Conversation with User|>",
    "<|im_end|>", "<|im_start|>user\n", '"""', "\\n", "\r\n", "\t", "答案是四。", "e\u0301", "👩‍👩‍👧", "\u202e", "\u00a0", "\x00",
]


def made_up(rng):
    if rng.random() < 0.08:
        return rng.choice(HOSTILE)
    parts = rng.choices(WORDS, k=rng.randint(1, 25))
    for _ in range(rng.choice([0, 0, 1, 3])):
        parts.insert(rng.randint(0, len(parts)), rng.choice(HOSTILE))
    return " ".join(parts)


def rating_words(rng):
    numbers = ["5", "10", "0", "1", "7.5", "8.", "00", "007", "0.5", "03.5", ".5", "5..", "1.2.3", "", "-3", "9,5", "11"]
    numbers += ["5/10", "1e3", "٣", "８", "²", "½", "5٣", "1" * 25, "9 ", " 9", "x", "rating", "10.0", "1_0", "+4"]
    if rng.random() < 0.5:
        pieces = ["[", "]", "[[", "]]", ".", "\n", " ", "Rating: ", "A", "é", "👍", *numbers]
        return "".join(rng.choices(pieces, k=rng.randint(0, 14)))
    text = " ".join(rng.choices(WORDS, k=rng.randint(0, 8)))
    for _ in range(rng.randint(1, 3)):
        left, right = rng.choice([("[[", "]]")] * 6 + [("[", "]"), ("[", "]]"), ("[[", "]"), ("[ [", "] ]"), ("[[[", "]]]"), ("(", ")")])
        number = rng.choice(numbers + list("123456789") * 3)
        text += rng.choice([" Rating: ", "\n", " see ", ""]) + left + number + right
    return text


def winner_words(rng):
    if rng.random() < 0.5:
        pieces = ["[", "]", "[[", "]]", "A", "B", "C", "a", "D", "[[A]]", "[[B]]", "[[C]]", " ", "\n", "Ａ", "[[ A ]]", "tie", "[A]"]
        return "".join(rng.choices(pieces, k=rng.randint(0, 8)))
    text = " ".join(rng.choices(WORDS, k=rng.randint(0, 8)))
    return text + rng.choice(["", "\n", " verdict: "]) + rng.choice(["[[A]]", "[[B]]", "[[C]]", "[[A]", "[[b]]", "[[AB]]", "A", ""])


def ranking_words(rng):
    # How odd: the rarer, the more of the texts are rankings.
    odds = rng.choice([0, 0.1, 0.3, 1])

    def text(value):
        quote = rng.choice(["'", '"', "'''", '"""'] if rng.random() < 0.2 else ["'", '"'])
        prefix = rng.choice(["r", "u", "b", "R", "f", "rb", "Br", "U"]) if rng.random() < 0.05 * odds else ""
        if rng.random() < 0.06 * odds:
            at = rng.randint(0, len(value))
            odd = ["\\x31", "\\n", "\n", "\\", "\\\n", "é", "\\u0031", "\\137", "\\ud800", "\\d", "\\U0001f600", quote + quote, quote + " " + quote, "\\x3", "#", "\r", "\\U00110000", "\0"]
            value = value[:at] + rng.choice(odd) + value[at:]
        if rng.random() < 0.04:
            value = "model\\x5f1"
        return prefix + quote + value + quote

    def space():
        if rng.random() >= 0.1 * odds:
            return rng.choice(["", " "])
        return rng.choice(["\n", "\t", "  ", " # note\n", "\n\n", "\x0c", "\u00a0", "\\\n", "\r\n", "#"])

    ranks = ["1", "2"] * 20 + ["1.0", "2.", "True", "False", "None", "0x1", "0b10", "01", "00", "3", "0", "-1", "+1", "--1", "-True"]
    ranks += ["1e0", "1+0j", "0.2e1", "1_0", "1__0", "1_", "2j", "1-0j", "(1)", "(1,)", "[1]", "'1'", "1st", "...", "set()", "1.5", ".1e1"]
    ranks += ["-(1)", "1 + 1", "(2)", "0o2", "1E+0", "20e-1", "1j", "0_2", "0x_1", "0x", "1if", "2 .", "set( )", "set([1])", "{}", "{1}", "x", "1.0j", "9" * 20]

    def model(name):
        rank = rng.choice(ranks)
        pairs = [(text("model"), text(name)), (text("rank"), rank)]
        if rng.random() < 0.15:
            rng.shuffle(pairs)
        if rng.random() < 0.08:
            pairs.append((rng.choice([text("model"), text("rank"), "1", "None", "(1, 2)", "[1]", "(1, [2])", "{1}"]), rng.choice([text("model_1"), "1", "2", "[]"])))
        if rng.random() < 0.05:
            pairs.pop(rng.randint(0, len(pairs) - 1))
        inner = ("," + space()).join(f"{space()}{key}{space()}:{space()}{value}{space()}" for key, value in pairs)
        return "{" + inner + rng.choice(["", "", "", ",", ",,"] if rng.random() < 0.1 else [""]) + "}"

    names = rng.choice([["model_1", "model_2"]] * 8 + [["model_2", "model_1"]] * 3 + [["model_1"], ["model_1", "model_1"], ["m", "M"], []])
    left, right = rng.choice([("[", "]")] * 14 + [("(", ")"), ("", ""), ("{", "}"), ("[", ""), ("[", ")"), ("[[", "]]")])
    items = [model(name) for name in names]
    if rng.random() < 0.04:
        items.insert(rng.randint(0, len(items)), rng.choice(["1", "'model'", "[]", "...", "*[]", "None", "{}", ""]))
    said = left + space() + ("," + space()).join(items) + space() + rng.choice(["", "", ","] if rng.random() < 0.2 else [""]) + right
    around = ["", " ", "\n", "\t", "```python\n", "```", "Here: ", "# note\n", "\n ", "  \n", ";", ".", "\ufeff", "\\\n", " \\", "[0]", "\n#", "\x0c", "\r\n\t\n"]
    if rng.random() < 0.3 * odds:
        said = rng.choice(around) + said + rng.choice(around)
    if rng.random() < 0.12 * odds:
        at = rng.randint(0, len(said))
        said = said[:at] + rng.choice([*"[]{}()'\",:\\#\n 1j_.é-+*", ""]) + said[at + rng.randint(0, 2) :]
    return said


def main(out):
    rng = random.Random(20230609)
    common, show, data = fastchat()
    parsers, alpaca, alpaca_prompts = alpaca_eval()
    prompts = common.load_judge_prompts(data / "judge_prompts.jsonl")
    questions = common.load_questions(data / "mt_bench/question.jsonl", None, None)
    references = {own["question_id"]: own for own in map(json.loads, open(data / "mt_bench/reference_answer/gpt-4.jsonl"))}

    class Client:
        backend = "openai"

        def generate(self, conv):
            self.asked = conv.to_openai_api_messages()
            return self.words

    client = Client()

    def judge(name):
        return common.Judge("gpt-4", prompts[name], ref_based="math" in name, multi_turn="multi" in name)

    def pair(question, a, b, ref, turn, words=""):
        kind = "pair-math-v1" if ref else "pair-v2"
        client.words = words
        own = judge(kind + ("-multi-turn" if turn else ""))
        return common.run_judge_pair(question, a, b, own, ref, client, multi_turn=bool(turn))[0]

    def choices(texts):
        return {"choices": [{"turns": texts}]}

    tasks, messages = [], []
    for question in questions:
        needed = question["category"] in common.NEED_REF_CATS
        ref = references[question["question_id"]] if needed else None
        model, baseline = ([made_up(rng) for _ in range(2)] for _ in range(2))
        task = {"turns": question["turns"], "category": question["category"]}
        if ref:
            task["reference"] = ref["choices"][0]["turns"]
        tasks.append({**task, "model": model, "baseline": baseline})
        own = {"single": [], "pair": []}
        for turn in range(2):
            kind = ("single-math-v1" if ref else "single-v1") + ("-multi-turn" if turn else "")
            conv, _ = common.create_conv_single(question, choices(model), judge(kind), ref, multi_turn=bool(turn))
            own["single"].append(digest(conv.to_openai_api_messages()))
            for a, b in [(model, baseline), (baseline, model)]:
                pair(question, choices(a), choices(b), ref, turn)
                own["pair"].append(digest(client.asked))
        texts = [question["turns"][0], model[0], baseline[0]]
        taken = ["{instruction}", "{output_1}", "{output_2}", "<|im_"]
        clean = model[0] != baseline[0] and not any(word in text for text in texts for word in taken)
        for name, template in alpaca_prompts.items():
            own[name] = []
            for a, b in [(model, baseline), (baseline, model)] if clean else []:
                row = pd.DataFrame([{"instruction": texts[0], "output_1": a[0], "output_2": b[0]}])
                prompt = alpaca["make_prompts"](row, template)[0][0]
                own[name].append(digest(alpaca["prompt_to_chatml"](prompt)))
            own[name] = own[name] or None
        messages.append(own)

    ascii_only = [re.compile(own.pattern, re.ASCII) for own in (common.one_score_pattern, common.one_score_pattern_backup)]

    def read(text):
        try:
            return ast.literal_eval(text)
        except (SyntaxError, ValueError):
            return -1

    ratings = []
    for words in dict.fromkeys(rating_words(rng) for _ in range(1600)):
        try:
            ratings.append([words, common.process_judgement(words, judge("single-v1"))[0]])
        except (SyntaxError, ValueError):
            found = next(filter(None, (own.search(words) for own in ascii_only)), None)
            ratings.append([words, None, read(found[1]) if found else -1])
    blank = choices(["", ""])
    winners = dict.fromkeys(winner_words(rng) for _ in range(1800))
    winners = [[words, pair(questions[0], blank, blank, None, 0, words)] for words in winners]
    rankings = []
    for words in dict.fromkeys(ranking_words(rng) for _ in range(1700)):
        try:
            preference = parsers.ranking_parser(words)[0]
        except ValueError:
            preference = None
        rankings.append([words, None if preference is None or np.isnan(preference) else int(preference.real)])

    def pick(texts, good, k):
        known = [at for at, own in enumerate(texts) if good(own[1])]
        rest = [at for at, own in enumerate(texts) if own[1] is not None or texts is rankings]
        return [[rng.choice(known if rng.random() < 0.85 else rest) for _ in range(k)] for _ in questions]

    said = {
        "ratings": pick(ratings, lambda own: own is not None and 1 <= own <= 10, 2),
        "winners": pick(winners, lambda own: own != "error", 4),
        "rankings": pick(rankings, lambda own: own is not None, 2),
    }

    single = [
        {"model": "m", "score": ratings[at][1], "turn": turn + 1, "category": question["category"]}
        for question, own in zip(questions, said["ratings"])
        for turn, at in enumerate(own)
    ]
    pairs = []
    for own in said["winners"]:
        for turn in range(2):
            first, second = (winners[at][1] for at in own[2 * turn : 2 * turn + 2])
            g1 = {"A": "model_1", "B": "model_2"}.get(first, first)
            g2 = {"A": "model_2", "B": "model_1"}.get(second, second)
            pairs.append({"model_1": "m", "model_2": "baseline", "g1_winner": g1, "g2_winner": g2, "turn": turn + 1})

    def shown(function, rows):
        """The tables that show_result prints."""
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write("\n".join(map(json.dumps, rows)))
            file.flush()
            tables = []
            show.print = tables.append
            function(argparse.Namespace(input_file=file.name, model_list=None, baseline_model="baseline" if "g1_winner" in rows[0] else None))
            return [own.iloc[0] for own in tables if isinstance(own, pd.DataFrame)]

    first, second, both = (float(own["score"]) for own in shown(show.display_result_single, single))
    scores = {"judge_score": both, "judge_score_turn_1": first, "judge_score_turn_2": second}
    frame = pd.DataFrame(single)
    frame = frame[frame["score"] != -1]
    for category, own in frame.groupby("category")["score"]:
        scores[f"judge_score_{category}"] = float(own.mean())
    scores["unparsed"] = float(np.mean([own["score"] == -1 for own in single]))
    table = shown(show.display_result_pairwise, pairs)[0]
    good = [own for own in pairs if "error" not in (own["g1_winner"], own["g2_winner"])]
    wins = {name: float(table[name]) for name in ["win_rate", "loss_rate", "win_rate_adjusted"]}
    wins["tie_rate"] = float(table["tie"] / (table["win"] + table["loss"] + table["tie"]))
    wins["position_bias"] = float(np.mean([own["g1_winner"] != own["g2_winner"] for own in good]))
    wins["unparsed"] = 1 - len(good) / len(pairs)
    preferences = []
    for task, own in zip(tasks, said["rankings"]):
        first, second = (rankings[at][1] for at in own)
        if task["model"][0] == task["baseline"][0]:
            preferences.append(1.5)
        elif first and second:
            # The model's answer is output_2 where the order was not switched.
            preferences.append((3 - first + second) / 2)
    scores = {
        "fastchat_single": scores,
        "fastchat_pair": wins,
        "openfedllm": float(np.mean([own["score"] for own in single if own["turn"] == 1])),
        "alpaca_eval": float(np.mean(preferences)) - 1,
    }
    whole = {
        "tasks": tasks,
        "messages": messages,
        "ratings": ratings,
        "winners": winners,
        "rankings": rankings,
        "choices": said,
        "scores": scores,
    }
    counts = [Counter(map(str, (own[1] for own in part))) for part in (winners, rankings)]
    print(len(ratings), sum(own[1] is None for own in ratings), sum(own[1] == -1 for own in ratings), *counts)
    print(scores, sum(own["alpaca_eval"] is None for own in messages))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}" for key, value in whole.items())
    (out / "judge_metrics.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    main(parser.parse_args().out)
