//! The ways to write rows down, and the extensions that stand for them.

use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::content;
use crate::nearest::{listed, nearest};

/// How the rows of a table are written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object per line.
    Jsonl,
    /// One JSON array of objects, or an object with a list of objects for each client, which becomes the
    /// column `client`.
    Json,
    /// Comma-separated, with RFC 4180 quotes.
    Csv,
    /// Tab-separated, in which a quote is an ordinary character.
    Tsv,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow's IPC format, as a file or as a stream.
    Arrow,
}

impl Format {
    const EXTENSIONS: [(&'static str, Self); 9] = [
        ("jsonl", Self::Jsonl),
        ("ndjson", Self::Jsonl),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("feather", Self::Arrow),
        ("ipc", Self::Arrow),
    ];

    /// The format that the file name's extension stands for; that of a compression (`gz`, `zst`) may follow it.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = |path: &Path| {
            let extension = path.extension().and_then(|e| e.to_str());
            extension.unwrap_or_default().to_ascii_lowercase()
        };
        let mut own = extension(path);
        if content::COMPRESSED.contains(&own.as_str()) {
            own = extension(&path.with_extension(""));
        }
        let found = Self::EXTENSIONS.iter().find(|(known, _)| *known == own);
        let Some((_, format)) = found else {
            let known = || Self::EXTENSIONS.iter().map(|(known, _)| *known);
            bail!(
                "`{}`: unknown extension `{own}`, known are {}, each also with `.gz` or `.zst`{}",
                path.display(),
                listed(known()),
                nearest(&own, known())
            );
        };
        Ok(*format)
    }
}
