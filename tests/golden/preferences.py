"""Golden losses, rewards and gradients of direct preference optimisation (DPO), on a tiny model.

The policy is architectures/llama3 with its adapter, the reference the same model without it. Losses
are those of TRL's DPOTrainer, whose code is run for them on log-probabilities computed here; but for
`smoothed`, see below. Makes, in OUT_DIR:
  preferences.json          described below
  preferences.safetensors   f32 gradients of every adapter tensor, by the names PEFT saves them under,
                            each behind sigmoid/, smoothed/, robust/ or ipo/

preferences.json:
  pairs            prompt, chosen and rejected token ids of 3 pairs. A response follows its prompt;
                   all its tokens are scored (the first is predicted at the prompt's last), none of
                   the prompt's, and nothing is added to either
  policy, reference   log-probability of each pair's chosen and rejected response, summed over its
                   tokens, natural logarithm
  sigmoid, smoothed, robust, ipo   for each loss, with D = (policy - reference) of the chosen response
                   less that of the rejected, s the label smoothing, L(x) = log(sigmoid(x)):
    beta, label_smoothing
    losses         per pair:
                     sigmoid   -L(beta D)
                     smoothed  -(1-s) L(beta D) - s L(-beta D), "conservative" DPO
                     robust    (-(1-s) L(beta D) + s L(-beta D)) / (1 - 2s)
                     ipo       (M - 1 / (2 beta))^2, where M is D with each response's difference
                               divided by its number of tokens (of the response, not the prompt)
    loss           their mean
    rewards_chosen, rewards_rejected   beta * (policy - reference), per pair, of the sums (for ipo too)
    margins        rewards_chosen - rewards_rejected
    accuracies     1 where the margin is above 0
    gradient_norm  L2 norm of all adapter gradients together
  sigmoid also has losses20, grad_norms20 and loss_after20: 20 steps of AdamW (lr .01, betas .9 .999,
                   eps 1e-8, no weight decay) on the 3 pairs, gradients clipped to a total norm of 1
                   as torch.nn.utils.clip_grad_norm_ does; loss and norm (before clipping) are those
                   ahead of each step. The reference stays
  float32          how far the same in float32 is: loss (worst relative difference over the four),
                   gradients (relative L2, worst of the four), losses20
  trl              how far TRL's whole loss is, in float32, from the collator and its own fused head
                   on: loss and gradients likewise, over sigmoid, robust and ipo

TRL of today takes label_smoothing for robust, exo_pair and the aot losses only: with sigmoid it says
nothing and does nothing (checked). `smoothed` is what its sigmoid used to compute with it, in plain
torch. For ipo, TRL used to take rewards from the averages as well. Rewards and accuracies here are
plain torch, and checked against the means that TRL logs.
Handed a model that has an adapter, DPOTrainer would copy the adapter for a reference; the base model
is its reference when it makes the adapter itself, from a peft_config, and here.

Values are float64 as in architectures.py, row by row without padding, gradients then cast to f32.

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2, trl 1.16.0 (with datasets
5.2.0, accelerate 1.15.0), safetensors 0.8.0.
Run: OMP_NUM_THREADS=1 python preferences.py OUT_DIR   (after architectures.py, whose folder
architectures lies in OUT_DIR; ten seconds)
"""

import argparse
import math
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import functional
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from architectures import (  # the module beside this one
    VOCABULARY, Exact, adamw, distances, load_adapted, lora_tensors, norm_of, save_json, save_tensors)

LENGTHS = [(4, 5, 3), (6, 1, 4), (3, 7, 6)]  # of prompt, chosen, rejected
LOSSES = {  # TRL's name, beta, label smoothing
    "sigmoid": ("sigmoid", 0.1, 0.0),
    "smoothed": (None, 0.1, 0.2),
    "robust": ("robust", 0.1, 0.2),
    "ipo": ("ipo", 0.1, 0.0),
}


