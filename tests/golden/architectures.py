"""Golden models, logits, LoRA gradients and training steps for every architecture, on tiny weights.

Eight random models in the shape Hugging Face publishes them, each with a PEFT adapter and what
transformers and PEFT compute with them. Weights are seeded normal draws, rounded to float16.

  llama2        4 heads of 6, no grouping, untied head, theta 10000
  llama3        4 heads of 6 over 2 key-value heads, tied, theta 500000, rope type llama3 (factor 8,
                low 1, high 4, original length 16); two shards with an index
  llama-linear  4/2 heads of 6, untied, rope type linear (factor 4), biases on all seven projections
  mistral       4/2 heads of 8 (so 32 wide over a hidden size of 24), untied, every layer slides over 5
  qwen2         4/2 heads of 6, tied, theta 1000000, biases on q, k and v
  qwen3         4/2 heads of 8, untied, theta 1000000, norms of q and k
  gemma2        4/2 heads of 8, tied, soft-caps 2 (attention) and 3 (logits), query_pre_attn_scalar 12,
                sliding (over 4) and full attention alternating, the first layer sliding
  gemma3        4/1 heads of 8, tied, hidden size 20, six layers, all sliding (over 4) but the last,
                theta 500 where sliding, 20000 with linear scaling (factor 4) where full, norms of q
                and k, query_pre_attn_scalar 12

A sliding window of w lets position i see i-w+1 ..= i. Gemma multiplies by 1 + its norm weights and
scales the embedding by sqrt(hidden size). All use hidden size 24, MLP 40 and two layers, but for
gemma3 (20, 28, six: llama.cpp takes layer 6, 12, ... of this architecture as full without being
told, so fewer layers could not be converted to GGUF). Vocabulary 48, 64 positions.

Makes, in OUT_DIR/NAME:
  config.json, model.safetensors   as save_pretrained writes them, in float16 (llama3:
                                   model-0000N-of-00002.safetensors, model.safetensors.index.json)
  adapter/                         as PEFT saves it (adapter_config.json, adapter_model.safetensors
                                   in float32, A and B both non-zero). All seven projections, r=3,
                                   alpha=6, but for: llama2, where target_modules is a regular
                                   expression (q_proj and v_proj of layer 1, gate_proj of layer 0);
                                   mistral, with rank_pattern and alpha_pattern; qwen3, with
                                   use_rslora (scale alpha / sqrt(r))
  expected.json                    described below
  gradients.safetensors            f32 gradient of every adapter tensor at the start, by the names
                                   of adapter_model.safetensors
  after20.safetensors              the adapter after the 20 steps, f32, by the same names
  full-gradients.safetensors       llama3 and gemma2 only: f32 gradient of every weight of the base
                                   model without adapter, by the names of model.safetensors; a tied
                                   embedding's is the sum of both uses
  full_after5.safetensors          those two: the weights, f32, after 5 steps of SGD (lr .05,
                                   momentum .9, no dampening, no clipping), same batch each step

expected.json:
  ids              3 rows of 13, 7 and 18 token ids, none below 3, without padding
  trained          which positions are learnt, in the shape of ids; never the first. Position t is
                   predicted at t-1
  trained_tokens   how many those are in the batch
  loss             with the adapter: sum of cross-entropies / trained_tokens (one mean over the
                   batch, not a mean of rows' means)
  logits           with the adapter, of row 0: 13 lists of 48
  base_loss, base_logits   the same without the adapter
  gradient_norm    L2 norm of all adapter gradients together
  losses20         loss ahead of each of 20 steps of AdamW (lr .01, betas .9 .999, eps 1e-8, weight
                   decay .01 on every tensor, i.e. p -= lr * .01 * p), same batch each step
  grad_norms20     total gradient norm ahead of each step, before it is clipped as
                   torch.nn.utils.clip_grad_norm_ does: all times min(1, 1 / (norm + 1e-6))
  loss_after20     loss after the last
  full_loss, full_losses5, full_gradient_norm   llama3 and gemma2: the same for training the base
                   (full_loss is base_loss)
  head_dim_scaled  gemma2 and gemma3: loss, logits, base_loss and base_logits with attention scores
                   scaled by 1 / sqrt(head_dim) in place of 1 / sqrt(query_pre_attn_scalar): GGUF has
                   no place for the latter, see architectures_gguf.py
  old_config       what config.json would hold as transformers 4 wrote it: rope_theta and
                   rope_scaling for rope_parameters (for gemma3 of the full layers, beside
                   rope_local_base_freq and sliding_window_pattern), torch_dtype for dtype, no
                   layer_types; head_dim left out where the Llamas' follows from the rest (not
                   llama3's), tie_word_embeddings for the Gemmas, for whom true is the default; for
                   the Qwens a sliding_window that use_sliding_window turns off. Loads to the very
                   same logits (checked)
  float32          how far transformers in plain float32 is from the above, as a scale for
                   tolerances: loss and losses20 (worst relative difference), logits, gradients and
                   after20 (relative L2, all together), worst_gradient and worst_after20 (of the
                   worst tensor), change20 (of after20 minus the start, all together). For llama3
                   and gemma2 also full_gradients, worst_full_gradient, full_after5, full_change5
  upcast           how far transformers with float64 weights is, which still takes softmax and RMS
                   norms in float32: gradients (relative L2, all together)

All values are float64 throughout (rounded to f32 in the safetensors files, to 9 digits where
logits): the float32 casts of transformers' norms and softmaxes are lifted, its float32 rotations
and embedding scales are kept. Rows are run one by one, without padding; the script checks the loss and logits
against a right-padded batch with an attention mask, the gradients against central differences,
that every adapter tensor has a gradient, and that the folder loads to the same logits.

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2, safetensors 0.8.0.
Run: OMP_NUM_THREADS=1 python architectures.py OUT_DIR   (OUT_DIR is architectures beside this
file, and is cleared; half a minute)
"""

