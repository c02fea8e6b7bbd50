"""Python sides of the data benchmark: instructions to tokens, and rows to clients; each prints one line of JSON.

trl FILE      TRL's own preparation, SFTTrainer._prepare_dataset with the defaults of SFTConfig: `datasets`
              reads the file (JSON lines with `instruction` and `response`), a batched `map` makes `prompt`
              and `completion` of it, and TRL tokenises, labels and truncates. alpaca is TRL's standard
              format, chatml its conversational one. --processes is dataset_num_proc.
batch FILE    by hand, as fast as Python's libraries allow: json, the project's template compiled by jinja2,
              Tokenizer.encode_batch_fast of the prompts and of the whole texts (--mask prefix: the
              completion starts where they part, TRL's rule), or one encode_batch of the whole texts
              (--mask offsets: it starts at the token that has its first character), on all cores. Ids and
              masks stay in memory; nothing is written.
labels FOLDER --rows N   writes labels.jsonl and labels.parquet: `label`, 0 to 9, and a short `text`.
flower FILE   Flower Datasets' DirichletPartitioner by `label`.
measure COMMAND ...      starts it and prints the seconds from start to end, the most memory that it had, as
              wait4 says (never less than this process has), and as `figures` the JSON line it printed last.

Seconds are without imports, without reading the tokenizer or compiling the template, and without counting
what came out; reading FILE is in them. `trl` has a cold turn, in an empty cache of `datasets`, and a warm
one that finds what the first one left, in the same process. `tokens` and `trained` are sums over the
prepared rows (cut to --max-length; what then has nothing trained is dropped). With chatml TRL also trains
the newline behind <|im_end|>: `trained` is without it, `newlines` says how many there were.
flower: `load` reads the file, `indices` is the partitioner's work, `select` makes the datasets of all
clients of it, `write` writes the indices as JSON. `seconds` is `load` + `indices`.

Made with Python 3.11, trl 1.16.0, transformers 5.23.0, tokenizers 0.23.3, datasets 5.2.0, jinja2 3.1.6,
gguf 0.19.0; for flower flwr-datasets 0.6.1, datasets 4.8.5.
Run: python bench_data.py trl ROWS.jsonl --model MODEL.gguf --template chatml
     python bench_data.py batch ROWS.jsonl --model MODEL.gguf --template chatml --mask offsets
     python bench_data.py labels OUT --rows 1000000
     python bench_data.py measure python bench_data.py flower OUT/labels.jsonl
MODEL is SmolLM2-135M-Instruct.Q4_1.gguf.
"""

# What `measure` does not need is imported where it is needed.
import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OPEN, CLOSE = "\ue000", "\ue001"
BLOCK = 256  # texts of an encode_batch; with many more, prompts and whole texts took longer
WORDS = "amber basil cedar delta ember fjord grove haven inlet jetty knoll larch maple north ocean prism".split()


def peak_rss_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def newline_behind(ids, tokenizer):
    """Whether the last token is the newline behind the end of a turn."""
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return len(ids) > 1 and ids[-2] == end and tokenizer.decode(ids[-1:]) == "\n"


def trl(args):
    import dataclasses
    from types import SimpleNamespace

    import datasets
    from templates import chat_sources, prompt_of, smollm2, user
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    tokenizer = smollm2(args.model)
    chat = chat_sources()[args.template] if args.template == "chatml" else None

    def conversational(rows):
        return {"prompt": [[{"role": "user", "content": own}] for own in rows["instruction"]],
                "completion": [[{"role": "assistant", "content": own}] for own in rows["response"]]}

    def standard(rows):
        return {"prompt": [prompt_of(args.template, user(own)) for own in rows["instruction"]],
                "completion": [" " + own for own in rows["response"]]}

    config = {field.name: field.default for field in dataclasses.fields(SFTConfig)}
    config |= {"max_length": args.max_length, "dataset_num_proc": args.processes}
    this = SimpleNamespace(_tokenizer=tokenizer, chat_template=chat, completion_only_loss=True)

    def turn(cache):
        rows = datasets.load_dataset("json", data_files=args.file, split="train", cache_dir=cache)
        rows = rows.map(conversational if chat else standard, batched=True, remove_columns=rows.column_names,
                        num_proc=args.processes)
        return SFTTrainer._prepare_dataset(
            this, rows, tokenizer, SimpleNamespace(**config), config["packing"], None, "train")

    seconds = []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(2):
            start = time.perf_counter()
            made = turn(cache)
            seconds.append(time.perf_counter() - start)
        tokens = trained = newlines = 0
        for batch in made.iter(1000):
            for ids, labels in zip(batch["input_ids"], batch["labels"]):
                tokens += len(ids)
                trained += sum(label != -100 for label in labels)
                newlines += bool(chat) and newline_behind(ids, tokenizer)
    return {"cold": seconds[0], "warm": seconds[1], "rows": len(made), "tokens": tokens,
            "trained": trained - newlines, "newlines": newlines}


