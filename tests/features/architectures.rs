//! Tiny random models of every family beside transformers and PEFT in f64 (`golden/architectures.py`).

use std::path::PathBuf;
use std::sync::Arc;

use folkmoot_params::{Params, Seed};
use folkmoot_train::{
    Adapter, Base, Batch, Compute, Decoding, Example, Form, Inference, Learner, Optimizer,
    OptimizerKind, Pair, PairLoss, Place, Preference, Quantize, Sampling, Step, clip, hashed_ids,
};
use serde_json::Value;

use crate::bench::{close, here, ids, numbers};

const ALL: [&str; 8] = [
    "llama2",
    "llama3",
    "llama-linear",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
];

/// Figures within 1e-4, the issue of rounding in f32 being some 1e-6.
const BOUND: f64 = 1e-4;

fn folder(name: &str) -> PathBuf {
    here().join("golden/architectures").join(name)
}

fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(folder(name).join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn base(name: &str) -> Arc<Base> {
    base_at(name, Place::Cpu)
}

fn base_at(name: &str, place: Place) -> Arc<Base> {
    let form = Form {
        place,
        ..Form::default()
    };
    Arc::new(Base::read(&folder(name), form).unwrap())
}

/// Where training can run on a machine without a GPU: our own operations, and those that a GPU runs.
const PLACES: [Place; 2] = [Place::Cpu, Place::Candle];

fn tensors(name: &str, file: &str) -> Params {
    Params::from_safetensors(&std::fs::read(folder(name).join(file)).unwrap()).unwrap()
}

fn rows(expected: &Value) -> Vec<Example> {
    let masks = expected["trained"].as_array().unwrap();
    let rows = expected["ids"].as_array().unwrap().iter().zip(masks);
    rows.map(|(own, trained)| Example {
        ids: ids(own),
        trained: trained
            .as_array()
            .unwrap()
            .iter()
            .map(|trained| trained.as_bool().unwrap())
            .collect(),
    })
    .collect()
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Every tensor within `bound` of its norm.
fn close_tensors(what: &str, found: &[f32], like: &Params, expected: &Params, bound: f64) {
    assert_eq!(
        like.structure().tensors().len(),
        expected.structure().tensors().len(),
        "{what}"
    );
    for tensor in like.structure().tensors() {
        let own = &found[tensor.range()];
        let golden = expected.tensor(&tensor.name).unwrap();
        let off: Vec<f32> = own.iter().zip(golden).map(|(a, b)| a - b).collect();
        let (off, size) = (norm(&off), norm(golden));
        assert!(
            off <= bound * size,
            "{what}: `{}` is off by {:.1e} of its norm {size}",
            tensor.name,
            off / size
        );
    }
}

fn close_logits(what: &str, found: &[f32], expected: &Value, bound: f64) {
    let rows = expected.as_array().unwrap();
    let golden: Vec<f64> = rows.iter().flat_map(numbers).collect();
    let found = &found[..golden.len()];
    let off: f64 = found
        .iter()
        .zip(&golden)
        .map(|(a, b)| (f64::from(*a) - b).powi(2))
        .sum();
    let size: f64 = golden.iter().map(|value| value.powi(2)).sum();
    let off = (off / size).sqrt();
    assert!(off <= bound, "{what}: logits are off by {off:.1e}");
}

fn whole(batch: &[&Example]) -> Step {
    Step {
        of: Batch::Examples(batch).count(),
        seed: Seed(0),
    }
}

/// Some steps on one batch; the losses ahead of each, and the parameters after the last.
fn descend(
    learner: &Learner,
    start: &Params,
    batch: Batch,
    steps: usize,
    mut update: impl FnMut(&mut [f32], &mut [f32]),
) -> (Vec<f64>, Params) {
    let mut params = start.clone();
    let mut losses = Vec::new();
    for _ in 0..steps {
        let step = Step {
            of: batch.count(),
            seed: Seed(0),
        };
        let (loss, mut gradient) = learner.loss_and_gradient(&params, batch, step).unwrap();
        losses.push(loss.mean);
        let mut w = params.values().to_vec();
        update(&mut w, &mut gradient);
        params = params.with_values(w).unwrap();
    }
    (losses, params)
}

fn adamw(count: usize, lr: f64, weight_decay: f64) -> impl FnMut(&mut [f32], &mut [f32]) {
    let mut optimizer = Optimizer::new(OptimizerKind::default(), count, weight_decay);
    let frozen = vec![false; count];
    move |w, gradient| {
        clip(gradient, 1.0);
        optimizer.step(w, gradient, &frozen, lr);
    }
}

/// Logits, loss, every gradient of PEFT's own adapter, and the adapter after 20 steps of AdamW; with and
/// without layers being computed twice.
#[test]
fn every_family_agrees_with_transformers_and_peft() {
    for (name, place) in ALL
        .into_iter()
        .flat_map(|name| PLACES.map(|place| (name, place)))
    {
        let (expected, base) = (expected(name), base_at(name, place));
        let (adapter, params) = Adapter::load(&folder(name).join("adapter")).unwrap();
        let rows = rows(&expected);
        let batch: Vec<&Example> = rows.iter().collect();
        let first = [rows[0].ids.clone()];
        let tuned = Inference::new(&base, Some((&adapter, &params))).unwrap();
        close_logits(
            name,
            &tuned.logits(&first).unwrap(),
            &expected["logits"],
            BOUND,
        );
        let plain = Inference::new(&base, None).unwrap();
        close_logits(
            name,
            &plain.logits(&first).unwrap(),
            &expected["base_logits"],
            BOUND,
        );
        let mut gradients = Vec::new();
        for recompute in [false, true] {
            let learner = Learner::new(&base, &adapter, &params, recompute).unwrap();
            let step = whole(&batch);
            let (loss, gradient) = learner
                .loss_and_gradient(&params, Batch::Examples(&batch), step)
                .unwrap();
            close(name, loss.mean, expected["loss"].as_f64().unwrap(), BOUND);
            let golden = tensors(name, "gradients.safetensors");
            close_tensors(name, &gradient, &params, &golden, BOUND);
            gradients.push(gradient);
        }
        // candle's operations run again in another order of sums.
        assert!(
            place == Place::Candle || gradients[0] == gradients[1],
            "{name}: recomputing changes bits"
        );
        let learner = Learner::new(&base, &adapter, &params, false).unwrap();
        let update = adamw(params.count(), 1e-2, 0.01);
        let (losses, last) = descend(&learner, &params, Batch::Examples(&batch), 20, update);
        for (step, (found, golden)) in losses
            .iter()
            .zip(numbers(&expected["losses20"]))
            .enumerate()
        {
            close(&format!("{name}, step {step}"), *found, golden, BOUND);
        }
        let golden = tensors(name, "after20.safetensors");
        close_tensors(name, last.values(), &params, &golden, BOUND);
    }
}

/// The older form of `config.json` means the same model.
#[test]
fn configurations_of_older_releases_mean_the_same() {
    for name in ALL {
        let copy = tempfile::tempdir().unwrap();
        let text = expected(name)["old_config"].to_string();
        std::fs::write(copy.path().join("config.json"), text).unwrap();
        for entry in std::fs::read_dir(folder(name)).unwrap() {
            let path = entry.unwrap().path();
            let own = path.file_name().unwrap();
            if own.to_string_lossy().starts_with("model") {
                std::fs::copy(&path, copy.path().join(own)).unwrap();
            }
        }
        let old = Base::read(copy.path(), Form::default()).unwrap();
        assert_eq!(old.architecture(), base(name).architecture(), "{name}");
    }
}

/// GGUF files of the same weights, written as llama.cpp's converter does. It has no place for Gemma's
/// own scale of scores, so there the figures are those of the usual one.
#[test]
fn gguf_files_hold_the_same_models() {
    for name in ["llama3", "qwen2", "qwen3", "gemma2", "gemma3"] {
        let expected = expected(name);
        let base = Base::read(&folder(name).join("model.gguf"), Form::default()).unwrap();
        let (adapter, params) = Adapter::load(&folder(name).join("adapter")).unwrap();
        let tuned = Inference::new(&base, Some((&adapter, &params))).unwrap();
        let rows = rows(&expected);
        let golden = match expected["head_dim_scaled"].is_object() {
            true => &expected["head_dim_scaled"]["logits"],
            false => &expected["logits"],
        };
        let logits = tuned.logits(&[rows[0].ids.clone()]).unwrap();
        close_logits(name, &logits, golden, BOUND);
    }
}

/// All weights learn: their gradients, and the weights after five steps of SGD with momentum.
#[test]
fn full_fine_tuning_agrees_with_pytorch() {
    let both = ["llama3", "gemma2"].into_iter();
    for (name, place) in both.flat_map(|name| PLACES.map(|place| (name, place))) {
        let (expected, base) = (expected(name), base_at(name, place));
        let adapter = Adapter::full();
        let params = Base::parameters(&folder(name)).unwrap();
        let rows = rows(&expected);
        let batch: Vec<&Example> = rows.iter().collect();
        for recompute in [true, false] {
            let learner = Learner::new(&base, &adapter, &params, recompute).unwrap();
            let (_, gradient) = learner
                .loss_and_gradient(&params, Batch::Examples(&batch), whole(&batch))
                .unwrap();
            let golden = tensors(name, "full-gradients.safetensors");
            close_tensors(name, &gradient, &params, &golden, BOUND);
        }
        let learner = Learner::new(&base, &adapter, &params, false).unwrap();
        let (loss, gradient) = learner
            .loss_and_gradient(&params, Batch::Examples(&batch), whole(&batch))
            .unwrap();
        close(
            name,
            loss.mean,
            expected["full_loss"].as_f64().unwrap(),
            BOUND,
        );
        let golden = tensors(name, "full-gradients.safetensors");
        close_tensors(name, &gradient, &params, &golden, BOUND);
        let kind = OptimizerKind::Sgd {
            momentum: 0.9,
            nesterov: false,
        };
        let mut optimizer = Optimizer::new(kind, params.count(), 0.0);
        let frozen = vec![false; params.count()];
        let update = |w: &mut [f32], g: &mut [f32]| optimizer.step(w, g, &frozen, 0.05);
        let (losses, last) = descend(&learner, &params, Batch::Examples(&batch), 5, update);
        for (found, golden) in losses.iter().zip(numbers(&expected["full_losses5"])) {
            close(name, *found, golden, BOUND);
        }
        let golden = tensors(name, "full_after5.safetensors");
        close_tensors(name, last.values(), &params, &golden, BOUND);
        // What was learnt answers as it was trained.
        let inference = Inference::new(&base, Some((&adapter, &last))).unwrap();
        let sums: f64 = inference.sums(&batch).unwrap().iter().sum();
        let after = learner.loss(&last, Batch::Examples(&batch)).unwrap();
        close(name, -sums / after.trained as f64, after.mean, 1e-5);
    }
}

fn example(prompt: &[u32], answer: &[u32]) -> Example {
    Example {
        ids: [prompt, answer].concat(),
        trained: (0..prompt.len() + answer.len())
            .map(|at| at >= prompt.len())
            .collect(),
    }
}

/// DPO, conservative and robust DPO and IPO beside TRL: losses, rewards, gradients, and 20 steps.
#[test]
fn preference_losses_agree_with_trl() {
    let text = std::fs::read_to_string(here().join("golden/preferences.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let all = std::fs::read(here().join("golden/preferences.safetensors")).unwrap();
    let all = Params::from_safetensors(&all).unwrap();
    for place in PLACES {
        preferences(&golden, &all, &base_at("llama3", place));
    }
}

fn preferences(golden: &Value, all: &Params, base: &Arc<Base>) {
    let (adapter, params) = Adapter::load(&folder("llama3").join("adapter")).unwrap();
    let pairs: Vec<Pair> = golden["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let prompt = ids(&pair["prompt"]);
            let row = |name: &str| example(&prompt, &ids(&pair[name]));
            Pair::new(row("chosen"), row("rejected"))
        })
        .collect();
    let pairs: Vec<&Pair> = pairs.iter().collect();
    let learner = Learner::new(base, &adapter, &params, false).unwrap();
    let cases = [
        ("sigmoid", PairLoss::Sigmoid, 0.0),
        ("smoothed", PairLoss::Sigmoid, 0.2),
        ("robust", PairLoss::Robust, 0.2),
        ("ipo", PairLoss::Ipo, 0.0),
    ];
    for (name, loss, label_smoothing) in cases {
        let preference = Preference {
            beta: 0.1,
            loss,
            label_smoothing,
        };
        let batch = Batch::Pairs(&pairs, preference);
        let step = Step {
            of: pairs.len(),
            seed: Seed(0),
        };
        let (found, gradient) = learner.loss_and_gradient(&params, batch, step).unwrap();
        close(
            name,
            found.mean,
            golden[name]["loss"].as_f64().unwrap(),
            BOUND,
        );
        for (row, kind) in ["chosen", "rejected"].into_iter().enumerate() {
            let sums = found.sums.iter().skip(row).step_by(2);
            for (sum, golden) in sums.zip(numbers(&golden["policy"][kind])) {
                close(kind, *sum, golden, BOUND);
            }
        }
        let tensors = params.structure().tensors().iter().map(|tensor| {
            let own = all.tensor(&format!("{name}/{}", tensor.name)).unwrap();
            (tensor.name.clone(), tensor.shape.clone(), own.to_vec())
        });
        let own = Params::from_tensors(tensors.collect::<Vec<_>>()).unwrap();
        close_tensors(name, &gradient, &params, &own, BOUND);
    }
    let preference = Preference::default();
    let rewards = folkmoot_train::rewards(base, &adapter, &params, &pairs, preference, 2).unwrap();
    let mean = |key: &str| {
        let own = numbers(&golden["sigmoid"][key]);
        own.iter().sum::<f64>() / own.len() as f64
    };
    close("chosen", rewards.chosen, mean("rewards_chosen"), BOUND);
    close(
        "rejected",
        rewards.rejected,
        mean("rewards_rejected"),
        BOUND,
    );
    let batch = Batch::Pairs(&pairs, preference);
    let update = adamw(params.count(), 1e-2, 0.0);
    let (losses, _) = descend(&learner, &params, batch, 20, update);
    for (found, golden) in losses.iter().zip(numbers(&golden["sigmoid"]["losses20"])) {
        close("step", *found, golden, BOUND);
    }
}

/// A batch in parts is the batch; dropout changes the gradient, and is the same for the same seed.
#[test]
fn parts_add_up_and_dropout_is_repeatable() {
    let (expected, base) = (expected("qwen2"), base("qwen2"));
    let (adapter, params) = Adapter::load(&folder("qwen2").join("adapter")).unwrap();
    let rows = rows(&expected);
    let batch: Vec<&Example> = rows.iter().collect();
    let learner = Learner::new(&base, &adapter, &params, false).unwrap();
    let step = whole(&batch);
    let gradient = |learner: &Learner, rows: &[&Example], step| {
        learner
            .loss_and_gradient(&params, Batch::Examples(rows), step)
            .unwrap()
    };
    let (loss, once) = gradient(&learner, &batch, step);
    let mut sum = vec![0f32; params.count()];
    let mut parts = 0.0;
    for part in batch.chunks(1) {
        let (own, gradient) = gradient(&learner, part, step);
        parts += own.mean;
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    close("loss in parts", parts, loss.mean, 1e-6);
    let whole = params.with_values(once.clone()).unwrap();
    close_tensors("gradient in parts", &sum, &params, &whole, 1e-5);
    let dropping = Adapter {
        dropout: 0.5,
        ..adapter
    };
    for recompute in [false, true] {
        let learner = Learner::new(&base, &dropping, &params, recompute).unwrap();
        let at = |seed| gradient(&learner, &batch, Step { seed, ..step }).1;
        assert_eq!(at(Seed(1)), at(Seed(1)));
        assert_ne!(at(Seed(1)), at(Seed(2)));
        assert_ne!(at(Seed(1)), once);
        let plain = learner.loss(&params, Batch::Examples(&batch)).unwrap();
        assert_eq!(plain.mean, loss.mean, "evaluation drops nothing");
    }
}

/// The gradient with dropout is that of the function with those masks: central differences.
#[test]
fn the_gradient_goes_through_the_masks() {
    let (expected, base) = (expected("llama2"), base("llama2"));
    let (mut adapter, params) = Adapter::load(&folder("llama2").join("adapter")).unwrap();
    adapter.dropout = 0.4;
    let rows = rows(&expected);
    let batch: Vec<&Example> = rows.iter().collect();
    let learner = Learner::new(&base, &adapter, &params, false).unwrap();
    let step = Step {
        seed: Seed(7),
        ..whole(&batch)
    };
    let at = |values: Vec<f32>| {
        let params = params.with_values(values).unwrap();
        learner
            .loss_and_gradient(&params, Batch::Examples(&batch), step)
            .unwrap()
    };
    let (_, gradient) = at(params.values().to_vec());
    let direction: Vec<f32> = (0..params.count()).map(|i| (i as f32).sin()).collect();
    let along: f64 = gradient
        .iter()
        .zip(&direction)
        .map(|(g, d)| f64::from(g * d))
        .sum();
    let shifted = |h: f32| {
        let moved = params
            .values()
            .iter()
            .zip(&direction)
            .map(|(w, d)| w + h * d);
        at(moved.collect()).0.mean
    };
    let found = (shifted(2e-3) - shifted(-2e-3)) / 4e-3;
    close("slope", found, along, 5e-3);
}

/// A tiny model of hashed weights, with an adapter that is not fresh, and rows.
fn hashed(form: Form) -> (Arc<Base>, Adapter, Params, Vec<Example>) {
    let base = Base::hashed("tiny", form).unwrap();
    let adapter = Adapter {
        projections: vec!["all".into()],
        ..Adapter::default()
    };
    let params = adapter.hashed(base.architecture()).unwrap();
    let values = params.values().iter().enumerate();
    let values = values.map(|(i, w)| w + 0.02 * (i as f32).sin());
    let params = params.with_values(values.collect()).unwrap();
    let ids = hashed_ids(60, base.architecture().vocabulary);
    let rows = ids.chunks(20).map(|ids| Example {
        ids: ids.to_vec(),
        trained: vec![true; 20],
    });
    (base, adapter, params, rows.collect())
}

/// Relative distance of all of `a` from `b`.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let off: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    norm(&off) / norm(b)
}

/// Bases in other forms answer within the stated bounds of the f32 one, take the memory that they should,
/// and their gradients are those of the function that they compute.
#[test]
fn quantised_and_rounded_bases_learn() {
    let form = |quantize, compute| Form {
        quantize,
        compute,
        ..Form::default()
    };
    let (exact, adapter, params, rows) = hashed(Form::default());
    let batch: Vec<&Example> = rows.iter().collect();
    let batch = Batch::Examples(&batch);
    let step = Step {
        of: batch.count(),
        seed: Seed(0),
    };
    let figures = |base: &Arc<Base>| {
        let learner = Learner::new(base, &adapter, &params, false).unwrap();
        let (_, gradient) = learner.loss_and_gradient(&params, batch, step).unwrap();
        let inference = Inference::new(base, Some((&adapter, &params))).unwrap();
        (gradient, inference.logits(&[rows[0].ids.clone()]).unwrap())
    };
    let (gradient, logits) = figures(&exact);
    // Name, form, bytes beside f32's, and bounds of logits and gradients.
    let cases = [
        ("q8_0", form(Some(Quantize::Q8_0), Compute::F32), 0.27, 0.01),
        (
            "q4_k, that is q5_0",
            form(Some(Quantize::Q4K), Compute::F32),
            0.22,
            0.06,
        ),
        ("nf4", form(Some(Quantize::Nf4), Compute::F32), 0.19, 0.2),
        ("bf16", form(None, Compute::Bf16), 0.5, 0.01),
        (
            "q8_0 in bf16",
            form(Some(Quantize::Q8_0), Compute::Bf16),
            0.27,
            0.015,
        ),
    ];
    for (name, form, share, bound) in cases {
        let (base, ..) = hashed(form);
        let bytes = base.bytes() as f64 / exact.bytes() as f64;
        // Without the instruction, products are in f32 of weights as they are.
        let rounded = form.compute == Compute::Bf16 && base.notes().is_empty();
        if form.compute == Compute::F32 || rounded {
            assert!(bytes <= share, "{name}: {bytes} of the memory");
        }
        let (own_gradient, own_logits) = figures(&base);
        let off = distance(&own_logits, &logits);
        assert!(off <= bound, "{name}: logits are off by {off:.4}");
        let off = distance(&own_gradient, &gradient);
        assert!(off <= bound, "{name}: gradients are off by {off:.4}");
        if rounded {
            // A rounded function has steps: differences say nothing of its slope.
            continue;
        }
        let learner = Learner::new(&base, &adapter, &params, false).unwrap();
        let direction: Vec<f32> = (0..params.count())
            .map(|i| (0.7 * i as f32).cos())
            .collect();
        let pairs = own_gradient.iter().zip(&direction);
        let along: f64 = pairs.map(|(g, d)| f64::from(g * d)).sum();
        let shifted = |h: f32| {
            let moved = params
                .values()
                .iter()
                .zip(&direction)
                .map(|(w, d)| w + h * d);
            let moved = params.with_values(moved.collect()).unwrap();
            learner.loss(&moved, batch).unwrap().mean
        };
        let found = (shifted(2e-3) - shifted(-2e-3)) / 4e-3;
        close(name, found, along, 3e-2);
    }
}

/// The real model as its file holds it, in blocks of 4 and 8 bits, and dequantised to f32 as a whole: the same
/// loss and gradient.
#[test]
fn blocks_are_what_they_dequantise_to() {
    let form = Form {
        quantize: Some(Quantize::None),
        ..Form::default()
    };
    let blocks = crate::bench::model();
    let whole = Arc::new(Base::read(&crate::bench::model_file(), form).unwrap());
    assert!(blocks.bytes() * 5 < whole.bytes());
    let adapter = Adapter::default();
    let params = adapter.hashed(whole.architecture()).unwrap();
    let values = params.values().iter().enumerate();
    let values = values.map(|(i, w)| w + 0.01 * (i as f32).sin());
    let params = params.with_values(values.collect()).unwrap();
    let row = Example {
        ids: hashed_ids(24, whole.architecture().vocabulary),
        trained: vec![true; 24],
    };
    let batch = [&row];
    let figures = |base: &Arc<Base>| {
        let learner = Learner::new(base, &adapter, &params, false).unwrap();
        learner
            .loss_and_gradient(&params, Batch::Examples(&batch), self::whole(&batch))
            .unwrap()
    };
    let ((loss, gradient), (other_loss, other)) = (figures(&blocks), figures(&whole));
    close("loss", loss.mean, other_loss.mean, 1e-6);
    let off = distance(&gradient, &other);
    assert!(off < 1e-5, "gradients are off by {off:.1e}");
}

/// A base whose rows a form does not fit is refused, and a quantised file is not quantised again.
#[test]
fn forms_that_do_not_fit_are_refused() {
    let form = Form {
        quantize: Some(Quantize::Nf4),
        ..Form::default()
    };
    let error = Base::read(&folder("llama2"), form).err().unwrap();
    let message = format!("{error:#}");
    assert!(message.contains("Q8_0 needs a multiple of 32"), "{message}");
    let error = Base::read(&crate::bench::model_file(), form).err().unwrap();
    let message = format!("{error:#}");
    assert!(
        message.contains("the file is quantised already"),
        "{message}"
    );
}

/// What is sampled comes from the seed and the prompt's place; a temperature of 0 is greedy; stopping ends
/// an answer; a window and caps hold in cached decoding as they do without a cache.
#[test]
fn sampling_is_repeatable_and_caches_change_nothing() {
    for name in ALL {
        let base = base(name);
        let (adapter, params) = Adapter::load(&folder(name).join("adapter")).unwrap();
        let inference = Inference::new(&base, Some((&adapter, &params))).unwrap();
        let prompts = vec![vec![5, 9, 30, 11, 7, 21, 3], vec![8, 4]];
        let greedy = inference
            .generate(&prompts, &Decoding::greedy(12, &[]))
            .unwrap();
        // Without a cache: the whole row again for each token.
        for (prompt, answer) in prompts.iter().zip(&greedy) {
            let mut row = prompt.clone();
            for id in &answer.ids {
                let logits = inference.logits(std::slice::from_ref(&row)).unwrap();
                let vocabulary = base.architecture().vocabulary;
                let last = &logits[logits.len() - vocabulary..];
                let best = (0..vocabulary).max_by(|a, b| last[*a].total_cmp(&last[*b]));
                assert_eq!(best, Some(*id as usize), "{name}");
                row.push(*id);
            }
        }
        let sampling = |temperature, seed| Sampling {
            temperature,
            top_p: Some(0.95),
            top_k: Some(20),
            repetition_penalty: 1.1,
            seed: Seed(seed),
        };
        let draw = |prompts: &[Vec<u32>], sampling| {
            let decoding = Decoding {
                sampling: Some(sampling),
                ..Decoding::greedy(12, &[])
            };
            inference.generate(prompts, &decoding).unwrap()
        };
        let both = draw(&prompts, sampling(1.0, 1));
        assert_eq!(both, draw(&prompts, sampling(1.0, 1)));
        assert_ne!(both, draw(&prompts, sampling(1.0, 2)));
        assert_eq!(both[0], draw(&prompts[..1], sampling(1.0, 1))[0], "{name}");
        let cold = Sampling {
            repetition_penalty: 1.0,
            ..sampling(0.0, 3)
        };
        assert_eq!(draw(&prompts, cold), greedy);
        let stop = |_: usize, ids: &[u32]| ids.len() == 3;
        let decoding = Decoding {
            stop: &stop,
            ..Decoding::greedy(12, &[])
        };
        let stopped = inference.generate(&prompts, &decoding).unwrap();
        assert_eq!(stopped[0].ids, greedy[0].ids[..3]);
    }
}
