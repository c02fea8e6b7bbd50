//! Public files by name: where they come from, under which licence, and how their tables are read.
//! It never picks a file that was not asked for, nor uses one whose digest differs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::nearest::{listed, nearest};

mod archive;
mod entry;
mod fetch;
mod http;
mod hub;
mod hub_files;
mod npm;
mod package;

pub use entry::{
    Entry, Hub, HubFiles, HubKind, Kind, Manual, Members, Npm, Package, Source, TableSource,
    Variant,
};
pub use fetch::Progress;
pub use hub_files::{hub_data, hub_model};

macro_rules! embedded {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../catalogue/", $name, ".toml")))),*]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "aime-2025",
    "alpaca",
    "alpaca-cleaned",
    "alpaca-gpt4",
    "codealpaca",
    "do-not-answer",
    "fastchat-dummy",
    "fed-aya",
    "fed-chatbot-it",
    "fed-chatbot-pa",
    "fed-wildchat",
    "fed-wildchat-multi",
    "finance-alpaca",
    "fingpt-sentiment",
    "flower-alpaca-gpt4",
    "flower-codealpaca",
    "flower-fingpt-sentiment",
    "flower-medalpaca-flashcards",
    "gpqa-diamond",
    "gsm8k",
    "gsm8k-test",
    "hh-rlhf",
    "hhh-alignment",
    "humaneval",
    "logiqa",
    "math",
    "mathinstruct",
    "medalpaca-flashcards",
    "medmcqa-300",
    "mmlu-1000",
    "mmlu-topics",
    "mt-bench",
    "ner-finance",
    "openwebtext-1000",
    "qasc-pairs",
    "sarcasm-headlines",
    "sentiment-sentences",
    "smollm2-135m-instruct",
    "social-iqa",
    "ultrafeedback",
    "vader-sentiment",
    "wizardlm-evol-instruct",
];

/// The entries of this program and those of the user's folder.
#[derive(Debug)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
}

impl Catalogue {
    /// Our entries, and one for every `NAME.toml` in `user_folder`, which has to exist when it is given.
    pub fn new(user_folder: Option<&Path>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (name, text) in EMBEDDED {
            entries.insert((*name).to_owned(), Entry::parse(name, text)?);
        }
        let Some(folder) = user_folder else {
            return Ok(Self { entries });
        };
        let in_folder = || format!("reading the catalogue folder `{}`", folder.display());
        for file in std::fs::read_dir(folder).with_context(in_folder)? {
            let path = file.with_context(in_folder)?.path();
            if path.extension().is_none_or(|e| e != "toml") {
                continue;
            }
            let name = path.file_stem().and_then(|stem| stem.to_str());
            let name = name
                .ok_or_else(|| anyhow!("catalogue entry `{}`: not a UTF-8 name", path.display()))?;
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("reading `{}`", path.display()))?;
            let entry = Entry::parse(name, &text)
                .with_context(|| format!("reading `{}`", path.display()))?;
            ensure!(
                entries.insert(name.to_owned(), entry).is_none(),
                "catalogue entry `{name}` of `{}` is also an entry of this program",
                folder.display()
            );
        }
        Ok(Self { entries })
    }

    /// The names of the entries of one kind, sorted.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.entries
            .values()
            .filter(move |entry| entry.kind == kind)
            .map(|entry| entry.name.as_str())
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Result<&Entry> {
        let Some(entry) = self.entries.get(name) else {
            let known = || self.entries.keys().map(String::as_str);
            bail!(
                "unknown catalogue entry `{name}`, known are {}{}",
                listed(known()),
                nearest(name, known())
            );
        };
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Kind};

    #[test]
    fn our_entries_parse_and_misspelt_names_are_answered() {
        let catalogue = Catalogue::new(None).unwrap();
        assert_eq!(
            catalogue.names(Kind::Model).collect::<Vec<_>>(),
            ["smollm2-135m-instruct"]
        );
        let error = catalogue.get("vader-sentimant").unwrap_err().to_string();
        assert!(error.ends_with("nearest is `vader-sentiment`"), "{error}");
    }
}
