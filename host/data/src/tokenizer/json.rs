//! The tokenizer files of a Hugging Face model folder. No file is looked for on the hub.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail};
use serde_json::Value;

use super::{Special, Token};

pub(super) fn read(path: &Path) -> Result<(tokenizers::Tokenizer, Special)> {
    let mut inner = tokenizers::Tokenizer::from_file(path).map_err(Error::from_boxed)?;
    // Some files were saved with these on, and lengths are ours to decide.
    inner
        .with_padding(None)
        .with_truncation(None)
        .map_err(Error::from_boxed)?;

    let beside = path.with_file_name("tokenizer_config.json");
    let text = std::fs::read_to_string(&beside).with_context(|| {
        format!(
            "reading `{}`, which names the end-of-text token",
            beside.display()
        )
    })?;
    let config: Value =
        serde_json::from_str(&text).with_context(|| format!("reading `{}`", beside.display()))?;
    let token =
        |key: &str| token(&inner, &config, key).with_context(|| format!("`{}`", beside.display()));
    let eos =
        token("eos_token")?.ok_or_else(|| anyhow!("`{}`: no `eos_token`", beside.display()))?;
    let bos = token("bos_token")?;
    let adds_bos = match (&config["add_bos_token"], &bos) {
        (Value::Bool(adds), _) => *adds,
        // Without the key it is the post-processor of `tokenizer.json` that decides.
        (_, Some(bos)) => {
            inner
                .encode("a", true)
                .map_err(Error::from_boxed)?
                .get_ids()
                .first()
                == Some(&bos.id)
        }
        (_, None) => false,
    };
    let separate = path.with_file_name("chat_template.jinja");
    let chat_template = if separate.exists() {
        Some(
            std::fs::read_to_string(&separate)
                .with_context(|| format!("reading `{}`", separate.display()))?,
        )
    } else {
        chat_template(&config["chat_template"])
    };
    Ok((
        inner,
        Special {
            bos,
            adds_bos,
            eos,
            chat_template,
        },
    ))
}

/// A token is written as its text, or as an object with its text as `content`.
fn token(inner: &tokenizers::Tokenizer, config: &Value, key: &str) -> Result<Option<Token>> {
    let text = match &config[key] {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Object(fields) => match fields.get("content") {
            Some(Value::String(text)) => text,
            _ => bail!("`{key}` has no `content`"),
        },
        other => bail!("`{key}` is `{other}`"),
    };
    let id = inner
        .token_to_id(text)
        .ok_or_else(|| anyhow!("`{key}` is `{text}`, which is not in the vocabulary"))?;
    Ok(Some(Token {
        id,
        text: text.clone(),
    }))
}

/// One template, or several with names, of which `default` is the one for plain conversations.
fn chat_template(value: &Value) -> Option<String> {
    let template = match value {
        Value::Array(named) => &named
            .iter()
            .find(|template| template["name"] == "default")?["template"],
        other => other,
    };
    template.as_str().map(str::to_owned)
}
