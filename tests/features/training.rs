use std::sync::Arc;

use folkmoot_params::{Objective, Params, Seed};
use std::borrow::Cow;

use folkmoot_train::{
    Adapter, Base, Batch, Decoding, Drawn, Example, Form, Inference, Learner, Loss, Optimizer,
    OptimizerKind, Step, Training, clip, train,
};
use serde_json::Value;

use crate::bench::{close, golden, here, ids, model, numbers};

/// The golden run's adapter: rank 8, alpha 16, q and v.
fn adapter() -> Adapter {
    Adapter {
        rank: 8,
        alpha: 16.0,
        ..Adapter::default()
    }
}

/// The golden run's LoRA weights, by its formula.
fn golden_params(base: &Base) -> Params {
    let fresh = adapter().fresh(base.architecture(), Seed(0)).unwrap();
    let tensors = fresh.structure().tensors().iter().map(|tensor| {
        let words: Vec<&str> = tensor.name.split('.').collect();
        let layer: f64 = words[words.iter().position(|word| *word == "layers").unwrap() + 1]
            .parse()
            .unwrap();
        let module = if tensor.name.contains("q_proj") {
            0.0
        } else {
            1.0
        };
        let (matrix, size) = if tensor.name.contains("lora_A") {
            (0.0, 0.04)
        } else {
            (1.0, 0.02)
        };
        let value = |i: usize| {
            let angle = 0.37 * i as f64 + 1.3 * layer + 0.7 * module + 2.1 * matrix;
            (size * angle.sin()) as f32
        };
        (
            tensor.name.clone(),
            tensor.shape.clone(),
            (0..tensor.count()).map(value).collect(),
        )
    });
    Params::from_tensors(tensors).unwrap()
}

fn golden_batch(golden: &Value) -> Vec<Example> {
    let rows = golden["ids"]
        .as_array()
        .unwrap()
        .iter()
        .zip(golden["labels"].as_array().unwrap());
    let lengths = ids(&golden["lengths"]);
    rows.zip(lengths)
        .map(|((row, labels), length)| Example {
            ids: ids(row)[..length as usize].to_vec(),
            trained: numbers(labels)[..length as usize]
                .iter()
                .map(|label| *label >= 0.0)
                .collect(),
        })
        .collect()
}

