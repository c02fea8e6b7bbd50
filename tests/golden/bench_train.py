"""PyTorch and PEFT side of the training-speed comparison; prints one line of JSON.

LoRA (alpha = 2 * rank, no dropout) and AdamW (lr 1e-3, no weight decay), gradients clipped to
a total norm of 1. A step is forward, backward, clipping and optimizer; the first --warmup
steps are not timed, nor is putting batches together.

The model, frozen:
  --model FILE.gguf  its weights dequantised
  --model FOLDER     a Hugging Face folder
  --random NAME      published shapes (`tiny` is our own) with weights from the formula below,
                     norms exactly 1, made without a random initialisation first
The adapter is on q_proj and v_proj (--targets qv) or all seven linear modules (--targets all);
B is zero and A from the formula, whatever the model.

The formula, for a tensor of some name and a flat row-major index i, modulo 2^64:
  z = fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB
  z = z ^ (z >> 31)
  value = ((z >> 40) / 2^23 - 1) * s   in f32: exact but for the product, rounded once
Matrices and embeddings have s = f32(.04) and their Hugging Face name, A has s = f32(1 / sqrt(in))
and the name PEFT saves it under. Weights kept in bf16 are that f32 rounded to nearest even.

The data:
  --labelled K   --batch full rows of --length tokens, the last K trained (length - 1 is every
                 position with a prediction); the same batch in every step. The token is
                 (z >> 33) % vocabulary with the name "ids" and i = row * length + position
  --rows FILE    {"rows": [{"ids": [...], "trained": [bool, ...]}, ...]}: the next --batch rows
                 in each step, right-padded to the longest, with an attention mask
The loss is the mean over a batch's trained tokens; a row's first token has no prediction.
  --head all       transformers' own loss: logits at every position
  --head labelled  the base model, then the head only where a label is predicted
Both give the same loss.

  --dtype bf16  torch.autocast; the base weights stay f32 on the CPU and are bf16 on CUDA, the
                adapter is f32 on both
  --recompute   gradient checkpointing of each layer (not re-entrant)

"seconds" has every timed step; "loss", "tokens" (without padding), "positions" (with it) and
"trained" (tokens with a prediction that counts) have every step, warm-up included.
"tokens_per_second" is the median of tokens / seconds over the timed steps, "peak_rss_mib" the
process's high-water mark (loading and dequantising included; "loaded_rss_mib" is that mark
before the first step), "peak_device_mib" the most CUDA memory allocated, null on the CPU.
--check adds "gradient": the L2 norms at step 0, before clipping, of the adapter's whole
gradient and of its first four tensors in the order of their names (A's is 0, B being 0).

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2, gguf 0.19.0.
Run: python bench_train.py --model MODEL.gguf --batch 4 --length 256 --labelled 150 --steps 5
     --threads 2 --head labelled
     python bench_train.py --random llama-3.2-1b --rows ROWS.json --batch 8 --targets all
     --rank 16 --dtype bf16 --recompute --head labelled --device cuda
"""

import argparse
import contextlib
import gc
import json
import math
import os
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import AutoModelForCausalLM, LlamaConfig

IGNORED = -100  # what transformers' loss leaves out
BLOCK = 1 << 18
TARGETS = {
    "qv": ["q_proj", "v_proj"],
    "all": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}
