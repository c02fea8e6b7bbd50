//! The key: sent, and never shown.

use std::fmt;

use anyhow::{Result, ensure};
use serde_json::Value;
use ureq::http::HeaderValue;

use crate::settings::{Endpoint, KEY_ENV};

/// Stands where a key stood.
const HIDDEN: &str = "[key]";

/// A key shorter than this is a word like `none` or `EMPTY`, given to a server that asks for none: in an answer it is
/// just that word.
const SHORTEST: usize = 8;

/// A key, or none.
#[derive(Clone)]
pub(crate) struct Key(Option<String>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Key {
    /// What the environment has for an endpoint.
    pub(crate) fn from_environment(endpoint: &Endpoint) -> Result<Self> {
        let name = endpoint.key_env.as_deref().unwrap_or(KEY_ENV);
        if name.is_empty() {
            return Ok(Self(None));
        }
        // The error of `var` would show a value that is no UTF-8; this one is refused without being shown.
        let value = std::env::var_os(name).map(|value| value.into_string().unwrap_or("\0".into()));
        let key = Self::new(value, &format!("the environment variable `{name}`"))?;
        ensure!(
            key.0.is_some() || endpoint.key_env.is_none(),
            "`{}` (model `{}`) needs a key: `key_env` names the environment variable `{name}`, which is not set",
            endpoint.url,
            endpoint.model,
        );
        Ok(key)
    }

    /// A key as it was found `at` some place; blanks around it are not part of it.
    pub(crate) fn new(value: Option<String>, at: &str) -> Result<Self> {
        let value = value.map(|value| value.trim().to_owned());
        let value = value.filter(|value| !value.is_empty());
        ensure!(
            value
                .iter()
                .all(|v| v.bytes().all(|b| b.is_ascii_graphic())),
            "the key in {at} has characters that no key has"
        );
        Ok(Self(value))
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0.as_ref()?)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Whether a text, which will be shown, holds the key.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.secret().is_some_and(|key| text.contains(key))
    }

    /// What somebody said, fit to be shown: without the key, plain or as JSON writes it, and without what a server
    /// masked itself, which mostly leaves the key's ends.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if let Some(key) = &self.0 {
            text = text.replace(key.as_str(), HIDDEN);
            let quoted = Value::from(key.as_str()).to_string();
            text = text.replace(&quoted[1..quoted.len() - 1], HIDDEN);
        }
        if !text.contains("***") {
            return text;
        }
        let words = text.split_inclusive(char::is_whitespace);
        let hidden = words.map(|word| match word.contains("***") {
            true => [HIDDEN, &word[word.trim_end().len()..]].concat(),
            false => word.to_owned(),
        });
        hidden.collect()
    }

    /// An answer, fit to be stored.
    pub(crate) fn hide_in(&self, value: &mut Value) {
        let Some(key) = self.secret() else { return };
        match value {
            Value::String(text) if text.contains(key) => *text = text.replace(key, HIDDEN),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(fields) => {
                if fields.keys().any(|name| name.contains(key)) {
                    let named = std::mem::take(fields).into_iter();
                    *fields = named.map(|(n, v)| (n.replace(key, HIDDEN), v)).collect();
                }
                fields.values_mut().for_each(|field| self.hide_in(field));
            }
            _ => {}
        }
    }

    fn secret(&self) -> Option<&str> {
        self.0.as_deref().filter(|key| key.len() >= SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(Some(text.into()), "a test").unwrap()
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = key(" sk-\"secret\"-0123456789\n");
        assert_eq!(format!("{key:?}"), "[key]");
        assert_eq!(format!("{:?}", key.header().unwrap()), "Sensitive");
        assert_eq!(
            key.header().unwrap().to_str().unwrap(),
            "Bearer sk-\"secret\"-0123456789"
        );
        assert_eq!(
            key.hide(r#"you sent sk-"secret"-0123456789, {"k":"sk-\"secret\"-0123456789"}"#),
            r#"you sent [key], {"k":"[key]"}"#
        );
        let mut answer =
            serde_json::json!({ "sk-\"secret\"-0123456789": ["a sk-\"secret\"-0123456789", 1] });
        key.hide_in(&mut answer);
        assert_eq!(answer, serde_json::json!({ "[key]": ["a [key]", 1] }));
    }

    #[test]
    fn what_a_server_masks_is_hidden_whole() {
        let said = "Incorrect API key provided: sk-abcde***********wxyz. You can\nfind it";
        assert_eq!(
            key("sk-abcde0123wxyz").hide(said),
            "Incorrect API key provided: [key] You can\nfind it"
        );
    }

    #[test]
    fn words_that_stand_for_no_key_stay_in_answers() {
        let mut answer = serde_json::json!("EMPTY hands");
        key("EMPTY").hide_in(&mut answer);
        assert_eq!(answer, "EMPTY hands");
        assert!(
            Key::new(Some(" \n".into()), "a test")
                .unwrap()
                .header()
                .is_none()
        );
        let error = Key::new(Some("schlüssel".into()), "a test").unwrap_err();
        assert!(!error.to_string().contains("schl"));
    }
}