def make_pairs(seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(length):
        return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()

    return [{"prompt": draw(p), "chosen": draw(c), "rejected": draw(r)} for p, c, r in LENGTHS]


def token_log_probs(model, prompt, response):
    ids = torch.tensor(prompt + response)
    logits = model(input_ids=ids[None]).logits[0]
    at = torch.arange(len(prompt), len(ids))
    return functional.log_softmax(logits[at - 1], -1)[torch.arange(len(at)), ids[at]]


def all_log_probs(model, pairs):
    """Of the chosen responses, then of the rejected: TRL's order."""
    return [token_log_probs(model, pair["prompt"], pair[side]) for side in ("chosen", "rejected") for pair in pairs]


def inputs_of(pairs):
    return DataCollatorForPreference(pad_token_id=0)(
        [{f"{side}_ids": ids for side, ids in pair.items()} for pair in pairs])


def trainer(kind, beta, smoothing, model, reference):
    """What DPOTrainer's loss asks of its trainer, and nothing else."""
    whole = SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x,
                            unwrap_model=lambda x: x)
    return SimpleNamespace(
        model=model, ref_model=reference, accelerator=whole, aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=False, args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        f_divergence_type="reverse_kl", loss_types=[kind], loss_weights=[1.0], beta=beta,
        label_smoothing=smoothing, use_weighting=False, _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0, _tp_size=1)


class LogProbs(torch.nn.Module):
    """Stands for a model where TRL asks one for the log-probabilities of a padded batch."""
    is_gradient_checkpointing = is_activation_checkpointing = False

    def __init__(self, rows, mask):
        super().__init__()
        self.eval()
        width = mask.shape[1] - 1
        self.log_probs = torch.zeros(mask.shape[0], width, dtype=rows[0].dtype)
        self.log_probs = self.log_probs.masked_scatter(mask[:, 1:] == 1, torch.cat(rows))
        self.entropy = self.mean_logits = torch.zeros_like(self.log_probs)
        self.is_top1 = self.log_probs > 0

    def forward(self, **_):
        return self


def differences(policy, reference):
    return torch.stack([p.sum() - r.sum() for p, r in zip(policy, reference)])


def run_loss(name, policy, reference, pairs):
    """The loss's mean over the pairs, and TRL's metrics of it."""
    kind, beta, smoothing = LOSSES[name]
    inputs = inputs_of(pairs)
    if kind is None:
        chosen, rejected = differences(policy, reference).chunk(2)
        delta = beta * (chosen - rejected)
        losses = -(1 - smoothing) * functional.logsigmoid(delta) - smoothing * functional.logsigmoid(-delta)
        return losses.mean(), None
    mask = inputs["completion_mask"]
    this = trainer(kind, beta, smoothing, LogProbs(policy, mask), LogProbs(reference, mask))
    loss = DPOTrainer._compute_loss(this, this.model, inputs, False)
    return loss, {key: value[-1] for key, value in this._metrics["eval"].items()}


def gradients(model, name, pairs, reference):
    tensors = lora_tensors(model)
    for p in tensors.values():
        p.grad = None
    policy = all_log_probs(model, pairs)
    loss, metrics = run_loss(name, policy, reference, pairs)
    loss.backward()
    return loss.item(), metrics, [p.detach() for p in policy], {key: p.grad.clone() for key, p in tensors.items()}


def reference_of(model, pairs):
    with torch.no_grad(), model.disable_adapter():
        return all_log_probs(model, pairs)


def train(folder, dtype, pairs):
    model = load_adapted(folder, dtype)
    tensors, reference = lora_tensors(model), reference_of(model, pairs)
    optimiser = adamw(tensors, weight_decay=0.0)
    losses, norms = [], []
    for _ in range(20):
        losses.append(gradients(model, "sigmoid", pairs, reference)[0])
        norms.append(torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0).item())
        optimiser.step()
    return losses, norms, gradients(model, "sigmoid", pairs, reference)[0]


