//! From a benchmark to its questions.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_params::Seed;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use serde_json::{Map, Value};

use super::ask::Texts;
use super::file::Shots;
use super::shots::{Pool, set_aside};
use super::source::{Line, Reading, groups};
use super::{Benchmark, drawn};
use crate::catalogue::{Catalogue, Progress};
use crate::nearest::listed;

/// A row as it is asked: its columns, and `prompt`.
pub type Example = Map<String, Value>;

impl Benchmark {
    /// The questions in the order of the data, what has to be fetched fetched into `cache`. With a `limit` not more than
    /// that many, drawn with `seed` in proportion from the values of the first column of `aggregate.by`.
    pub fn rows(
        &self,
        catalogue: &Catalogue,
        cache: &Path,
        told: &mut dyn FnMut(Progress),
        limit: Option<usize>,
        seed: Seed,
    ) -> Result<Vec<Example>> {
        let mut reading = Reading {
            catalogue,
            cache,
            folder: self.path.as_deref().and_then(Path::parent),
            told,
        };
        self.asked(&mut reading, limit, seed)
            .with_context(|| self.title())
    }

    fn asked(
        &self,
        reading: &mut Reading<'_>,
        limit: Option<usize>,
        seed: Seed,
    ) -> Result<Vec<Example>> {
        let mut lines = reading.lines(&self.data, None, "data")?;
        for column in &self.aggregate.by {
            groups(&lines, Some(column), "aggregate.by")?;
        }
        let texts = self.texts(&lines)?;
        // Chosen before rows are left out: the shots of a row do not depend on which others are asked.
        let mut from = Vec::new();
        let mut pool = None;
        if let (Some(shots), Some(texts)) = (&self.shots, &texts) {
            from = self.shown(shots, &mut lines, texts, reading)?;
            texts
                .check_shots(&columns(&from))
                .context("the rows that can be shots")?;
            pool = Some(Pool::new(shots, &from, texts)?);
        }
        drop(from);
        let asked = match limit {
            Some(limit) => limited(&lines, limit, self.aggregate.by.first(), seed)?,
            None => (0..lines.len()).collect(),
        };
        let Some(texts) = texts else {
            let rows = asked.into_iter().map(|row| lines[row].fields.clone());
            return Ok(rows.collect());
        };
        let examples = asked.par_iter().with_min_len(64).map(|&row| {
            let line = &lines[row];
            let at = || line.place.clone();
            let shots = match &pool {
                Some(pool) => {
                    pool.of(row, line, &texts.question(&line.fields).with_context(at)?)?
                }
                None => Vec::new(),
            };
            let prompt = texts.prompt(&line.fields, &shots).with_context(at)?;
            let mut example = line.fields.clone();
            example.insert("prompt".to_owned(), Value::from(prompt));
            Ok(example)
        });
        examples.collect()
    }

    /// The templates, which use nothing but columns of the rows.
    fn texts(&self, lines: &[Line]) -> Result<Option<Texts>> {
        let columns = columns(lines);
        let Some(prompt) = &self.prompt else {
            ensure!(
                ["turns", "messages"]
                    .iter()
                    .any(|own| columns.contains(*own)),
                "no `[prompt]`, and the rows have neither `turns` nor `messages`, but {}",
                listed(columns.iter().map(String::as_str))
            );
            return Ok(None);
        };
        let texts = Texts::new(prompt, self.shots.as_ref())?;
        texts.check(&columns)?;
        Ok(Some(texts))
    }

    /// The rows that can be shots.
    fn shown(
        &self,
        shots: &Shots,
        lines: &mut Vec<Line>,
        texts: &Texts,
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Line>> {
        if shots.set_aside {
            return set_aside(shots, lines, texts);
        }
        if let Some(data) = &shots.data {
            return reading.lines(data, Some(&self.data.columns), "shots.data");
        }
        if shots.fixed.is_empty() {
            return Ok(lines.clone());
        }
        let fixed = shots.fixed.iter().enumerate().map(|(index, fields)| Line {
            fields: fields.clone(),
            place: format!("number {} of `shots.fixed`", index + 1),
        });
        Ok(fixed.collect())
    }
}

fn columns(lines: &[Line]) -> BTreeSet<String> {
    let columns = lines.iter().flat_map(|line| line.fields.keys());
    columns.cloned().collect()
}

/// Numbers of rows, ascending.
fn limited(lines: &[Line], limit: usize, by: Option<&String>, seed: Seed) -> Result<Vec<usize>> {
    if limit == 0 {
        bail!("`limit` is 0");
    }
    let groups = groups(lines, by.map(String::as_str), "aggregate.by")?;
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    let mut rows = Vec::with_capacity(limit);
    for (index, (own, share)) in groups.iter().zip(drawn::shares(limit, &sizes)).enumerate() {
        let seed = seed.derive("benchmark limit", index as u64);
        rows.extend(
            drawn::some(share, own.len(), seed)
                .into_iter()
                .map(|place| own[place]),
        );
    }
    rows.sort_unstable();
    Ok(rows)
}
