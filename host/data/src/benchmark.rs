//! Benchmarks as TOML files: where the rows are from, how a row is asked, what scores the answer, and over what
//! scores are averaged. It makes the text of questions and asks none of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::nearest::{listed, nearest};

mod ask;
mod drawn;
mod embedded;
mod file;
mod rows;
mod shots;
mod source;
mod suite;

pub use file::{Aggregate, Data, Mean, Metric, Prompt, Shots};
pub use rows::Example;
pub use shots::Choose;
pub use source::{Join, Sampled, TestPart};
pub use suite::{Average, Member, Suite};

use file::File;

/// A benchmark in one of its variants.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// The name of its file without `.toml`.
    pub name: String,
    /// Which variant of it, if not the plain one.
    pub variant: Option<String>,
    /// One line for a listing.
    pub summary: String,
    /// The licence of its data.
    pub licence: String,
    /// What to cite.
    pub citation: Vec<String>,
    /// Whether the prompt is a user's turn, which the model's template goes around, instead of raw text.
    pub chat: bool,
    /// Where the rows are from.
    pub data: Data,
    /// Rows that are shown with their answers before the question.
    pub shots: Option<Shots>,
    /// How a row is asked; none where the rows have `turns` or `messages`.
    pub prompt: Option<Prompt>,
    /// What scores the answers.
    pub metrics: Vec<Metric>,
    /// What scores are averaged over.
    pub aggregate: Aggregate,
    /// The names of its variants.
    pub variants: Vec<String>,
    /// The text of its file, which determines it.
    pub text: String,
    /// Its file, to which paths in it are relative; none of an embedded one.
    path: Option<PathBuf>,
}

/// The benchmarks and suites of this program and those of the user's folder.
#[derive(Debug)]
pub struct Benchmarks {
    benchmarks: BTreeMap<String, Text>,
    suites: BTreeMap<String, Text>,
}

#[derive(Clone, Debug)]
struct Text {
    text: String,
    /// The file, of one that is not embedded.
    path: Option<PathBuf>,
}

impl Benchmarks {
    /// Ours, and one for every `NAME.toml` in `user_folder`, which has to exist when it is given. A file with
    /// `[[benchmarks]]` is a suite.
    pub fn new(user_folder: Option<&Path>) -> Result<Self> {
        let mut known = Self {
            benchmarks: BTreeMap::new(),
            suites: BTreeMap::new(),
        };
        for (name, text) in embedded::BENCHMARKS {
            known
                .benchmarks
                .insert((*name).to_owned(), Text::ours(text));
        }
        for (name, text) in embedded::SUITES {
            known.suites.insert((*name).to_owned(), Text::ours(text));
        }
        let Some(folder) = user_folder else {
            return Ok(known);
        };
        let in_folder = || format!("reading the folder of benchmarks `{}`", folder.display());
        for file in std::fs::read_dir(folder).with_context(in_folder)? {
            let path = file.with_context(in_folder)?.path();
            if path.extension().is_none_or(|e| e != "toml") {
                continue;
            }
            let (name, text) = Text::read(&path)?;
            ensure!(
                !known.benchmarks.contains_key(&name) && !known.suites.contains_key(&name),
                "benchmark `{name}` of `{}` is also one of this program",
                folder.display()
            );
            let into = match text.is_suite() {
                true => &mut known.suites,
                false => &mut known.benchmarks,
            };
            into.insert(name, text);
        }
        Ok(known)
    }