import argparse
import copy
import json
import math
import shutil
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers import (
    AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)

VOCABULARY = 48
LENGTHS = [13, 7, 18]
TRAINED = [  # positions learnt, as half-open ranges
    [(3, 6), (9, 13)],
    [(1, 7)],
    [(2, 7), (11, 17)],
]
COMMON = dict(vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
GEMMA3 = dict(hidden_size=20, intermediate_size=28, num_hidden_layers=6, num_key_value_heads=1)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
CONFIGS = {
    "llama2": lambda: LlamaConfig(**COMMON | dict(
        num_key_value_heads=4, tie_word_embeddings=False, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
    "llama3": lambda: LlamaConfig(**COMMON | dict(
        tie_word_embeddings=True, rms_norm_eps=1e-5, attention_bias=False,
        rope_parameters=LLAMA3 | {"rope_theta": 500000.0})),
    "llama-linear": lambda: LlamaConfig(**COMMON | dict(
        tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0})),
    "mistral": lambda: MistralConfig(**COMMON | dict(
        head_dim=8, sliding_window=5, tie_word_embeddings=False, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
    "qwen2": lambda: Qwen2Config(**COMMON | dict(
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})),
    "qwen3": lambda: Qwen3Config(**COMMON | dict(
        head_dim=8, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})),
    "gemma2": lambda: Gemma2Config(**COMMON | dict(
        head_dim=8, sliding_window=4, query_pre_attn_scalar=12, attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
    "gemma3": lambda: Gemma3TextConfig(**COMMON | GEMMA3 | dict(
        head_dim=8, sliding_window=4, query_pre_attn_scalar=12,
        rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 20000.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}})),
}
OLD = {  # what transformers 4 wrote where the two differ; None takes a key away
    "llama2": {"rope_theta": 10000.0, "rope_scaling": None, "head_dim": None},
    "llama3": {"rope_theta": 500000.0, "rope_scaling": LLAMA3},
    "llama-linear": {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}, "head_dim": None},
    "mistral": {"rope_theta": 10000.0},
    # off, yet a window is given: to be ignored
    "qwen2": {"rope_theta": 1000000.0, "use_sliding_window": False, "sliding_window": 3, "max_window_layers": 1},
    "qwen3": {"rope_theta": 1000000.0, "rope_scaling": None, "use_sliding_window": False, "sliding_window": 3},
    "gemma2": {"rope_theta": 10000.0, "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": None},
    "gemma3": {"rope_theta": 20000.0, "rope_local_base_freq": 500.0, "sliding_window_pattern": 6,
               "rope_scaling": {"rope_type": "linear", "factor": 4.0}, "tie_word_embeddings": None},
}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "llama2": dict(target_modules=r".*layers\.(1\.self_attn\.(q|v)_proj|0\.mlp\.gate_proj)"),
    "mistral": dict(target_modules=PROJECTIONS, rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 4},
                    alpha_pattern={"q_proj": 8, "layers.1.mlp.down_proj": 2}),
    "qwen3": dict(target_modules=PROJECTIONS, use_rslora=True),
}
FULL = ["llama3", "gemma2"]
SEEDS = {name: seed for seed, name in enumerate(CONFIGS, 1)} | {
    "gemma3": 28,  # of five tried, the one whose AdamW steps enlarge rounding least
}


