//! The model's own chat template, rendered as transformers does. Tools, documents and dates are not supported.

use anyhow::{Context, Result, anyhow, ensure};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};

use super::Rendered;
use crate::tokenizer::Tokenizer;

/// Stands for the response where its surroundings are wanted. A letter from a private-use area on either side
/// keeps templates from trimming it, and texts from containing it.
const MARK: &str = "\u{e000}response\u{e000}";

/// The text before the response and the text after it.
pub(super) fn around_response(
    tokenizer: &Tokenizer,
    instruction: &str,
) -> Result<(String, String)> {
    let text = conversation(tokenizer, instruction, MARK)?;
    let (before, after) = text
        .split_once(MARK)
        .context("the model's chat template does not show the assistant's message")?;
    ensure!(
        !after.contains(MARK),
        "the model's chat template shows the assistant's message more than once"
    );
    Ok((before.to_owned(), after.to_owned()))
}

pub(super) fn render(tokenizer: &Tokenizer, instruction: &str, response: &str) -> Result<Rendered> {
    let (before, after) = around_response(tokenizer, instruction)?;
    let mut text = conversation(tokenizer, instruction, response)?;
    let shown = text
        .strip_prefix(before.as_str())
        .and_then(|rest| rest.strip_suffix(after.as_str()));
    let shown = shown
        .context("the model's chat template changes with what the assistant's message says")?
        .len();
    let start = before.trim_end_matches(' ').len();
    let end = before.len() + shown;
    let tail = tokenizer.encode(&after)?;
    if tail.into_iter().any(|id| tokenizer.is_special(id)) {
        return Ok(Rendered {
            text,
            trained: start..end,
            and_end_of_turn: true,
        });
    }
    // The template ends the turn with no token of its own, and generation has to stop somewhere.
    text.insert_str(end, tokenizer.eos_text());
    Ok(Rendered {
        text,
        trained: start..end + tokenizer.eos_text().len(),
        and_end_of_turn: false,
    })
}

fn conversation(tokenizer: &Tokenizer, instruction: &str, response: &str) -> Result<String> {
    let environment = compiled(tokenizer)?;
    let messages = [
        context! { role => "user", content => instruction },
        context! { role => "assistant", content => response },
    ];
    let template = environment
        .get_template("chat")
        .map_err(|e| anyhow!("the model's chat template: {e}"))?;
    let values = context! {
        messages,
        add_generation_prompt => false,
        bos_token => tokenizer.bos_text().unwrap_or_default(),
        eos_token => tokenizer.eos_text(),
        tools => (),
        documents => (),
    };
    template
        .render(values)
        .map_err(|e| anyhow!("the model's chat template: {e}"))
}

fn compiled(tokenizer: &Tokenizer) -> Result<&Environment<'static>> {
    if let Some(environment) = tokenizer.chat.get() {
        return Ok(environment);
    }
    let source = tokenizer.chat_template().context(
        "the model has no chat template\nhint: use the template `plain`, `alpaca` or `vicuna`",
    )?;
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |said: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, said))
    });
    environment.add_function("strftime_now", |_: String| -> Result<String, Error> {
        let why =
            "it asks for today's date (`strftime_now`), so that runs would differ from day to day";
        Err(Error::new(ErrorKind::InvalidOperation, why))
    });
    environment
        .add_template_owned("chat", source.to_owned())
        .map_err(|e| anyhow!("the model's chat template: {e}"))?;
    Ok(tokenizer.chat.get_or_init(|| environment))
}
