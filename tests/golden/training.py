"""Golden loss, logits, LoRA gradients, AdamW steps and generation on SmolLM2-135M-Instruct.

The model is the GGUF's weights dequantised to f32 by transformers, the adapter PEFT's
(r=8, alpha=16, q_proj and v_proj, no dropout), both on the CPU with one thread. Makes, in
OUT_DIR:
  training.json               inputs and expected values, described below
  training-grads.safetensors  f32 gradients of the LoRA tensors of layers 0, 15 and 29,
                              under the names PEFT saves in adapter_model.safetensors

LoRA weights come from a formula, in float64 and then cast to f32: with i the flat row-major
index, l the layer, m the module (q_proj 0, v_proj 1), x the matrix (A 0, B 1),
  value = (0.04 if A else 0.02) * sin(0.37*i + 1.3*l + 0.7*m + 2.1*x)

training.json:
  ids, lengths, labels   batch of 3 rows, right-padded with id 2 (attention mask 0 there);
                         labels are -100 but for the last 9, 1, 5 positions of the rows.
                         Labels are aligned with ids: position t is predicted at t-1
  trained_tokens, loss   mean cross-entropy over the trained tokens of the whole batch, as
                         transformers defines it, but taken in f64 from the f32 logits:
                         torch's f32 log_softmax over 49,152 entries is 8e-6 too high, which
                         costs the gradients 3e-5 (1e-4 in the worst tensor)
  logits                 with the adapter, at some (row, position): every 97th vocabulary
                         entry, the arg-max and the log-sum-exp of all
  gradients              of each of the 120 LoRA tensors: L2 norm, and dot product with
                         sin(0.11*i); gradient_norm is the L2 norm of them all
  float64                the same loss and gradients by a second, plain implementation in
                         f64 (row by row, without padding), as a check and as a scale for
                         tolerances: loss, gradient norm, and the relative L2 distance of
                         the f32 gradients from them (all together; worst tensor). The
                         script fails if the two are more than 1e-4 apart
  plain                  what model(ids, labels).loss gives, with that f32 log_softmax: its
                         loss, and its gradients' distances from the f64 ones
  adamw                  20 steps of torch.optim.AdamW (lr 2e-4, betas .9 .999, eps 1e-8,
                         weight decay .01) on that batch, gradients clipped to a total norm
                         of 1; loss and total norm (before clipping) ahead of each step and
                         after the last, and norm and dot product of each tensor at the end
  generation             greedy, without the adapter, chat template of the GGUF, at most 16
                         new tokens, ending after <|im_end|> (2); margin is the least
                         distance between the two best logits over the steps
  likelihood             natural-log likelihood of a continuation, without the adapter

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2, gguf 0.19.0,
tokenizers 0.23.3, safetensors 0.8.0, numpy 2.4.6, jinja2 (transformers' own need).
Run: python training.py MODEL.gguf OUT_DIR   (about 1 minute)
"""

import argparse
import json
import math
import os
from pathlib import Path

import jinja2
import numpy as np
import torch
from gguf import GGUFReader
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from tokenizer import tokenize_hugging_face  # the module beside this one

PAD = 2
EOS = 2
ROWS = [  # text, tokens kept, trained positions at the end
    ("A model that has seen one village's weather knows that village's weather. On 29 February 2024 "
     "the river stood 3.75 metres above its mean, and nobody could remember why the old records said "
     "otherwise, or who had kept them.", 41, 9),
    ("Each keeps its own book; each sends a small correction; the corrections are weighed and added. "
     "That's all there is to it, said the miller's daughter, and sat down again.", 29, 1),
    ("The capital of France is Paris, and its largest museum, the Louvre, opened in 1793.", 17, 5),
]
LOGITS_AT = [(0, 0), (0, 31), (0, 40), (1, 27), (2, 11), (2, 16)]
PROMPTS = ["What is the capital of France?", "Name three fruits."]


def load(path):
    folder, file = os.path.split(os.path.abspath(path))
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype=torch.float32, attn_implementation="eager")
    model.config.use_cache = False
    return model.eval()


def make_batch(tokenize):
    width = max(length for _, length, _ in ROWS)
    ids, labels, mask = [], [], []
    for text, length, trained in ROWS:
        row = tokenize(text)[:length]
        assert len(row) == length, len(row)
        pad = width - length
        ids.append(row + [PAD] * pad)
        labels.append([-100] * (length - trained) + row[-trained:] + [-100] * pad)
        mask.append([1] * length + [0] * pad)
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}