fn loss_and_gradient(base: &Arc<Base>, params: &Params, batch: &[&Example]) -> (Loss, Vec<f32>) {
    let learner = Learner::new(base, &adapter(), params, false).unwrap();
    let batch = Batch::Examples(batch);
    let step = Step {
        of: batch.count(),
        seed: Seed(0),
    };
    learner.loss_and_gradient(params, batch, step).unwrap()
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|v| f64::from(*v).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Loss and every LoRA gradient agree with PyTorch + transformers + PEFT on the real model, and no
/// adapter tensor is left without a gradient.
#[test]
fn loss_and_gradients_agree_with_peft() {
    let (golden, base) = (golden("training.json"), model());
    let params = golden_params(&base);
    let batch = golden_batch(&golden);
    let batch: Vec<&Example> = batch.iter().collect();
    let (loss, gradient) = loss_and_gradient(&base, &params, &batch);
    assert_eq!(
        loss.trained as u64,
        golden["trained_tokens"].as_u64().unwrap()
    );
    close("loss", loss.mean, golden["loss"].as_f64().unwrap(), 1e-5);
    close(
        "gradient's norm",
        norm(&gradient),
        golden["gradient_norm"].as_f64().unwrap(),
        1e-4,
    );
    let tensors = params.structure().tensors();
    assert_eq!(
        tensors.len(),
        golden["gradients"].as_object().unwrap().len()
    );
    for tensor in tensors {
        let own = &gradient[tensor.range()];
        let expected = &golden["gradients"][&tensor.name];
        let size = expected["norm"].as_f64().unwrap();
        assert!(norm(own) > 0.0, "`{}` gets no gradient", tensor.name);
        close(&tensor.name, norm(own), size, 1e-4);
        let along: f64 = own
            .iter()
            .enumerate()
            .map(|(i, g)| f64::from(*g) * (0.11 * i as f64).sin())
            .sum();
        // A projection may be near zero by itself: what counts is its error beside the tensor's size.
        let off = (along - expected["dot"].as_f64().unwrap()).abs();
        assert!(
            off < 1e-3 * size,
            "`{}`: projection off by {:.1e} of the norm",
            tensor.name,
            off / size
        );
    }
    let bytes = std::fs::read(here().join("golden/training-grads.safetensors")).unwrap();
    let whole = Params::from_safetensors(&bytes).unwrap();
    for tensor in whole.structure().tensors() {
        let own = &gradient[params.structure().get(&tensor.name).unwrap().range()];
        let expected = whole.tensor(&tensor.name).unwrap();
        let difference: Vec<f32> = own.iter().zip(expected).map(|(a, b)| a - b).collect();
        let off = norm(&difference) / norm(expected);
        assert!(off < 1e-4, "`{}`: relative L2 error {off:.1e}", tensor.name);
    }
}

/// Logits agree at every position that the golden file holds.
#[test]
fn logits_agree_with_transformers() {
    let (golden, base) = (golden("training.json"), model());
    let (adapter, params) = (adapter(), golden_params(&base));
    let rows: Vec<Vec<u32>> = golden_batch(&golden)
        .into_iter()
        .map(|row| row.ids)
        .collect();
    let inference = Inference::new(&base, Some((&adapter, &params))).unwrap();
    let logits = inference.logits(&rows).unwrap();
    let vocabulary = base.architecture().vocabulary;
    for point in golden["logits"].as_array().unwrap() {
        let (row, position) = (
            point["row"].as_u64().unwrap() as usize,
            point["position"].as_u64().unwrap() as usize,
        );
        let first: usize = rows[..row].iter().map(Vec::len).sum::<usize>() + position;
        let own = &logits[first * vocabulary..(first + 1) * vocabulary];
        let sampled: Vec<f32> = own.iter().step_by(97).copied().collect();
        let expected = numbers(&point["values"]);
        assert_eq!(sampled.len(), expected.len());
        let difference: Vec<f32> = sampled
            .iter()
            .zip(&expected)
            .map(|(a, b)| a - *b as f32)
            .collect();
        let expected: Vec<f32> = expected.iter().map(|v| *v as f32).collect();
        let off = norm(&difference) / norm(&expected);
        assert!(
            off < 1e-4,
            "row {row}, position {position}: relative L2 error {off:.1e}"
        );
        let best = (0..vocabulary)
            .max_by(|a, b| own[*a].total_cmp(&own[*b]))
            .unwrap();
        assert_eq!(best as u64, point["argmax"].as_u64().unwrap());
    }
}

/// Twenty steps of AdamW with clipping end where PyTorch's end.
#[test]
fn steps_agree_with_pytorch() {
    let (golden, base) = (golden("training.json"), model());
    let steps = &golden["adamw"];
    let (losses, norms) = (numbers(&steps["loss"]), numbers(&steps["gradient_norm"]));
    let batch = golden_batch(&golden);
    let batch: Vec<&Example> = batch.iter().collect();
    let mut params = golden_params(&base);
    let mut optimizer = Optimizer::new(OptimizerKind::default(), params.count(), 0.01);
    let nothing_frozen = vec![false; params.count()];
    for step in 0..20 {
        let (loss, mut gradient) = loss_and_gradient(&base, &params, &batch);
        // Fifteen tokens are soon known by heart: what is left of loss and gradient is mostly rounding then.
        near("loss", loss.mean, losses[step], 1e-4);
        near(
            "gradient's norm",
            clip(&mut gradient, 1.0),
            norms[step],
            1e-3,
        );
        let mut w = params.values().to_vec();
        optimizer.step(&mut w, &gradient, &nothing_frozen, 2e-4);
        params = params.with_values(w).unwrap();
    }
    let (loss, _) = loss_and_gradient(&base, &params, &batch);
    near("loss after twenty steps", loss.mean, losses[20], 1e-4);
    for tensor in params.structure().tensors() {
        let own = params.tensor(&tensor.name).unwrap();
        let expected = &steps["tensors"][&tensor.name];
        let size = expected["norm"].as_f64().unwrap();
        close(&tensor.name, norm(own), size, 1e-4);
        let along = own.iter().enumerate();
        let along: f64 = along
            .map(|(i, w)| f64::from(*w) * (0.11 * i as f64).sin())
            .sum();
        let off = (along - expected["dot"].as_f64().unwrap()).abs();
        assert!(
            off < 1e-3 * size,
            "`{}`: off by {off:.1e} of {size}",
            tensor.name
        );
    }
}

/// Within `bound` of 1 where less is expected than that, else relatively.
fn near(what: &str, found: f64, expected: f64, bound: f64) {
    let off = (found - expected).abs() / expected.abs().max(1.0);
    assert!(off <= bound, "{what}: {found} where {expected} is expected");
}

/// Greedy answers and likelihoods of the base are transformers'.
#[test]
fn generation_and_likelihood_agree_with_transformers() {
    let (golden, base) = (golden("training.json"), model());
    let inference = Inference::new(&base, None).unwrap();
    let cases = golden["generation"].as_array().unwrap();
    let prompts: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["input"])).collect();
    // Both prompts at once: rows of a batch must not see one another.
    let answers = inference
        .generate(&prompts, &Decoding::greedy(16, &[2]))
        .unwrap();
    for (answer, case) in answers.iter().zip(cases) {
        let mut expected = ids(&case["output"]);
        expected.retain(|id| *id != 2);
        assert_eq!(answer.ids, expected);
    }
    let case = &golden["likelihood"];
    let mut row = ids(&case["context_ids"]);
    let from = row.len();
    row.extend(ids(&case["continuation_ids"]));
    let likelihood = inference.likelihood(&[(row, from)]).unwrap()[0];
    close(
        "log-likelihood",
        likelihood.sum,
        case["sum"].as_f64().unwrap(),
        1e-4,
    );
    assert_eq!(
        (likelihood.tokens, likelihood.greedy),
        (2, case["greedy"].as_bool().unwrap())
    );
}