def batch(args):
    import jinja2
    from templates import smollm2
    from trl.data_utils import common_prefix_length

    whole = smollm2(args.model)
    tokenizer, eos = whole.backend_tokenizer, whole.eos_token
    folder = Path(__file__).resolve().parents[2] / "host/data/templates"
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, loader=jinja2.FileSystemLoader(folder))
    environment.globals["trained"] = lambda text: f"{OPEN}{text}{CLOSE}"
    render = environment.get_template(f"{args.template}.jinja").render

    def parts(row):
        """The text in front of what is trained, that, and what is behind."""
        messages = [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["response"]}]
        prompt, _, rest = render(messages=messages, eos_token=eos).partition(OPEN)
        return prompt, *rest.split(CLOSE)

    def by_prefix(texts):
        prompts = tokenizer.encode_batch_fast([prompt for prompt, _, _ in texts], add_special_tokens=False)
        wholes = tokenizer.encode_batch_fast(["".join(text) for text in texts], add_special_tokens=False)
        # The text behind is the same in all rows, and a special token is in front of it.
        behind = len(tokenizer.encode(texts[0][2], add_special_tokens=False).ids)
        for prompt, encoding in zip(prompts, wholes):
            front, ids = prompt.ids, encoding.ids
            first = len(front) if ids[:len(front)] == front else common_prefix_length(front, ids)
            yield ids, first, len(ids) - behind

    def by_offsets(texts):
        wholes = tokenizer.encode_batch(["".join(text) for text in texts], add_special_tokens=False)
        for (prompt, own, behind), encoding in zip(texts, wholes):
            last = encoding.char_to_token(len(prompt) + len(own) - 1)
            yield encoding.ids, encoding.char_to_token(len(prompt)), last + 1

    spans = {"prefix": by_prefix, "offsets": by_offsets}[args.mask]
    most = args.max_length
    gc.disable()  # It would walk all that was made so far again and again.
    start = time.perf_counter()
    with open(args.file, encoding="utf-8") as file:
        texts = [parts(json.loads(line)) for line in file]
    made = []
    for at in range(0, len(texts), BLOCK):
        for ids, first, end in spans(texts[at:at + BLOCK]):
            if first < most:
                mask = [0] * first + [1] * (end - first) + [0] * (len(ids) - end)
                made.append((ids[:most], mask[:most]))
    seconds = time.perf_counter() - start
    return {"cold": seconds, "rows": len(made), "tokens": sum(len(ids) for ids, _ in made),
            "trained": sum(sum(mask) for _, mask in made)}


def labels(args):
    import pyarrow
    from pyarrow import parquet

    folder = Path(args.file)
    folder.mkdir(parents=True, exist_ok=True)
    own, texts = [], []
    for i in range(args.rows):
        # A linear congruential generator's upper bits: the same rows everywhere.
        z = (i * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        z = (z ^ z >> 33) * 0xFF51AFD7ED558CCD % (1 << 64) >> 24
        own.append(z % 10)
        texts.append(" ".join(WORDS[z >> shift & 15] for shift in (4, 8, 12, 16, 20)))
    with open(folder / "labels.jsonl", "w", encoding="utf-8") as file:
        file.writelines(f'{{"label": {label}, "text": "{text}"}}\n' for label, text in zip(own, texts))
    parquet.write_table(pyarrow.table({"label": own, "text": texts}), folder / "labels.parquet")
    return {"rows": args.rows, "labels": [own.count(label) for label in range(10)]}


def flower(args):
    import datasets
    from flwr_datasets.partitioner import DirichletPartitioner

    datasets.disable_progress_bars()
    imported = peak_rss_mib()
    clock = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as cache:
        kind = {".jsonl": "json", ".parquet": "parquet"}[Path(args.file).suffix]
        rows = datasets.load_dataset(kind, data_files=args.file, split="train", cache_dir=cache)
        clock.append(time.perf_counter())
        made = DirichletPartitioner(
            num_partitions=args.clients, partition_by="label", alpha=args.alpha, seed=args.seed)
        made.dataset = rows
        # The first look at it deals the rows out.
        assert made.num_partitions == args.clients
        clock.append(time.perf_counter())
        peak = peak_rss_mib()
        shards = [made.load_partition(client) for client in range(args.clients)]
        clock.append(time.perf_counter())
        with open(Path(cache) / "shards.json", "w") as file:
            json.dump(list(made._partition_id_to_indices.values()), file)
        clock.append(time.perf_counter())
        assert sum(map(len, shards)) == len(rows)
        sizes = sorted(map(len, shards))
    load, indices, select, write = (after - before for before, after in zip(clock, clock[1:]))
    return {"seconds": load + indices, "load": load, "indices": indices, "select": select, "write": write,
            "imported_rss_mib": imported, "peak_rss_mib": peak, "rows": sum(sizes), "smallest": sizes[0],
            "largest": sizes[-1]}


def measure(command):
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if child.returncode:
        raise SystemExit(f"{command}: {child.returncode}\n{text}")
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        figures = json.loads(lines[-1]) if lines else None
    except ValueError:
        figures = None
    return {"seconds": seconds, "peak_rss_mib": round(usage.ru_maxrss / 1024, 1), "figures": figures}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=["trl", "batch", "labels", "flower"])
    parser.add_argument("file", help="of labels the folder that it writes to")
    parser.add_argument("--model")
    parser.add_argument("--template", choices=["chatml", "alpaca"], default="chatml")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--mask", choices=["prefix", "offsets"], default="prefix")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    if args.task in ("trl", "batch") and not args.model:
        parser.error("--model is missing")
    return args


def main():
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2:])))
        return
    args = parse()
    print(json.dumps({"trl": trl, "batch": batch, "labels": labels, "flower": flower}[args.task](args)))


if __name__ == "__main__":
    main()