class Exact(TorchFunctionMode):
    """Leaves float64 as it is where transformers casts to float32 (norms, softmax); float32 is untouched."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64:
            if func is torch.Tensor.float or func is torch.Tensor.to and args[1:] == (torch.float32,):
                return args[0]
            if func in (functional.softmax, torch.Tensor.softmax):
                kwargs = {**kwargs, "dtype": None}
        return func(*args, **kwargs)


def draw_weights(model, seed):
    """Normal draws in the order of the sorted names, rounded to float16."""
    generator = torch.Generator().manual_seed(seed)
    gemma = model.config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            values = torch.randn(p.shape, generator=generator)
            if name.endswith("norm.weight"):
                values = 0.2 * values + (0.0 if gemma else 1.0)
            elif name.endswith("bias"):
                values = 0.2 * values
            else:  # queries, keys and embeddings wider, for attention and logits far from uniform
                wide = any(part in name for part in ("q_proj", "k_proj", "embed_tokens", "lm_head"))
                values = (0.3 if wide else 0.15) * values
            p.copy_(values.half().float())


def draw_adapter(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, p in sorted(lora_tensors(model).items()):
            p.copy_(0.2 * torch.randn(p.shape, generator=generator))


def lora_tensors(model):
    """The trained tensors by the names PEFT saves."""
    named = {name.replace(".default.", "."): p for name, p in model.named_parameters() if "lora_" in name}
    assert set(named) == set(get_peft_model_state_dict(model, save_embedding_layers=False))
    return named


def make_batch(seed):
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in LENGTHS]
    trained = [[any(a <= t < b for a, b in ranges) for t in range(length)]
               for length, ranges in zip(LENGTHS, TRAINED)]
    return ids, trained


def load(folder, dtype=torch.float32):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.config.use_cache = False
    return model.eval().to(dtype)


def load_adapted(folder, dtype=torch.float32):
    model = PeftModel.from_pretrained(load(folder), folder / "adapter", is_trainable=True)
    return model.eval().to(dtype)


def losses_and_logits(model, batch):
    """Mean cross-entropy over the batch's trained tokens, row by row; logits of row 0."""
    total, first = 0.0, None
    for ids, trained in zip(*batch):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        first = logits.detach().double() if first is None else first
        at = torch.tensor([t for t, learn in enumerate(trained) if learn])
        total = total + functional.cross_entropy(logits[at - 1].double(), torch.tensor(ids)[at], reduction="sum")
    return total / sum(map(sum, batch[1])), first


def gradients(model, tensors, batch):
    for p in tensors.values():
        p.grad = None
    loss, logits = losses_and_logits(model, batch)
    loss.backward()
    return loss.item(), logits, {name: p.grad.detach().clone() for name, p in tensors.items()}


def train(model, tensors, batch, optimiser, steps, clip):
    losses, norms = [], []
    for _ in range(steps):
        losses.append(gradients(model, tensors, batch)[0])
        norms.append(torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0 if clip else math.inf).item())
        optimiser.step()
    with torch.no_grad():
        last = losses_and_logits(model, batch)[0].item()
    return losses, norms, last, {name: p.detach().clone() for name, p in tensors.items()}


def adamw(tensors, weight_decay=0.01):
    return torch.optim.AdamW(tensors.values(), lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)


def norm_of(tensors):
    return math.hypot(*(p.double().norm().item() for p in tensors.values()))


def distances(tensors, exact):
    """Relative L2, all together and of the worst tensor."""
    apart = {name: tensors[name].double() - p.double() for name, p in exact.items()}
    return norm_of(apart) / norm_of(exact), max((apart[n].norm() / exact[n].double().norm()).item() for n in exact)


def minus(tensors, start):
    return {name: p.double() - start[name].double() for name, p in tensors.items()}


