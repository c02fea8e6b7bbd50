//! How likely a continuation is after a context, from a server that echoes the prompt with the log-probabilities of
//! its tokens.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::body::{choices, echo_body};
use crate::client::Client;
use crate::settings::Api;

/// How likely a continuation is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LogLikelihood {
    /// The sum of the natural logarithms of its tokens' probabilities, each given all before it.
    pub sum: f64,
    /// How many tokens it has.
    pub tokens: usize,
    /// Whether each of its tokens is the likeliest at its place.
    pub greedy: bool,
}

impl Client {
    /// The log-likelihood of each continuation after its context, as lm-eval's `local-completions` has it: the server
    /// echoes context and continuation (`echo`, `logprobs` = 1, `max_tokens` = 1), and the tokens that reach into the
    /// continuation count. A token that holds the end of the context as well (mostly a space) is one of them, which is
    /// what lm-eval does with blanks there.
    pub fn log_likelihoods<C, T>(&self, pairs: &[(C, T)]) -> Result<Vec<LogLikelihood>>
    where
        C: AsRef<str> + Sync,
        T: AsRef<str> + Sync,
    {
        ensure!(
            self.endpoint().api == Api::Completions,
            "log-likelihoods need `api` = \"completions\": the tokens of a conversation's template are the server's"
        );
        let bodies = pairs.iter().map(|(context, continuation)| {
            let (context, continuation) = (context.as_ref(), continuation.as_ref());
            match continuation {
                "" => Err("the continuation is empty".into()),
                _ => Ok(echo_body(
                    self.endpoint(),
                    &[context, continuation].concat(),
                )),
            }
        });
        self.ask(Api::Completions, bodies.collect(), |place, answer| {
            let (context, continuation) = &pairs[place];
            likelihood(answer, context.as_ref(), continuation.as_ref())
        })
    }
}

#[derive(Deserialize)]
struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
    /// Of the likeliest token at each place, and of the one that is there.
    top_logprobs: Option<Vec<Option<serde_json::Map<String, Value>>>>,
    text_offset: Vec<i64>,
}

fn likelihood(answer: &Value, context: &str, continuation: &str) -> Result<LogLikelihood, String> {
    const NEEDS: &str =
        "log-likelihoods need a server whose `/completions` has `echo` and `logprobs`";
    let choice = choices(answer)?.into_iter().next();
    let Some(logprobs) = choice.and_then(|choice| choice.get("logprobs")) else {
        return Err(format!("the server gave no `logprobs`: {NEEDS}"));
    };
    if logprobs.is_null() {
        return Err(format!("the server gave no `logprobs`: {NEEDS}"));
    }
    let Logprobs {
        tokens,
        token_logprobs,
        top_logprobs,
        text_offset,
    } = Logprobs::deserialize(logprobs).map_err(|error| {
        format!("the server's `logprobs` are unlike OpenAI's ({error}): {NEEDS}")
    })?;
    let top_logprobs = top_logprobs.ok_or_else(|| {
        format!("the server gave no `top_logprobs`, so the likeliest is unknown: {NEEDS}")
    })?;
    let count = tokens.len();
    if [token_logprobs.len(), top_logprobs.len(), text_offset.len()] != [count; 3] {
        return Err("the lists of the server's `logprobs` have different lengths".into());
    }
    let prompt = [context, continuation].concat();
    // The last token is the generated one, unless the server generated none.
    let generated = answer.pointer("/usage/completion_tokens");
    let none = generated.is_some_and(|count| *count == 0);
    let lengths = [count.saturating_sub(1), count];
    let lengths = &lengths[usize::from(none)..];
    let first = token_logprobs.first().is_some_and(Option::is_some);
    let by_offsets = |length: &usize| from_offsets(&tokens[..*length], &text_offset, &prompt);
    let by_tokens = |length: &usize| from_tokens(&tokens[..*length], first, &prompt);
    let Some(starts) =
        (lengths.iter().find_map(by_offsets)).or_else(|| lengths.iter().find_map(by_tokens))
    else {
        return Err(format!(
            "the server's tokens do not make up the text that it was sent: {NEEDS}"
        ));
    };

    let mut result = LogLikelihood {
        sum: 0.0,
        tokens: 0,
        greedy: true,
    };
    let boundary = context.len();
    for (place, start) in starts.iter().enumerate() {
        let Some(start) = *start else { continue };
        let later = starts[place..].iter().flatten().find(|s| **s > start);
        let mut end = later.copied().unwrap_or(prompt.len());
        if let Some(whole) = part(&tokens[place]) {
            // The next token may start where this one's last character does.
            let cut = prompt
                .get(start + whole.len()..)
                .and_then(|rest| rest.chars().next());
            end = end.max(start + whole.len() + cut.map_or(0, char::len_utf8));
        }
        if end <= boundary {
            continue;
        }
        let parts = starts
            .iter()
            .zip(&tokens)
            .filter(|(s, token)| **s == Some(start) && part(token).is_some());
        if start < boundary && parts.count() > 1 {
            return Err("the server does not tell which tokens the context ends with".into());
        }
        let Some(logprob) = token_logprobs[place] else {
            // What begins every text, on servers that show it as nothing.
            if place == 0 && tokens[0].is_empty() {
                continue;
            }
            return Err("the server gives the first token of a text no probability: the context is too short".into());
        };
        let top = top_logprobs[place].as_ref().map(|top| {
            let values = top.values().filter_map(Value::as_f64);
            values.fold(f64::NEG_INFINITY, f64::max)
        });
        let top = top.ok_or_else(|| format!("a token has no `top_logprobs`: {NEEDS}"))?;
        result.sum += logprob;
        result.tokens += 1;
        result.greedy &= logprob >= top;
    }
    Ok(result)
}