SHAPES = {
    "smollm2-135m": {
        "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "intermediate_size": 1536, "vocab_size": 49152, "tie_word_embeddings": True,
        "max_position_embeddings": 8192, "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
    },
    "llama-3.2-1b": {
        "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 64, "intermediate_size": 8192, "vocab_size": 128256, "tie_word_embeddings": True,
        "max_position_embeddings": 131072, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    },
    "llama-2-7b": {
        "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "intermediate_size": 11008, "vocab_size": 32000, "tie_word_embeddings": False,
        "max_position_embeddings": 4096, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "tiny": {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 128, "vocab_size": 256, "tie_word_embeddings": True,
        "max_position_embeddings": 4096, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
}


def peak_rss_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def signed(value):
    """The int64 with the bits of a u64; torch has no arithmetic on u64, and int64's wraps."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def shifted(z, bits):
    """z >> bits as if z were unsigned."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def hashes(name, start, end, device):
    """The formula's z for the indices from start to end."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % (1 << 64)
    z = torch.arange(start + 1, end + 1, dtype=torch.int64, device=device)
    z.mul_(signed(0x9E3779B97F4A7C15)).add_(signed(state))
    z.bitwise_xor_(shifted(z, 30)).mul_(signed(0xBF58476D1CE4E5B9))
    z.bitwise_xor_(shifted(z, 27)).mul_(signed(0x94D049BB133111EB))
    return z.bitwise_xor_(shifted(z, 31))


@torch.no_grad()
def fill(name, tensor, scale):
    """Sets a tensor to the formula's values, in its own dtype and on its own device."""
    flat = tensor.view(-1)
    for start in range(0, flat.numel(), BLOCK):
        end = min(start + BLOCK, flat.numel())
        unit = shifted(hashes(name, start, end, tensor.device), 40).to(torch.float32)
        flat[start:end] = unit.div_(1 << 23).sub_(1).mul_(scale)


def random_model(name, dtype, device, attention):
    config = LlamaConfig(rms_norm_eps=1e-5, hidden_act="silu", **SHAPES[name])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention)
    for tensor_name, parameter in list(model.named_parameters()):
        if tensor_name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        tensor = torch.empty(parameter.shape, dtype=dtype, device=device)
        if parameter.dim() == 1:
            tensor.fill_(1)
        else:
            fill(tensor_name, tensor, 0.04)
        module, _, attribute = tensor_name.rpartition(".")
        setattr(model.get_submodule(module), attribute, torch.nn.Parameter(tensor))
    model.tie_weights()
    # Its frequencies are a buffer, which was made on the meta device as well.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config).to(device)
    assert not any(t.is_meta for t in [*model.parameters(), *model.buffers()])
    return model


def load(args):
    dtype = torch.bfloat16 if args.dtype == "bf16" and args.device == "cuda" else torch.float32
    if args.random:
        return random_model(args.random, dtype, args.device, args.attention)
    folder, file = os.path.abspath(args.model), None
    if os.path.isfile(folder):
        folder, file = os.path.split(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype=dtype, attn_implementation=args.attention)
    return model.to(args.device)


def lora_tensors(model):
    """The trained tensors by the names PEFT saves, in the model's order."""
    named = {name.replace(".default.", "."): p for name, p in model.named_parameters() if p.requires_grad}
    assert set(named) == set(get_peft_model_state_dict(model))
    assert all(p.dtype == torch.float32 for p in named.values())
    return named


def with_adapter(base, args):
    base.config.use_cache = False
    model = get_peft_model(base, LoraConfig(
        r=args.rank, lora_alpha=2 * args.rank, target_modules=TARGETS[args.targets],
        lora_dropout=0.0, task_type="CAUSAL_LM"))
    if args.recompute:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    tensors = lora_tensors(model)
    for name, tensor in tensors.items():
        if name.endswith(".lora_A.weight"):
            fill(name, tensor, 1 / math.sqrt(tensor.shape[1]))
        else:
            torch.nn.init.zeros_(tensor)
    return model.train(), tensors


def make_batch(rows, padded, device):
    """Rows of (ids, trained) as tensors; `at` and `targets` are for the head at labelled positions."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, (own, trained) in enumerate(rows):
        own = torch.tensor(own)
        ids[row, :len(own)] = own
        labels[row, :len(own)] = own.masked_fill(~torch.tensor(trained), IGNORED)
        mask[row, :len(own)] = 1
    # Position t is predicted at t - 1.
    following = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
    at = (following != IGNORED).nonzero().flatten()
    return {
        "ids": ids.to(device), "labels": labels.to(device), "mask": mask.to(device) if padded else None,
        "at": at.to(device), "targets": following[at].to(device),
        "tokens": int(mask.sum()), "positions": ids.numel(), "trained": at.numel(),
    }


def full_batch(args, vocabulary):
    ids = shifted(hashes("ids", 0, args.batch * args.length, "cpu"), 33) % vocabulary
    trained = [position >= args.length - args.labelled for position in range(args.length)]
    return make_batch([(row, trained) for row in ids.view(args.batch, -1).tolist()], False, args.device)


def ragged_batches(args, steps):
    with open(args.rows, encoding="utf-8") as file:
        rows = [(row["ids"], row["trained"]) for row in json.load(file)["rows"]]
    if len(rows) < steps * args.batch:
        raise SystemExit(f"{args.rows} has {len(rows)} rows of the {steps * args.batch} that the steps take")
    return [make_batch(rows[step * args.batch:][:args.batch], True, args.device) for step in range(steps)]


def loss_all(model, batch):
    return model(input_ids=batch["ids"], attention_mask=batch["mask"], labels=batch["labels"]).loss


def loss_labelled(model, batch):
    causal = model.get_base_model()
    hidden = causal.model(input_ids=batch["ids"], attention_mask=batch["mask"]).last_hidden_state
    logits = causal.lm_head(hidden.flatten(0, 1).index_select(0, batch["at"]))
    return torch.nn.functional.cross_entropy(logits.float(), batch["targets"])


def gradient_norms(tensors):
    norms = {name: float(tensors[name].grad.double().norm()) for name in sorted(tensors)}
    return {"norm": math.hypot(*norms.values()), "tensors": dict(list(norms.items())[:4])}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model")
    source.add_argument("--random", choices=list(SHAPES))
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--labelled", type=int)
    data.add_argument("--rows")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, help="256 where it is not given; not with --rows")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--targets", choices=list(TARGETS), default="qv")
    parser.add_argument("--head", choices=["all", "labelled"], default="all")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.rows is None:
        args.length = 256 if args.length is None else args.length
        if not 0 < args.labelled < args.length:
            parser.error("--labelled must be from 1 to length - 1: the first position has no prediction")
    elif args.length is not None:
        parser.error("--length does not go with --rows, which have their own")
    return args


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    cuda = args.device == "cuda"
    base = load(args)
    vocabulary = base.config.vocab_size
    model, tensors = with_adapter(base, args)
    optimizer = torch.optim.AdamW(tensors.values(), lr=1e-3, weight_decay=0.0)

    steps = args.warmup + args.steps
    batches = ragged_batches(args, steps) if args.rows else [full_batch(args, vocabulary)] * steps
    loss_of = {"all": loss_all, "labelled": loss_labelled}[args.head]
    half = args.dtype == "bf16"

    def now():
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    # What loading left behind is not for the steps' garbage collections to walk.
    gc.collect()
    gc.freeze()
    loaded = peak_rss_mib()
    seconds, losses, check = [], [], {}
    for step, batch in enumerate(batches):
        start = now()
        with torch.autocast(args.device, dtype=torch.bfloat16) if half else contextlib.nullcontext():
            loss = loss_of(model, batch)
        loss.backward()
        if args.check and step == 0:
            check = {"gradient": gradient_norms(tensors)}
        torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        elapsed = now() - start
        if step >= args.warmup:
            seconds.append(round(elapsed, 6))
        losses.append(round(loss.item(), 7))
    tokens = [batch["tokens"] for batch in batches]
    print(json.dumps({
        "seconds": seconds,
        "tokens_per_second": round(statistics.median(t / s for t, s in zip(tokens[args.warmup:], seconds)), 2),
        "peak_rss_mib": peak_rss_mib(),
        "loaded_rss_mib": loaded,
        "peak_device_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1) if cuda else None,
        "loss": losses,
        "tokens": tokens,
        "positions": [batch["positions"] for batch in batches],
        "trained": [batch["trained"] for batch in batches],
        **check, **vars(args), "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
