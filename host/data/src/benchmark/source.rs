//! The rows of a benchmark before anything is asked of them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_params::Seed;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::drawn;
use super::file::Data;
use crate::catalogue::{Catalogue, Progress, hub_data};
use crate::dataset::category;
use crate::mapping::Mapping;
use crate::nearest::{listed, nearest};
use crate::table::{Files, Table, Wanted};

/// `[[data.join]]`: columns of other rows, found by a value that both have; null where there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// As `data.source`.
    pub source: String,
    /// The column in which both have the same value.
    pub on: String,
    /// The columns that are taken over.
    pub columns: Vec<String>,
}

/// `data.test_part`: the part that `train_test_split` of Hugging Face's `datasets` holds out.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestPart {
    /// Of the rows.
    pub share: f64,
    /// Its seed.
    pub seed: u32,
}

/// `data.sample`: some of the rows, always the same.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// How many, in all or of each value of `by`; all where there are not as many.
    pub rows: usize,
    /// A column.
    #[serde(default)]
    pub by: Option<String>,
    /// What they are drawn with.
    #[serde(default)]
    pub seed: u64,
}

/// A row, and where it is from.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) fields: Map<String, Value>,
    pub(super) place: String,
}

impl Line {
    /// The value in `column` as a category.
    pub(super) fn category(&self, column: &str, key: &str) -> Result<String> {
        let value = self.fields.get(column).with_context(|| {
            let present = || self.fields.keys().map(String::as_str);
            format!(
                "`{key}`: {}: no column `{column}`, present are {}{}",
                self.place,
                listed(present()),
                nearest(column, present())
            )
        })?;
        let name = category(value).with_context(|| {
            format!(
                "`{key}`: {}: `{column}` is neither a text nor a number",
                self.place
            )
        })?;
        Ok(name.into_owned())
    }
}

/// What rows are read with.
pub(super) struct Reading<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) cache: &'a Path,
    pub(super) folder: Option<&'a Path>,
    pub(super) told: &'a mut dyn FnMut(Progress),
}

impl Reading<'_> {
    /// The rows that `data` says; with the columns of `otherwise` if it makes none. `key` is its name in the file.
    pub(super) fn lines(
        &mut self,
        data: &Data,
        otherwise: Option<&Mapping>,
        key: &str,
    ) -> Result<Vec<Line>> {
        let columns = match otherwise {
            Some(columns) if data.columns.is_empty() => columns,
            _ => &data.columns,
        };
        let at = || format!("`{key}`");
        let table = self.table(data, key)?;
        let table = table.made(columns).with_context(at)?;
        let rows: Vec<u32> = (0..table.len() as u32).collect();
        let mut lines = table
            .map(&rows, &Wanted::All, |row, fields| {
                let place = table.place(row);
                match fields {
                    Ok(fields) => Ok(Line { fields, place }),
                    Err(cause) => bail!("{place}: {cause}"),
                }
            })
            .with_context(at)?;
        for join in &data.join {
            self.join(&mut lines, join, key)?;
        }
        if let Some(TestPart { share, seed }) = data.test_part {
            ensure!(
                share > 0.0 && share < 1.0,
                "`{key}.test_part.share` is not between 0 and 1"
            );
            let kept = drawn::test_part(share, lines.len(), seed);
            lines = kept.into_iter().map(|row| lines[row].clone()).collect();
        }
        if let Some(filter) = &data.filter {
            let mut kept = Vec::with_capacity(lines.len());
            for line in lines {
                let at = || format!("`{key}.filter`: {}", line.place);
                if filter.is_true(&line.fields).with_context(at)? {
                    kept.push(line);
                }
            }
            ensure!(
                !kept.is_empty(),
                "`{key}.filter`: of no row is `{}` true",
                filter.text()
            );
            lines = kept;
        }
        if let Some(sample) = &data.sample {
            lines = sampled(lines, sample, key)?;
        }
        ensure!(
            !lines.is_empty(),
            "`{key}.source`: `{}` has no rows",
            data.source
        );
        Ok(lines)
    }

    fn table(&mut self, data: &Data, key: &str) -> Result<Table> {
        let Data {
            source,
            files,
            split,
            variant,
            ..
        } = data;
        let split = split.as_deref();
        let known = !source.starts_with("hub:") && !source.contains(['/', '\\', '.']);
        if known {
            ensure!(
                files.is_empty() && split.is_none(),
                "`{key}`: `files` and `split` are for folders and the hub: catalogue entry `{source}` says which files \
                 it has"
            );
            let (_, table, meaning) = self
                .catalogue
                .open(source, variant.as_deref(), self.cache, self.told)
                .with_context(|| format!("`{key}.source`"))?;
            return table.made(&meaning.columns);
        }
        ensure!(
            variant.is_none(),
            "`{key}.variant` is for data sets of the catalogue"
        );
        let at = || format!("`{key}.source`");
        if let Some(name) = source.strip_prefix("hub:") {
            let (repo, revision) = name.split_once('@').unwrap_or((name, "main"));
            let folder =
                hub_data(repo, revision, files, split, self.cache, self.told).with_context(at)?;
            return Table::open_all(&Files::find(&folder, files, split).with_context(at)?);
        }
        let path = self.folder.unwrap_or(Path::new("")).join(source);
        ensure!(
            path.exists(),
            "`{key}.source`: `{}` is not there",
            path.display()
        );
        Table::open_all(&Files::find(&path, files, split).with_context(at)?).with_context(at)
    }

    fn join(&mut self, lines: &mut [Line], join: &Join, key: &str) -> Result<()> {
        let key = format!("{key}.join");
        let data = Data::of(&join.source);
        let mut others = HashMap::new();
        for line in self.lines(&data, None, &key)? {
            others.insert(line.category(&join.on, &key)?, line);
        }
        for line in lines {
            let other = others.get(&line.category(&join.on, &key)?);
            for column in &join.columns {
                let value = match other {
                    None => Value::Null,
                    Some(other) => other.fields.get(column).cloned().with_context(|| {
                        let present = || other.fields.keys().map(String::as_str);
                        format!(
                            "`{key}`: {}: no column `{column}`, present are {}{}",
                            other.place,
                            listed(present()),
                            nearest(column, present())
                        )
                    })?,
                };
                line.fields.insert(column.clone(), value);
            }
        }
        Ok(())
    }
}

fn sampled(lines: Vec<Line>, sample: &Sampled, key: &str) -> Result<Vec<Line>> {
    let groups = groups(&lines, sample.by.as_deref(), &format!("{key}.sample"))?;
    let mut kept = vec![false; lines.len()];
    for (index, rows) in groups.iter().enumerate() {
        let seed = Seed(sample.seed).derive("benchmark sample", index as u64);
        for place in drawn::some(sample.rows, rows.len(), seed) {
            kept[rows[place]] = true;
        }
    }
    let kept = lines.into_iter().zip(kept).filter(|(_, kept)| *kept);
    Ok(kept.map(|(line, _)| line).collect())
}

/// The rows of each value of `by` in the order in which the values first occur; all are one group without it.
pub(super) fn groups(lines: &[Line], by: Option<&str>, key: &str) -> Result<Vec<Vec<usize>>> {
    let Some(by) = by else {
        return Ok(vec![(0..lines.len()).collect()]);
    };
    let (mut names, mut groups) = (HashMap::new(), Vec::<Vec<usize>>::new());
    for (row, line) in lines.iter().enumerate() {
        let group = *names.entry(line.category(by, key)?).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(row);
    }
    Ok(groups)
}
