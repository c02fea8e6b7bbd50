//! Answers on disk, by the digest of what was asked.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A folder of answers.
pub(crate) struct Cache {
    folder: PathBuf,
}

/// What was found for a question.
pub(crate) enum Found {
    Answer(Value),
    Nothing,
    /// A file that is no answer to that question.
    Damaged,
}

/// All that an answer depends on.
pub(crate) struct Question {
    fields: Map<String, Value>,
    digest: String,
}

impl Question {
    pub(crate) fn new(
        url: &str,
        model: &str,
        api: &str,
        draw: u64,
        body: &Map<String, Value>,
    ) -> Self {
        let fields = [
            ("url", json!(url)),
            ("model", json!(model)),
            ("api", json!(api)),
            ("draw", json!(draw)),
            ("request", json!(body)),
        ];
        let fields: Map<_, _> = fields
            .map(|(name, v)| (name.to_owned(), v))
            .into_iter()
            .collect();
        let mut canonical = Value::from(fields.clone());
        canonical.sort_all_objects();
        let digest = Sha256::digest(canonical.to_string());
        Self {
            fields,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }
}

impl Cache {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
        Ok(Self {
            folder: folder.into(),
        })
    }

    /// Where the answer to a question is.
    pub(crate) fn path(&self, question: &Question) -> PathBuf {
        let (first, rest) = question.digest.split_at(2);
        self.folder.join(first).join(format!("{rest}.json"))
    }

    pub(crate) fn get(&self, question: &Question) -> Result<Found> {
        let path = self.path(question);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => {
                return Err(error).with_context(|| format!("reading `{}`", path.display()));
            }
        };
        let file = serde_json::from_slice::<Map<_, _>>(&text);
        let answer = file.ok().and_then(|mut file| {
            let answer = file.shift_remove("answer")?;
            (file == question.fields).then_some(answer)
        });
        Ok(answer.map_or(Found::Damaged, Found::Answer))
    }

    /// The file appears whole or not at all.
    pub(crate) fn put(&self, question: &Question, answer: &Value) -> Result<()> {
        let path = self.path(question);
        let write = || -> Result<()> {
            let mut file = question.fields.clone();
            file.insert("answer".into(), answer.clone());
            let mut text = serde_json::to_vec_pretty(&file)?;
            text.push(b'\n');
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder)?;
            let mut part = tempfile::NamedTempFile::new_in(folder)?;
            part.write_all(&text)?;
            part.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("writing `{}`", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(draw: u64, body: &Value) -> Question {
        let body = body.as_object().unwrap();
        Question::new("http://localhost/v1", "m", "chat", draw, body)
    }

    #[test]
    fn digests_depend_on_what_is_asked_and_not_on_the_order_of_fields() {
        let one = question(0, &json!({ "a": { "x": 1, "y": 0.1 }, "b": [1, 2] }));
        let same = question(0, &json!({ "b": [1, 2], "a": { "y": 0.1, "x": 1 } }));
        assert_eq!(one.digest(), same.digest());
        for other in [
            question(1, &json!({ "b": [1, 2], "a": { "y": 0.1, "x": 1 } })),
            question(0, &json!({ "b": [2, 1], "a": { "y": 0.1, "x": 1 } })),
            question(0, &json!({ "b": [1, 2], "a": { "y": 0.1, "x": "1" } })),
        ] {
            assert_ne!(one.digest(), other.digest());
        }
    }

    #[test]
    fn answers_are_kept_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("new")).unwrap();
        let question = question(0, &json!({ "prompt": "\u{e9}\n\"\u{1f600}", "t": 0.1 }));
        assert!(matches!(cache.get(&question).unwrap(), Found::Nothing));
        let answer = json!({ "choices": ["\u{1f600}", 0.1] });
        for _ in 0..2 {
            cache.put(&question, &answer).unwrap();
            assert!(matches!(cache.get(&question).unwrap(), Found::Answer(a) if a == answer));
        }
        let path = cache.path(&question);
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [
            "",
            &text[..text.len() / 2],
            "[]",
            &text.replace("0.1", "0.2"),
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(cache.get(&question).unwrap(), Found::Damaged));
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
