//! Public files by name: where they come from, under which licence, and how their tables are read.
//! It never picks a file that was not asked for, nor uses one whose digest differs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::dataset::Meaning;
use crate::nearest::{listed, nearest};
use crate::table::{Files, Table};

mod archive;
mod check;
mod entry;
mod fetch;
mod http;
mod hub;
mod hub_files;
mod npm;
mod open;
mod package;
mod part;

pub use entry::{
    Entry, Hub, HubFiles, HubKind, Kind, Manual, Members, Mixed, Npm, Package, Source, TableSource,
    Variant,
};
pub use fetch::Progress;
pub use hub_files::{hub_data, hub_model};
pub use part::Part;

macro_rules! embedded {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../catalogue/", $name, ".toml")))),*]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "advbench",
    "aime-2025",
    "alpaca",
    "alpaca-cleaned",
    "alpaca-gpt4",
    "bbh",
    "bbh-bigbench",
    "careqa",
    "codealpaca",
    "conala",
    "concode",
    "crass-bigbench",
    "cpython-wasi",
    "do-not-answer",
    "drop",
    "drop-bigbench",
    "drop-spans",
    "ds-1000",
    "fastchat-dummy",
    "fed-aya",
    "fed-chatbot-it",
    "fed-chatbot-pa",
    "fed-wildchat",
    "fed-wildchat-multi",
    "finance-alpaca",
    "fingpt-sentiment",
    "fiqa-sa",
    "fiqa-sa-test",
    "fiqa-sa-train",
    "fiqa-sa-validation",
    "flower-alpaca-gpt4",
    "flower-codealpaca",
    "flower-fingpt-sentiment",
    "flower-medalpaca-flashcards",
    "fpb",
    "gpqa-diamond",
    "gsm8k",
    "gsm8k-test",
    "harmbench",
    "hh-rlhf",
    "hhh-alignment",
    "humaneval",
    "humanevalpack",
    "logiqa",
    "math",
    "math-test",
    "mathinstruct",
    "mbpp",
    "mbpp-shots",
    "medalpaca-flashcards",
    "medmcqa",
    "medmcqa-300",
    "medqa",
    "mmlu",
    "mmlu-1000",
    "mmlu-dev",
    "mmlu-topics",
    "mt-bench",
    "mt-bench-references",
    "ner-finance",
    "nwgi",
    "openfedllm-domains",
    "openwebtext-1000",
    "pubmedqa",
    "qasc-pairs",
    "sarcasm-headlines",
    "sentiment-sentences",
    "smollm2-135m-instruct",
    "social-iqa",
    "tfns",
    "ultrafeedback",
    "vader-sentiment",
    "vicuna-bench",
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

    /// The files, the rows and what they mean of the data entry `name`, in one of its variants; fetched if need be.
    pub fn open(
        &self,
        name: &str,
        variant: Option<&str>,
        cache: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Files, Table, Meaning)> {
        let entry = self.get(name)?;
        let at = || format!("catalogue entry `{name}`");
        if entry.mix.is_empty() {
            let files = entry.data(cache, progress)?;
            let table = entry.table(&files).with_context(at)?;
            return Ok((files, table, entry.meaning(variant)?));
        }
        ensure!(
            variant.is_none(),
            "catalogue entry `{name}` has no variants, but its parts may have"
        );
        let (mut files, mut table) = (Files::these(Vec::new()), Table::default());
        let mut meaning = entry.meaning(None)?;
        for part in &entry.mix {
            let mixed = self.get(&part.entry).with_context(at)?;
            ensure!(
                mixed.mix.is_empty(),
                "catalogue entry `{name}`: `{}` is a mixture itself",
                part.entry
            );
            let variant = part.variant.as_deref();
            let (own, rows, means) = self.open(&part.entry, variant, cache, progress)?;
            let mut rows = rows.made(&means.columns).with_context(at)?;
            rows.constant("domain", &part.domain.as_str().into());
            if means.columns.makes("instruction") && !means.columns.makes("input") {
                // What is part of the instruction that was made is not said again.
                rows.constant("input", &serde_json::Value::Null);
            }
            files.extend(own);
            let shape = *meaning.shape.get_or_insert(means.shape.with_context(|| {
                format!("catalogue entry `{name}`: `{}` has no shape", part.entry)
            })?);
            let has = |column: &str| rows.columns().iter().any(|own| own == column);
            ensure!(
                shape.columns().iter().all(|column| has(column)),
                "catalogue entry `{name}`: rows of `{}` are not of shape {shape}",
                part.entry
            );
            table.append(rows).with_context(at)?;
        }
        Ok((files, table, meaning))
    }

    /// All that is said of how the rows of the data entry `name` are read: its text, and of a mixture its parts'.
    pub fn reading(&self, name: &str) -> Result<Vec<&str>> {
        let entry = self.get(name)?;
        let parts = entry
            .mix
            .iter()
            .map(|part| Ok(self.get(&part.entry)?.text.as_str()));
        std::iter::once(Ok(entry.text.as_str()))
            .chain(parts)
            .collect()
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Result<&Entry> {
        let Some(entry) = self.entries.get(name) else {
            let known = self.entries.keys().map(String::as_str);
            bail!(
                "unknown catalogue entry `{name}`{}\nhint: `folkmoot data list` shows the data sets; models are {}",
                nearest(name, known),
                listed(self.names(Kind::Model))
            );
        };
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Kind};
    use crate::dataset::{Dataset, OnBroken};

    #[test]
    fn a_mixture_is_one_table_of_its_entries_rows() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let entry = |shape: &str, name: &str, columns: &str| {
            let head = "kind = \"data\"\nsummary = \"s\"\nlicence = \"l\"\ncitation = \"c\"\n";
            let manual = format!("[manual]\naddress = \"a\"\nfiles = [\"{name}.jsonl\"]\n");
            format!("{head}shape = \"{shape}\"\n{manual}[columns]\n{columns}")
        };
        write(
            "own/a.toml",
            &entry(
                "instruction",
                "a",
                "instruction = \"q\"\nresponse = \"r\"\n",
            ),
        );
        let joined = "instruction = { expression = \"x ~ '?'\" }\nresponse = \"y\"\n";
        write("own/b.toml", &entry("instruction", "b", joined));
        write("own/t.toml", &entry("text", "b", "text = \"x\"\n"));
        let mixture = |parts: [&str; 2]| {
            let part =
                |name: &str| format!("[[mix]]\nentry = \"{name}\"\ndomain = \"of {name}\"\n");
            let head = "kind = \"data\"\nsummary = \"s\"\nlicence = \"l\"\ncitation = \"c\"\n";
            format!("{head}{}", parts.map(part).concat())
        };
        write("own/m.toml", &mixture(["a", "b"]));
        write("own/n.toml", &mixture(["a", "t"]));
        write("cache/manual/a/a.jsonl", "{\"q\": \"1\", \"r\": \"2\"}\n");
        write(
            "cache/manual/b/b.jsonl",
            "{\"x\": \"3\", \"y\": \"4\"}\n{\"x\": \"5\"}\n",
        );
        write("cache/manual/t/b.jsonl", "{\"x\": \"3\"}\n");
        let catalogue = Catalogue::new(Some(&folder.path().join("own"))).unwrap();
        let open = |name: &str| catalogue.open(name, None, &cache, &mut |_| {});
        let (files, table, meaning) = open("m").unwrap();
        assert_eq!((files.paths().len(), table.len()), (2, 3));
        let dataset = Dataset::new(table, &meaning).unwrap();
        let row = dataset.example(1).unwrap();
        let said = ["instruction", "response", "domain"]
            .map(|column| row.text(column).unwrap().to_owned());
        assert_eq!(said, ["3?", "4", "of b"]);
        assert_eq!(dataset.categories("domain").unwrap().0, [0, 1, 1]);
        let (_, report) = dataset.checked(&meaning, OnBroken::Skip).unwrap();
        assert!(
            report
                .to_string()
                .contains("b.jsonl` line 2: mapping of `response`: no field `y`"),
            "{report}"
        );
        let error = open("n").unwrap_err().to_string();
        assert!(
            error.contains("rows of `t` are not of shape instruction"),
            "{error}"
        );
    }

    #[test]
    fn our_mixtures_are_of_entries_that_make_their_columns() {
        let catalogue = Catalogue::new(None).unwrap();
        let mut parts = 0;
        for entry in catalogue.entries.values() {
            for part in &entry.mix {
                let mixed = catalogue.get(&part.entry).unwrap();
                let columns = entry.shape.unwrap().columns();
                assert!(
                    columns.iter().all(|column| mixed.columns.makes(column)),
                    "{}",
                    part.entry
                );
                parts += 1;
            }
        }
        assert_eq!(parts, 7);
    }

    #[test]
    fn our_entries_parse_and_misspelt_names_are_answered() {
        let catalogue = Catalogue::new(None).unwrap();
        assert_eq!(
            catalogue.names(Kind::Model).collect::<Vec<_>>(),
            ["smollm2-135m-instruct"]
        );
        let error = catalogue.get("vader-sentimant").unwrap_err().to_string();
        assert!(error.contains("nearest is `vader-sentiment`"), "{error}");
    }
}
