"""Multiple-choice questions by log-likelihood in transformers and in lm-evaluation-harness; prints one line of
JSON.

--questions FILE  JSON lines {"context": ..., "continuations": [...]}
--side transformers  every (context, continuation) is a row; rows in order of length, --batch at a time, padded on
                     the right; the head only where a token of the continuation is predicted
--side lm-eval       HFLM.loglikelihood, as it comes: rows in order of length, continuations of one token that have
                     the same context share a row
"seconds" is from the texts to the log-likelihoods, tokenising included and loading not; "sums" are the
log-likelihoods, question by question.

A continuation's tokens are those that reach into it when context and continuation are encoded together, as
Folkmoot has it; lm-eval moves spaces at the end of a context into the continuation and cuts behind the context's
own tokens, which is the same for contexts that do not end in a space.

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, gguf 0.19.0, lm-eval 0.4.13.
Run: python bench_eval.py --model MODEL.gguf --questions Q.jsonl --side transformers --batch 8 --threads 2
"""

import argparse
import json
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--side", choices=["transformers", "lm-eval"], required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def loaded(path):
    folder, name = str(path.parent), path.name
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder, gguf_file=name)


@torch.inference_mode()
def by_transformers(model, tokenizer, pairs, batch):
    rows = []
    for context, continuation in pairs:
        own = tokenizer(context + continuation, add_special_tokens=False, return_offsets_mapping=True)
        start = next(at for at, (_, end) in enumerate(own["offset_mapping"]) if end > len(context))
        rows.append((own["input_ids"], start))
    order = sorted(range(len(rows)), key=lambda row: len(rows[row][0]))
    sums = [0.0] * len(rows)
    for first in range(0, len(order), batch):
        own = order[first : first + batch]
        longest = max(len(rows[row][0]) for row in own)
        ids = torch.zeros((len(own), longest), dtype=torch.long)
        mask = torch.zeros((len(own), longest), dtype=torch.long)
        for place, row in enumerate(own):
            length = len(rows[row][0])
            ids[place, :length] = torch.tensor(rows[row][0])
            mask[place, :length] = 1
        hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        for place, row in enumerate(own):
            tokens, start = rows[row]
            logits = model.lm_head(hidden[place, start - 1 : len(tokens) - 1])
            each = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(tokens[start:])[:, None])
            sums[row] = each.double().sum().item()
    return sums


def by_lm_eval(model, tokenizer, pairs, batch):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch, add_bos_token=False)
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index) for index, pair in enumerate(pairs)
    ]
    started = time.perf_counter()
    answers = lm.loglikelihood(requests, disable_tqdm=True)
    return [own for own, _ in answers], time.perf_counter() - started


def main():
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = loaded(arguments.model)
    questions = [json.loads(line) for line in arguments.questions.read_text().splitlines()]
    pairs = [(own["context"], continuation) for own in questions for continuation in own["continuations"]]
    # Threads and allocations are there before the clock starts.
    by_transformers(model, tokenizer, pairs[:2], 2)
    if arguments.side == "transformers":
        started = time.perf_counter()
        sums = by_transformers(model, tokenizer, pairs, arguments.batch)
        seconds = time.perf_counter() - started
    else:
        sums, seconds = by_lm_eval(model, tokenizer, pairs, arguments.batch)
    print(json.dumps({"seconds": seconds, "questions": len(questions), "sums": sums}))


if __name__ == "__main__":
    main()