    /// The names of the benchmarks, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.benchmarks.keys().map(String::as_str)
    }

    /// The names of the suites, sorted.
    pub fn suites(&self) -> impl Iterator<Item = &str> {
        self.suites.keys().map(String::as_str)
    }

    /// The benchmark called `name`, or of the file `name` if that is a path, in one of its variants.
    pub fn find(&self, name: &str, variant: Option<&str>) -> Result<Benchmark> {
        let (name, text) = self.text(name, &self.benchmarks, "benchmark")?;
        ensure!(
            text.path.is_none() || !text.is_suite(),
            "`{name}` is a suite, not a benchmark"
        );
        Benchmark::parse(&name, &text, variant)
    }

    /// The suite called `name`, or of the file `name` if that is a path. Its benchmarks exist in their variants.
    pub fn suite(&self, name: &str) -> Result<Suite> {
        let (name, text) = self.text(name, &self.suites, "suite")?;
        let suite = Suite::parse(&name, &text.text).with_context(|| text.place(&name, "suite"))?;
        for member in &suite.benchmarks {
            self.find(&member.name, member.variant.as_deref())
                .with_context(|| text.place(&name, "suite"))?;
        }
        Ok(suite)
    }

    fn text(
        &self,
        name: &str,
        known: &BTreeMap<String, Text>,
        what: &str,
    ) -> Result<(String, Text)> {
        if let Some(text) = known.get(name) {
            return Ok((name.to_owned(), text.clone()));
        }
        if name.contains(['/', '\\']) || name.ends_with(".toml") {
            return Text::read(Path::new(name));
        }
        let (others, other) = match what {
            "suite" => (&self.benchmarks, "benchmark"),
            _ => (&self.suites, "suite"),
        };
        let hint = match others.contains_key(name) {
            true => format!(", but a {other} is called that"),
            false => nearest(name, known.keys().map(String::as_str)),
        };
        bail!(
            "unknown {what} `{name}`{hint}\nhint: known are {}, and the path of a file of yours",
            listed(known.keys().map(String::as_str))
        )
    }
}

impl Text {
    fn ours(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            path: None,
        }
    }

    fn read(path: &Path) -> Result<(String, Self)> {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name =
            name.ok_or_else(|| anyhow!("benchmark `{}`: not a UTF-8 name", path.display()))?;
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading benchmark `{}`", path.display()))?;
        let path = Some(path.to_owned());
        Ok((name.to_owned(), Self { text, path }))
    }

    fn is_suite(&self) -> bool {
        // What does not parse is looked at again when it is asked for.
        toml::from_str::<toml::Table>(&self.text).is_ok_and(|own| own.contains_key("benchmarks"))
    }

    fn place(&self, name: &str, what: &str) -> String {
        match &self.path {
            Some(path) => format!("{what} `{}`", path.display()),
            None => format!("{what} `{name}`"),
        }
    }
}

impl Benchmark {
    fn parse(name: &str, text: &Text, variant: Option<&str>) -> Result<Self> {
        let at = || title(name, text.path.as_deref(), variant);
        let File {
            summary,
            licence,
            citation,
            chat,
            data,
            shots,
            prompt,
            metrics,
            aggregate,
            variants,
        } = File::parse(&text.text, variant).with_context(at)?;
        let own = Self {
            name: name.to_owned(),
            variant: variant.map(str::to_owned),
            summary,
            licence,
            citation,
            chat,
            data,
            shots: shots.filter(|shots| shots.count > 0),
            prompt,
            metrics,
            aggregate,
            variants: variants.keys().cloned().collect(),
            text: text.text.clone(),
            path: text.path.clone(),
        };
        own.check().with_context(at)?;
        Ok(own)
    }

    /// What messages call it.
    fn title(&self) -> String {
        title(&self.name, self.path.as_deref(), self.variant.as_deref())
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.metrics.is_empty(), "no `[[metrics]]`");
        let Some(prompt) = &self.prompt else {
            ensure!(
                self.shots.is_none(),
                "`[shots]` without `[prompt]`: nothing says how a shot is shown"
            );
            return Ok(());
        };
        ask::Texts::new(prompt, self.shots.as_ref())?;
        let Some(shots) = &self.shots else {
            return Ok(());
        };
        ensure!(
            !prompt.target.is_empty(),
            "`[shots]` without `prompt.target`: nothing says what the answer of a shot is"
        );
        ensure!(
            shots.fixed.is_empty() || shots.data.is_none(),
            "`shots.fixed` and `[shots.data]` are two answers to where the shots are from"
        );
        ensure!(
            shots.apart.is_none() || shots.set_aside,
            "`shots.apart` says what is set aside with the shots: it needs `shots.set_aside = true`"
        );
        ensure!(
            !shots.set_aside || (shots.choose != Choose::Random && shots.own_rows()),
            "`shots.set_aside` is for shots from the rows themselves that are the same for every row: `choose` is \
             \"first\" or \"once\""
        );
        Ok(())
    }
}

fn title(name: &str, path: Option<&Path>, variant: Option<&str>) -> String {
    let variant = variant.map(|variant| format!(", variant `{variant}`"));
    let variant = variant.unwrap_or_default();
    match path {
        Some(path) => format!("benchmark `{}`{variant}", path.display()),
        None => format!("benchmark `{name}`{variant}"),
    }
}

#[cfg(test)]
mod tests;