/// An objective's terms do what they say: a proximal term holds back, a frozen tensor stays, a
/// correction moves by lr · direction.
#[test]
fn objectives_shape_local_training() {
    let base = model();
    let (adapter, start) = (adapter(), golden_params(&base));
    let batch = golden_batch(&golden("training.json"));
    let data = Drawn::Examples(batch.iter().map(Cow::Borrowed).collect());
    let training = Training {
        steps: 2,
        batch: 3,
        lr: 1e-3,
        max_grad_norm: 1e9,
        ..Training::default()
    };
    let end = |objective: Objective| {
        train(
            &base,
            &adapter,
            &start,
            &data,
            &training,
            &objective,
            Seed(1),
        )
        .unwrap()
        .params
    };
    let plain = end(Objective::default());
    let away = plain.sub(&start).unwrap().norm();
    let held = end(Objective {
        proximal: vec![(1e6, start.clone())],
        ..Objective::default()
    });
    assert!(held.sub(&start).unwrap().norm() < 0.9 * away);
    let frozen = end(Objective {
        freeze: vec!["*lora_A*".into()],
        ..Objective::default()
    });
    for tensor in start.structure().tensors() {
        let same = frozen.tensor(&tensor.name) == start.tensor(&tensor.name);
        assert_eq!(same, tensor.name.contains("lora_A"), "{}", tensor.name);
    }
    let still = Training {
        steps: 1,
        ..training.clone()
    };
    let direction = start.filled(2.0);
    let corrected = Objective {
        correct: vec![direction],
        ..Objective::default()
    };
    let step = |objective: &Objective| {
        train(&base, &adapter, &start, &data, &still, objective, Seed(1))
            .unwrap()
            .params
    };
    let moved = step(&corrected).sub(&step(&Objective::default())).unwrap();
    assert!(
        moved
            .values()
            .iter()
            .all(|moved| (moved + 2e-3).abs() < 1e-6)
    );
}

/// candle-transformers' own Llama gives the same logits for a model of random weights in Hugging
/// Face's layout, untied head and all: a second oracle, and the folder reader's test.
#[test]
fn a_safetensors_folder_agrees_with_candle_transformers() {
    use candle_core::{DType, Device, Tensor};
    use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};
    use rand::RngExt;

    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "vocab_size": 64,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
        "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let mut rng = Seed(5).rng();
    let mut tensors = std::collections::HashMap::new();
    let mut put = |name: String, shape: &[usize]| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-0.3f32..0.3)).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    };
    for layer in 0..3 {
        let at = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for (part, shape) in [
            ("input_layernorm", &[32][..]),
            ("post_attention_layernorm", &[32]),
            ("self_attn.q_proj", &[32, 32]),
            ("self_attn.k_proj", &[16, 32]),
            ("self_attn.v_proj", &[16, 32]),
            ("self_attn.o_proj", &[32, 32]),
            ("mlp.gate_proj", &[48, 32]),
            ("mlp.up_proj", &[48, 32]),
            ("mlp.down_proj", &[32, 48]),
        ] {
            put(at(part), shape);
        }
    }
    put("model.embed_tokens.weight".into(), &[64, 32]);
    put("lm_head.weight".into(), &[64, 32]);
    put("model.norm.weight".into(), &[32]);
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();

    let row: Vec<u32> = (0..20).map(|i| (i * 7 + 3) % 64).collect();
    let base = Base::read(folder.path(), Form::default()).unwrap();
    let own = Inference::new(&base, None)
        .unwrap()
        .logits(std::slice::from_ref(&row))
        .unwrap();

    let config: LlamaConfig = serde_json::from_value(config).unwrap();
    let config: Config = config.into_config(false);
    let weights = candle_nn::VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let theirs = Llama::load(weights, &config).unwrap();
    for length in [1, 7, 20] {
        let mut cache = Cache::new(false, DType::F32, &config, &Device::Cpu).unwrap();
        let input = Tensor::new(&row[..length], &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let logits = theirs.forward(&input, 0, &mut cache).unwrap();
        let logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
        for (a, b) in own[(length - 1) * 64..length * 64].iter().zip(&logits) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