def check_padded(folder, batch, loss, logits):
    width = max(LENGTHS)
    ids = torch.tensor([row + [0] * (width - len(row)) for row in batch[0]])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch[0]])
    labels = torch.tensor([[t if learn else -100 for t, learn in zip(row, trained)] + [-100] * (width - len(row))
                           for row, trained in zip(*batch)])
    with torch.no_grad():
        model = load_adapted(folder)
        padded = model(input_ids=ids, attention_mask=mask).logits
    mean = functional.cross_entropy(padded[:, :-1].flatten(0, 1).double(), labels[:, 1:].flatten(), ignore_index=-100)
    assert abs(mean.item() - loss) < 1e-4, (mean, loss)
    assert (padded[0, :LENGTHS[0]].double() - logits).abs().max() < 1e-4


def check_differences(model, tensors, batch, exact):
    """The gradient along a random direction against a central difference: fails if anything is below float64."""
    generator = torch.Generator().manual_seed(5)
    along = {name: torch.randn(p.shape, generator=generator, dtype=torch.float64) for name, p in tensors.items()}
    step, sides = 1e-5, []
    with torch.no_grad():
        for sign in (step, -2 * step, step):  # the last puts the weights back
            for name, p in tensors.items():
                p.add_(along[name], alpha=sign)
            sides.append(losses_and_logits(model, batch)[0].item())
    slope = sum((along[name] * exact[name]).sum().item() for name in tensors)
    found = (sides[0] - sides[1]) / (2 * step)
    assert abs(found - slope) < 1e-6 * norm_of(exact) * norm_of(along), (found, slope)


def digits(values):
    return [[float(f"{x:.9g}") for x in row] for row in values.tolist()]


def save_json(path, fields):
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def save_tensors(path, tensors):
    save_file({name: p.detach().float().contiguous() for name, p in tensors.items()}, path)
    path.chmod(0o644)