def whole_trl(folder, name, pairs):
    """Loss and gradients as DPOTrainer has them, in float32, with its padding and its fused head."""
    kind, beta, smoothing = LOSSES[name]
    model = load_adapted(folder)
    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    this = trainer(kind, beta, smoothing, model, None)  # without a ref_model it turns the adapter off
    loss = DPOTrainer._compute_loss(this, model, inputs_of(pairs), False)
    loss.backward()
    return loss.item(), {key: p.grad for key, p in lora_tensors(model).items()}


def describe(name, pairs, model, reference):
    _, beta, smoothing = LOSSES[name]
    loss, metrics, policy, grads = gradients(model, name, pairs, reference)
    chosen, rejected = (beta * differences(policy, reference)).chunk(2)
    losses = []
    for i, pair in enumerate(pairs):
        one = [policy[i], policy[i + len(pairs)]], [reference[i], reference[i + len(pairs)]]
        losses.append(run_loss(name, *one, [pair])[0].item())
    assert math.isclose(loss, sum(losses) / len(losses), rel_tol=1e-12)
    fields = {
        "beta": beta, "label_smoothing": smoothing, "losses": losses, "loss": loss,
        "rewards_chosen": chosen.tolist(), "rewards_rejected": rejected.tolist(),
        "margins": (chosen - rejected).tolist(), "accuracies": (chosen > rejected).double().tolist(),
        "gradient_norm": norm_of(grads),
    }
    if metrics:
        means = {"rewards/chosen": chosen, "rewards/rejected": rejected, "rewards/margins": chosen - rejected,
                 "rewards/accuracies": (chosen > rejected).double()}
        for key, value in means.items():
            assert math.isclose(metrics[key], value.mean().item(), rel_tol=1e-6), key
    return fields, grads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    folder, pairs = out / "architectures" / "llama3", make_pairs(31)

    with Exact():
        model = load_adapted(folder, torch.float64)
        reference = reference_of(model, pairs)
        described = {name: describe(name, pairs, model, reference) for name in LOSSES}
        losses, norms, last = train(folder, torch.float64, pairs)
        with torch.no_grad():
            policy = all_log_probs(model, pairs)
    sums = [[p.sum().item() for p in rows] for rows in (policy, reference)]
    fields = {"pairs": pairs}
    for key, values in zip(("policy", "reference"), sums):
        fields[key] = {"chosen": values[:len(pairs)], "rejected": values[len(pairs):]}
    fields |= {name: entry for name, (entry, _) in described.items()}
    fields["sigmoid"] |= {"losses20": losses, "grad_norms20": norms, "loss_after20": last}

    # TRL's sigmoid does not look at the smoothing
    mask = inputs_of(pairs)["completion_mask"]
    this = trainer("sigmoid", 0.1, 0.2, LogProbs(policy, mask), LogProbs(reference, mask))
    assert DPOTrainer._compute_loss(this, this.model, inputs_of(pairs), False).item() == fields["sigmoid"]["loss"]

    plain = load_adapted(folder)
    plain_reference = reference_of(plain, pairs)
    results = {name: gradients(plain, name, pairs, plain_reference)[::3] for name in LOSSES}
    whole = {name: whole_trl(folder, name, pairs) for name, (kind, _, _) in LOSSES.items() if kind}
    for key, others in (("float32", results), ("trl", whole)):
        fields[key] = {
            "loss": max(abs(loss - fields[name]["loss"]) / fields[name]["loss"] for name, (loss, _) in others.items()),
            "gradients": max(distances(grads, described[name][1])[0] for name, (_, grads) in others.items()),
        }
        assert fields[key]["gradients"] < 1e-4
    fields["float32"]["losses20"] = max(abs(a - b) / b for a, b in zip(train(folder, torch.float32, pairs)[0], losses))

    save_json(out / "preferences.json", fields)
    save_tensors(out / "preferences.safetensors",
                 {f"{name}/{key}": p for name, (_, grads) in described.items() for key, p in grads.items()})
    for name in LOSSES:
        print(name, {key: fields[name][key] for key in ("loss", "losses", "margins", "gradient_norm")})
    print("sigmoid after 20 steps:", last, "; float32:", fields["float32"], "; trl:", fields["trl"])


if __name__ == "__main__":
    main()