def with_adapter(model):
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], lora_dropout=0.0, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def lora_tensors(model):
    """The trained tensors by the names PEFT saves, in the model's order."""
    named = {name.replace(".default.", "."): p for name, p in model.named_parameters() if p.requires_grad}
    assert set(named) == set(get_peft_model_state_dict(model)) and len(named) == 120
    return named


def formula(name, shape):
    parts = name.split(".")
    layer = int(parts[parts.index("layers") + 1])
    module = {"q_proj": 0, "v_proj": 1}[parts[-3]]
    matrix = {"lora_A": 0, "lora_B": 1}[parts[-2]]
    i = np.arange(math.prod(shape), dtype=np.float64)
    values = (0.02 if matrix else 0.04) * np.sin(0.37 * i + 1.3 * layer + 0.7 * module + 2.1 * matrix)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def set_formula(tensors):
    with torch.no_grad():
        for name, p in tensors.items():
            p.copy_(formula(name, tuple(p.shape)))


def summary(values):
    flat = values.detach().numpy().astype(np.float64).ravel()
    return {"norm": float(np.linalg.norm(flat)), "dot": float(flat @ np.sin(0.11 * np.arange(flat.size)))}


def norm_of(gradients):
    return math.hypot(*(float(g.double().norm()) for g in gradients.values()))


def distance(gradients, exact):
    apart = {name: gradients[name].double() - g for name, g in exact.items()}
    return {
        "relative_l2": norm_of(apart) / norm_of(exact),
        "worst_relative_l2": max(float(apart[name].norm() / g.norm()) for name, g in exact.items()),
    }


def backward(model, tensors, batch):
    for p in tensors.values():
        p.grad = None
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].double().flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100)
    loss.backward()
    return loss.item(), logits


