"""PyTorch and PEFT side of the training-speed comparison; prints one line of JSON.

LoRA (q_proj, v_proj, alpha = 2 * rank, no dropout) on the GGUF's weights dequantised to f32,
AdamW (lr 1e-3, weight decay .01), on the CPU. The batch is drawn once from a seed and used
in every step: uniform token ids, no padding, the last --labelled positions of each row
trained. A step is forward, backward and optimizer; the first --warmup steps are not timed.

  --head all       transformers' own loss: logits at every position
  --head labelled  the base model, then the head only where a label is predicted
Both give the same loss. "seconds" has every timed step, "tokens_per_second" is
batch * length over the median step, "peak_rss_mib" the process's high-water mark (loading
and dequantising included; "loaded_rss_mib" is that mark before the first step).

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2, gguf 0.19.0.
Run: python bench_train.py --model MODEL.gguf --batch 4 --length 256 --labelled 150 --steps 5
     --threads 2 --head labelled
"""

import argparse
import json
import os
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def peak_rss_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def loss_all(model, ids, labels, count):
    return model(input_ids=ids, labels=labels).loss


def loss_labelled(model, ids, labels, count):
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids).last_hidden_state
    # Position t is predicted at t - 1; the rows' labelled positions are the last `count`.
    logits = causal.lm_head(hidden[:, -count - 1:-1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, -count:].flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--labelled", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--head", choices=["all", "labelled"], default="all")
    args = parser.parse_args()
    if not 0 < args.labelled < args.length:
        parser.error("--labelled must be from 1 to length - 1: the first position has no prediction")

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    folder, file = os.path.split(os.path.abspath(args.model))
    base = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype=torch.float32, attn_implementation="sdpa")
    base.config.use_cache = False
    model = get_peft_model(base, LoraConfig(
        r=args.rank, lora_alpha=2 * args.rank, target_modules=["q_proj", "v_proj"],
        lora_dropout=0.0, task_type="CAUSAL_LM"))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.01)

    ids = torch.randint(3, base.config.vocab_size, (args.batch, args.length))
    labels = torch.full_like(ids, -100)
    labels[:, -args.labelled:] = ids[:, -args.labelled:]
    loss_of = {"all": loss_all, "labelled": loss_labelled}[args.head]

    loaded = peak_rss_mib()
    seconds, losses = [], []
    for step in range(args.warmup + args.steps):
        start = time.perf_counter()
        loss = loss_of(model, ids, labels, args.labelled)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= args.warmup:
            seconds.append(round(time.perf_counter() - start, 4))
        losses.append(round(loss.item(), 6))
    print(json.dumps({
        "seconds": seconds,
        "tokens_per_second": round(args.batch * args.length / statistics.median(seconds), 2),
        "peak_rss_mib": peak_rss_mib(),
        "loaded_rss_mib": loaded,
        "loss": losses,
        "head": args.head, "batch": args.batch, "length": args.length, "labelled": args.labelled,
        "threads": args.threads, "rank": args.rank, "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
