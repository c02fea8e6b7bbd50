//! PEFT's `adapter_config.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde_json::{Value, json};

use super::{Adapter, Projection, selects, shortest};

const FILE: &str = "adapter_config.json";

impl Adapter {
    /// What PEFT writes beside tensors of modules at `places`.
    pub(super) fn to_peft(&self, places: &BTreeMap<String, usize>, base: &str) -> Value {
        // PEFT knows names and paths, but neither `all` nor globs.
        let names = Projection::ALL.map(Projection::name);
        let plain = self
            .projections
            .iter()
            .all(|own| names.contains(&own.as_str()));
        let targets = match plain {
            true => self.projections.clone(),
            false => shortest(places),
        };
        let other_ranks = places.iter().filter(|(_, rank)| **rank != self.rank);
        let other_ranks: BTreeMap<String, &usize> = other_ranks
            .map(|(path, rank)| (pattern(path), rank))
            .collect();
        let fits = |path: &str| self.alphas.keys().any(|own| selects(own, path));
        let other_alphas = places.keys().filter(|path| fits(path));
        let other_alphas: BTreeMap<String, f64> = other_alphas
            .map(|path| (pattern(path), self.alpha_of(path)))
            .collect();
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": targets,
            "rank_pattern": other_ranks,
            "alpha_pattern": other_alphas,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "use_rslora": self.rslora,
            "use_dora": false,
        })
    }

    /// From the file in `folder`, for tensors of modules at `places`. Which modules there are, and their
    /// ranks, is plainest from the tensors: `target_modules` and `rank_pattern` may be regular expressions.
    pub(super) fn from_peft(folder: &Path, places: &BTreeMap<String, usize>) -> Result<Self> {
        let text =
            fs::read_to_string(folder.join(FILE)).with_context(|| format!("reading {FILE}"))?;
        let config: Value = serde_json::from_str(&text).context(FILE)?;
        let read = || Self::from_config(&config, places);
        read().context(FILE)
    }

    fn from_config(config: &Value, places: &BTreeMap<String, usize>) -> Result<Self> {
        let kind = &config["peft_type"];
        ensure!(
            kind.is_null() || kind == "LORA",
            "`peft_type` is {kind}, supported: \"LORA\""
        );
        for unsupported in ["use_dora", "fan_in_fan_out", "lora_bias"] {
            ensure!(
                config[unsupported].as_bool() != Some(true),
                "`{unsupported}` is not supported"
            );
        }
        let bias = &config["bias"];
        ensure!(
            bias.is_null() || bias == "none",
            "`bias` is {bias}, supported: \"none\""
        );
        let rank = config["r"].as_u64().context("no `r`")? as usize;
        let alpha = config["lora_alpha"].as_f64().context("no `lora_alpha`")?;
        ensure!(
            !places.is_empty(),
            "the tensors beside it hold no LoRA of a known projection"
        );
        let ranks = places.iter().filter(|(_, own)| **own != rank);
        let mut adapter = Self {
            rank,
            alpha,
            projections: shortest(places),
            dropout: config["lora_dropout"].as_f64().unwrap_or(0.0),
            rslora: config["use_rslora"].as_bool().unwrap_or(false),
            ranks: ranks.map(|(path, own)| (path.clone(), *own)).collect(),
            ..Self::default()
        };
        let patterns = config["alpha_pattern"].as_object();
        for (pattern, own) in patterns.into_iter().flatten() {
            let own = own.as_f64().context("`alpha_pattern`")?;
            // As PEFT matches: the pattern, perhaps after a part that ends with a dot.
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"));
            let regex = regex.context("`alpha_pattern`")?;
            for path in places.keys().filter(|path| regex.is_match(path)) {
                adapter.alphas.entry(path.clone()).or_insert(own);
            }
        }
        Ok(adapter)
    }
}

/// A path as a regular expression, which keys of PEFT's patterns are; its dots stay as everyone writes them.
fn pattern(path: &str) -> String {
    regex::escape(path).replace("\\.", ".")
}
