//! `folkmoot generate` and `folkmoot model`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use folkmoot_engine::{
    Compute, DType, Event, Form, Generation, Model, Quantize, Sampling, Seed, Workers,
};
use serde::de::DeserializeOwned;

use super::{Done, Failure};
use crate::arguments::{GenerateArguments, MergeArguments, StoredAs};
use crate::places::{cache, catalogue, place, threads};
use crate::screen::Screen;

pub(crate) fn generate(arguments: &GenerateArguments) -> Done {
    let screen = Screen::new();
    let (prompts, model, template, workers) = (|| -> Result<_> {
        let prompts = prompts(arguments)?;
        let model = find(&arguments.model, arguments.adapter.as_deref(), &screen)?;
        let template = match arguments.template.as_str() {
            "raw" => None,
            name => Some(model.template(name)?),
        };
        Ok((
            prompts,
            model,
            template,
            Workers::new(threads(arguments.threads)?),
        ))
    })()
    .map_err(Failure::Usage)?;
    let plain = arguments.temperature == 0.0 && arguments.repetition_penalty == 1.0;
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        top_k: arguments.top_k,
        repetition_penalty: arguments.repetition_penalty,
        seed: Seed(arguments.seed),
    };
    let how = (|| -> Result<Generation> {
        sampling.check()?;
        ensure!(
            !plain || (arguments.top_p.is_none() && arguments.top_k.is_none()),
            "--top-p and --top-k need a --temperature above 0"
        );
        Ok(Generation {
            prompts: &prompts,
            template: template.as_ref(),
            max_tokens: arguments.max_tokens,
            stop: &arguments.stop,
            sampling: (!plain).then_some(sampling),
            batch: arguments.batch,
            form: form(
                &arguments.device,
                arguments.quantize.as_deref(),
                &arguments.compute,
            )?,
            workers,
        })
    })()
    .map_err(Failure::Usage)?;
    let answers = model
        .generate(&how, &|note| screen.line(note))
        .map_err(Failure::Run)?;
    for (index, (prompt, answer)) in prompts.iter().zip(&answers).enumerate() {
        if prompts.len() > 1 {
            if index > 0 {
                println!();
            }
            println!("> {prompt}");
        }
        println!("{}", answer.trim());
    }
    Ok(())
}

pub(crate) fn merge(arguments: &MergeArguments) -> Done {
    let screen = Screen::new();
    let model = find(&arguments.model, arguments.adapter.as_deref(), &screen);
    let model = model.map_err(Failure::Usage)?;
    let dtype = match arguments.dtype {
        StoredAs::F32 => DType::F32,
        StoredAs::Bf16 => DType::BF16,
        StoredAs::F16 => DType::F16,
    };
    let files = model.merge(&arguments.out, dtype).map_err(Failure::Run)?;
    for file in files {
        println!("{}", file.display());
    }
    Ok(())
}

fn prompts(arguments: &GenerateArguments) -> Result<Vec<String>> {
    let mut prompts = arguments.prompt.clone();
    if let Some(file) = &arguments.prompts {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("reading `{}`", file.display()))?;
        prompts.extend(
            text.lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    ensure!(!prompts.is_empty(), "there is no prompt");
    Ok(prompts)
}

fn find(model: &str, adapter: Option<&Path>, screen: &Screen) -> Result<Model> {
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let cache = cache()?.join("files");
    Model::find(model, adapter, catalogue().as_deref(), &cache, &mut told)
}

/// How weights are held and computed with, and where.
pub(super) fn form(device: &str, quantize: Option<&str>, compute: &str) -> Result<Form> {
    let quantize = quantize.map(|name| named::<Quantize>("--quantize", name));
    Ok(Form {
        place: place(device)?,
        quantize: quantize.transpose()?,
        compute: named::<Compute>("--compute", compute)?,
    })
}

/// A setting by the name that experiments use for it.
fn named<T: DeserializeOwned>(flag: &str, name: &str) -> Result<T> {
    let value = serde_json::Value::from(name);
    serde_json::from_value(value).map_err(|error| anyhow::anyhow!("{flag} {name}: {error}"))
}