/// The text before it, if a token ends within a character: servers show the rest as U+FFFD, or as `bytes:\xe2\x82`.
fn part(token: &str) -> Option<&str> {
    match token.strip_prefix("bytes:") {
        Some(bytes) => Some(bytes.split("\\x").next().unwrap_or_default()),
        None => Some(&token[..token.find('\u{fffd}')?]),
    }
}

/// Where each token of the prompt starts, in its bytes, as `text_offset` says; `None` for a token that is no text of
/// the prompt's, such as the one that begins every text. Nothing where tokens are not what is in the prompt there.
///
/// Servers count characters or bytes, and some count the token that begins every text.
fn from_offsets(tokens: &[String], offsets: &[i64], prompt: &str) -> Option<Vec<Option<usize>>> {
    let mut characters: Vec<_> = prompt.char_indices().map(|(at, _)| at).collect();
    characters.push(prompt.len());
    let bytes: Vec<_> = (0..=prompt.len()).collect();
    let begins = tokens.first()?;
    [
        (&characters, 0),
        (&bytes, 0),
        (&characters, begins.chars().count()),
        (&bytes, begins.len()),
    ]
    .into_iter()
    .find_map(|(places, before)| {
        placed(tokens, offsets, prompt, places, i64::try_from(before).ok()?)
    })
}

/// As [`from_offsets`], with offsets that mean `places` after `before`.
fn placed(
    tokens: &[String],
    offsets: &[i64],
    prompt: &str,
    places: &[usize],
    before: i64,
) -> Option<Vec<Option<usize>>> {
    let begins = usize::from(before > 0);
    let mut starts = vec![None; begins];
    for offset in &offsets[begins..tokens.len()] {
        let start = *places.get(usize::try_from(offset - before).ok()?)?;
        // The prompt's end is where a generated token starts.
        if start == prompt.len() {
            return None;
        }
        starts.push(Some(start));
    }
    // The tokens have to fill the text: each ends where the next starts, or, where it ends within a character, that
    // starts there or is the next one's start as well.
    let texts: Vec<usize> = starts.iter().flatten().copied().collect();
    let filled = texts
        .iter()
        .zip(&tokens[begins..])
        .enumerate()
        .all(|(place, (start, token))| {
            let next = texts.get(place + 1).copied().unwrap_or(prompt.len());
            let cut = part(token);
            let whole = cut.unwrap_or(token);
            let Some(rest) = prompt
                .get(*start..)
                .and_then(|rest| rest.strip_prefix(whole))
            else {
                return false;
            };
            let end = start + whole.len();
            let in_parts = rest
                .chars()
                .next()
                .filter(|c| cut.is_some() && !c.is_ascii());
            match in_parts.map(char::len_utf8) {
                Some(length) => next == end + length || (next == end && place + 1 < texts.len()),
                None => cut.is_none() && next == end,
            }
        });
    (texts.first() == Some(&0) && filled).then_some(starts)
}

/// As [`from_offsets`], for servers whose offsets are those of their tokens put together, which is not the prompt where
/// a token's text lacks its blank or a character is in parts: tokens are laid along the prompt. `first` is whether the
/// first token has a probability.
fn from_tokens(tokens: &[String], first: bool, prompt: &str) -> Option<Vec<Option<usize>>> {
    let mut starts = Vec::new();
    let mut at = 0;
    // Where a run of parts starts. Which bytes each has is unknown, so they all start together.
    let mut run = None;
    for (place, token) in tokens.iter().enumerate() {
        let cut = part(token);
        let text = cut.unwrap_or(token);
        if let (Some(start), Some("")) = (run, cut) {
            starts.push(Some(start));
            continue;
        }
        if run.take().is_some() {
            at += foreign(&prompt[at..], text)?;
        }
        let rest = &prompt[at..];
        // A whole token that is nothing is a blank that was taken off.
        let least = usize::from(token.is_empty() && rest.starts_with(' '));
        if let Some(off) = blanks_before(rest, text, least) {
            starts.push(Some(at));
            at += off + text.len();
        } else if place == 0 && !first {
            starts.push(None);
            continue;
        } else {
            return None;
        }
        run = cut.map(|_| at);
    }
    let ended = match run {
        Some(_) => prompt[at..].chars().all(|c| !c.is_ascii()),
        // The last token may be blanks, less the one that was taken off.
        None => {
            let blank = |text: &str| text.trim_matches(' ').is_empty();
            at == prompt.len() || blank(&prompt[at..]) && tokens.last().is_some_and(|t| blank(t))
        }
    };
    (ended && !starts.is_empty()).then_some(starts)
}

/// How much of `rest` a run of parts takes, before the token `text`: only characters beyond ASCII come in parts.
fn foreign(rest: &str, text: &str) -> Option<usize> {
    let mut end = 0;
    for character in rest.chars().take_while(|c| !c.is_ascii()) {
        end += character.len_utf8();
        let after = &rest[end..];
        if after.is_empty() || blanks_before(after, text, 0).is_some() {
            return Some(end);
        }
    }
    None
}

/// How many blanks, from `least` on, are before `text` at the start of `rest`.
fn blanks_before(rest: &str, text: &str, least: usize) -> Option<usize> {
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    (least..=blanks).find(|blanks| rest[*blanks..].starts_with(text))
}