def make_folder(folder, name, seed):
    """config.json, the weights and the adapter; the model as drawn."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = CONFIGS[name]()
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    draw_weights(model, seed)
    copy.deepcopy(model).half().save_pretrained(folder, max_shard_size="14KB" if name == "llama3" else "1GB")
    (folder / "generation_config.json").unlink()
    assert len(list(folder.glob("*.safetensors"))) == (2 if name == "llama3" else 1)

    settings = dict(r=3, lora_alpha=6, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, LoraConfig(**settings | ADAPTERS.get(name, {})))
    adapted.peft_config["default"].base_model_name_or_path = name
    draw_adapter(adapted, seed + 100)
    adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
    (folder / "adapter" / "README.md").unlink()
    path = folder / "adapter" / "adapter_config.json"
    settings = json.loads(path.read_text())
    if isinstance(settings["target_modules"], list):  # a set to PEFT: its order changes from run to run
        settings["target_modules"].sort()
        path.write_text(json.dumps(settings, indent=2, sort_keys=True))
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    return adapted


def old_config(folder, name):
    """config.json as transformers 4 wrote it; checked to load to the same logits."""
    config = json.loads((folder / "config.json").read_text())
    for key in ("rope_parameters", "dtype", "layer_types", "_sliding_window_pattern", "transformers_version"):
        config.pop(key, None)
    for key, value in OLD[name].items():
        if value is None and key != "rope_scaling":
            config.pop(key, None)
        else:
            config[key] = value
    config = {key: value for key, value in config.items() if value is not None or key == "rope_scaling"}
    config |= {"torch_dtype": "float16", "transformers_version": "4.51.3"}
    with tempfile.TemporaryDirectory() as other, torch.no_grad():
        for path in folder.glob("model*"):
            if path.suffix != ".gguf":
                shutil.copy(path, other)
        (Path(other) / "config.json").write_text(json.dumps(config))
        ids = torch.tensor([list(range(3, 23))])
        assert torch.equal(load(other)(input_ids=ids).logits, load(folder)(input_ids=ids).logits), name
    return dict(sorted(config.items()))


def make(out, name, seed):
    folder = out / name
    drawn = make_folder(folder, name, seed)
    batch = make_batch(seed + 200)
    with torch.no_grad():
        logits = losses_and_logits(drawn, batch)[1]
        assert torch.equal(logits, losses_and_logits(load_adapted(folder), batch)[1])

    def with_adapter(dtype):
        model = load_adapted(folder, dtype)
        tensors = lora_tensors(model)
        start = {key: p.detach().clone() for key, p in tensors.items()}
        results = gradients(model, tensors, batch)
        if dtype == torch.float64:
            check_differences(model, tensors, batch, results[2])
        with torch.no_grad(), model.disable_adapter():
            base = losses_and_logits(model, batch)
        for key, p in tensors.items():
            p.data.copy_(start[key])
        return results, base, train(model, tensors, batch, adamw(tensors), 20, clip=True), start

    with Exact():
        results, (base_loss, base_logits), (losses, norms, last, after), start = with_adapter(torch.float64)
    loss, logits, grads = results
    assert all(g.norm() > 1e-4 * norm_of(grads) for g in grads.values())
    check_padded(folder, batch, loss, logits)
    plain, _, plain_train, _ = with_adapter(torch.float32)
    model = load_adapted(folder, torch.float64)
    upcast = gradients(model, lora_tensors(model), batch)[2]

    fields = {
        "ids": batch[0], "trained": batch[1], "trained_tokens": sum(map(sum, batch[1])),
        "loss": loss, "logits": digits(logits), "base_loss": base_loss.item(), "base_logits": digits(base_logits),
        "gradient_norm": norm_of(grads), "losses20": losses, "grad_norms20": norms, "loss_after20": last,
    }
    all_gradients, worst_gradient = distances(plain[2], grads)
    all_after, worst_after = distances(plain_train[3], after)
    float32 = {
        "loss": abs(plain[0] - loss) / loss,
        "logits": ((plain[1] - logits).norm() / logits.norm()).item(),
        "gradients": all_gradients, "worst_gradient": worst_gradient,
        "losses20": max(abs(a - b) / b for a, b in zip(plain_train[0], losses)),
        "after20": all_after, "worst_after20": worst_after,
        "change20": distances(minus(plain_train[3], start), minus(after, start))[0],
    }
    save_tensors(folder / "gradients.safetensors", grads)
    save_tensors(folder / "after20.safetensors", after)

    if name in FULL:
        def full(dtype):
            model = load(folder, dtype)
            tensors = dict(model.named_parameters())
            begin = {key: p.detach().clone() for key, p in tensors.items()}
            results = gradients(model, tensors, batch)
            optimiser = torch.optim.SGD(tensors.values(), lr=0.05, momentum=0.9)
            return results, train(model, tensors, batch, optimiser, 5, clip=False), begin

        with Exact():
            (full_loss, _, full_grads), (full_losses, _, _, full_after), begin = full(torch.float64)
        assert full_loss == base_loss.item() and set(full_grads) == weights_of(folder)
        plain_grads, plain_after, _ = full(torch.float32)
        fields |= {"full_loss": full_loss, "full_losses5": full_losses, "full_gradient_norm": norm_of(full_grads)}
        float32["full_gradients"], float32["worst_full_gradient"] = distances(plain_grads[2], full_grads)
        float32["full_after5"] = distances(plain_after[3], full_after)[0]
        float32["full_change5"] = distances(minus(plain_after[3], begin), minus(full_after, begin))[0]
        save_tensors(folder / "full-gradients.safetensors", full_grads)
        save_tensors(folder / "full_after5.safetensors", full_after)

    if name.startswith("gemma"):
        with Exact(), torch.no_grad():
            model = load_adapted(folder, torch.float64)
            for layer in model.get_base_model().model.layers:
                assert layer.self_attn.scaling == model.config.query_pre_attn_scalar ** -0.5
                layer.self_attn.scaling = model.config.head_dim ** -0.5
            scaled, scaled_logits = losses_and_logits(model, batch)
            with model.disable_adapter():
                scaled_base, scaled_base_logits = losses_and_logits(model, batch)
        fields["head_dim_scaled"] = {
            "loss": scaled.item(), "logits": digits(scaled_logits),
            "base_loss": scaled_base.item(), "base_logits": digits(scaled_base_logits)}

    fields["old_config"] = old_config(folder, name)
    fields["float32"] = float32
    fields["upcast"] = {"gradients": distances(upcast, grads)[0]}
    save_json(folder / "expected.json", fields)
    print(f"{name}: loss {loss:.6f}, after 20 steps {last:.6f}, gradient norm {norm_of(grads):.4f}, "
          f"logits {logits.std():.2f} wide")
    print("  float32:", ", ".join(f"{key} {value:.1e}" for key, value in float32.items()),
          f"; upcast: {fields['upcast']['gradients']:.1e}")


def weights_of(folder):
    return {name for path in folder.glob("model*.safetensors") for name in load_file(path)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for name in CONFIGS:
        make(out, name, SEEDS[name])


if __name__ == "__main__":
    main()