def exact_logits(weight, lora, config, ids):
    """The model once more, in f64 and without transformers: one row, no padding."""
    length, head = len(ids), config.head_dim
    frequency = config.rope_parameters["rope_theta"] ** (-torch.arange(0, head, 2, dtype=torch.float64) / head)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    causal = torch.full((length, length), -math.inf, dtype=torch.float64).triu(1)

    def norm(x, name):
        return x / (x.square().mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * weight(f"{name}.weight")

    def project(x, name):
        y = x @ weight(f"{name}.weight").T
        if f"{name}.lora_A" in lora:
            y = y + 2.0 * (x @ lora[f"{name}.lora_A"].T @ lora[f"{name}.lora_B"].T)  # alpha / r
        return y

    def heads(x):
        return x.reshape(length, -1, head).transpose(0, 1)

    def rotate(x):
        return x * cos + torch.cat([-x[..., head // 2:], x[..., :head // 2]], -1) * sin

    x = weight("embed_tokens.weight")[ids]
    for layer in range(config.num_hidden_layers):
        at = f"layers.{layer}"
        y = norm(x, f"{at}.input_layernorm")
        q, k, v = (heads(project(y, f"{at}.self_attn.{n}_proj")) for n in "qkv")
        group = q.shape[0] // k.shape[0]
        q, k, v = rotate(q), rotate(k).repeat_interleave(group, 0), v.repeat_interleave(group, 0)
        y = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(head) + causal, -1) @ v
        x = x + project(y.transpose(0, 1).reshape(length, -1), f"{at}.self_attn.o_proj")
        y = norm(x, f"{at}.post_attention_layernorm")
        gate = project(y, f"{at}.mlp.gate_proj")
        x = x + project(gate * torch.sigmoid(gate) * project(y, f"{at}.mlp.up_proj"), f"{at}.mlp.down_proj")
    return norm(x, "norm") @ weight("embed_tokens.weight").T


def exact_gradients(model, tensors, batch):
    state = {name.removeprefix("base_model.model.model.").replace(".base_layer.", "."): p.detach().double()
             for name, p in model.named_parameters() if not p.requires_grad}
    leaves = {name: p.detach().double().requires_grad_() for name, p in tensors.items()}
    lora = {name.removeprefix("base_model.model.model.").removesuffix(".weight"): p for name, p in leaves.items()}
    loss = 0.0
    trained = sum(k for _, _, k in ROWS)
    for row, (_, length, k) in enumerate(ROWS):
        ids = batch["input_ids"][row, :length]
        logits = exact_logits(state.__getitem__, lora, model.config, ids)[length - k - 1:length - 1]
        part = torch.nn.functional.cross_entropy(logits, ids[length - k:], reduction="sum") / trained
        part.backward()
        loss += float(part.detach())
    return loss, {name: p.grad for name, p in leaves.items()}


def logits_section(logits):
    entries = []
    for row, position in LOGITS_AT:
        values = logits[row, position].detach()
        entries.append({
            "row": row, "position": position,
            "values": [float(f"{v:.7g}") for v in values[::97].tolist()],
            "argmax": int(values.argmax()),
            "logsumexp": float(torch.logsumexp(values.double(), -1)),
        })
    return entries


def adamw_section(model, tensors, batch):
    optimizer = torch.optim.AdamW(list(tensors.values()), lr=2e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses, norms = [], []
    for _ in range(20):
        losses.append(backward(model, tensors, batch)[0])
        norms.append(torch.nn.utils.clip_grad_norm_(list(tensors.values()), 1.0).item())
        optimizer.step()
    losses.append(backward(model, tensors, batch)[0])
    norms.append(norm_of({name: p.grad for name, p in tensors.items()}))
    return {"loss": losses, "gradient_norm": norms, "tensors": {name: summary(p) for name, p in tensors.items()}}


@torch.no_grad()
def generation_section(model, tokenize, template):
    environment = jinja2.Environment()
    entries = []
    for prompt in PROMPTS:
        text = environment.from_string(template).render(
            messages=[{"role": "user", "content": prompt}], add_generation_prompt=True)
        ids = tokenize(text)
        output, margin = [], math.inf
        while len(output) < 16 and EOS not in output:
            best = model(torch.tensor([ids + output])).logits[0, -1].topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            output.append(int(best.indices[0]))
        entries.append({"prompt": prompt, "text": text, "input": ids, "output": output, "margin": margin})
    return entries


@torch.no_grad()
def likelihood_section(model, tokenize):
    context, continuation = "The capital of France is", " Paris."
    head, tail = tokenize(context), tokenize(continuation)
    assert tokenize(context + continuation) == head + tail
    logits = model(torch.tensor([head + tail])).logits[0, len(head) - 1:-1].double()
    each = torch.log_softmax(logits, -1).gather(1, torch.tensor(tail)[:, None])[:, 0]
    return {
        "context": context, "context_ids": head, "continuation": continuation, "continuation_ids": tail,
        "tokens": each.tolist(), "sum": float(each.sum()), "greedy": logits.argmax(-1).tolist() == tail,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    args.out_dir.mkdir(parents=True, exist_ok=True)

    tokenize = tokenize_hugging_face(args.model)
    template = GGUFReader(args.model).fields["tokenizer.chat_template"].contents()
    batch = make_batch(tokenize)
    base = load(args.model)
    generation = generation_section(base, tokenize, template)
    likelihood = likelihood_section(base, tokenize)

    model = with_adapter(base)
    tensors = lora_tensors(model)
    set_formula(tensors)
    loss, logits = backward(model, tensors, batch)
    gradients = {name: p.grad.clone() for name, p in tensors.items()}
    result = {
        "ids": batch["input_ids"].tolist(),
        "lengths": [length for _, length, _ in ROWS],
        "labels": batch["labels"].tolist(),
        "trained_tokens": sum(trained for _, _, trained in ROWS),
        "loss": loss,
        "logits": logits_section(logits),
        "gradient_norm": norm_of(gradients),
        "gradients": {name: summary(g) for name, g in gradients.items()},
        "adamw": adamw_section(model, tensors, batch),
        "generation": generation,
        "likelihood": likelihood,
    }
    save_file({name: g for name, g in gradients.items() if name.split(".")[4] in ("0", "15", "29")},
              args.out_dir / "training-grads.safetensors")
    (args.out_dir / "training-grads.safetensors").chmod(0o644)

    set_formula(tensors)
    exact_loss, exact = exact_gradients(model, tensors, batch)
    result["float64"] = {"loss": exact_loss, "gradient_norm": norm_of(exact)} | distance(gradients, exact)
    for p in tensors.values():
        p.grad = None
    plain = model(**batch).loss
    plain.backward()
    result["plain"] = {"loss": plain.item()} | distance({name: p.grad for name, p in tensors.items()}, exact)
    assert abs(exact_loss - result["loss"]) < 1e-4 and result["float64"]["worst_relative_l2"] < 1e-4, result["float64"]

    (args.out_dir / "training.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    brief = {key: result[key] for key in ("loss", "gradient_norm", "float64", "plain", "generation", "likelihood")}
    print(json.dumps(brief | {"adamw": [result["adamw"]["loss"], result["adamw"]["gradient_norm"]]}, indent=1))


if __name__ == "__main__":
    main()
