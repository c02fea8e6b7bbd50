//! Log-likelihoods, from servers that tell of their tokens in different ways.

use folkmoot_endpoint::{Api, Client, LogLikelihood};
use serde_json::{Value, json};

use crate::server::{Asked, Reply, Server, echo};

/// How a server tells of its tokens.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Style {
    /// Parts of characters as `bytes:\xe2`, offsets in characters.
    OpenAi,
    /// As OpenAI, with offsets in bytes.
    Bytes,
    /// Parts are nothing until the last, which is the character; offsets add up.
    Joined,
    /// Parts are U+FFFD, a first token begins each text, and offsets add up, so they are not those of the text.
    Lossy,
    /// Tokens without their leading blank, as single tokens of SentencePiece are; a first token, and offsets add up.
    Bare,
}

/// The tokens of a text, as ranges of bytes: a blank goes with what follows, ASCII in threes, others in two parts.
fn tokens(text: &str, style: Style) -> Vec<std::ops::Range<usize>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    for (at, character) in text.char_indices() {
        let (bare, end) = (
            text[start..at].trim_start().len(),
            at + character.len_utf8(),
        );
        if bare > 0 && (character == ' ' || !character.is_ascii() || bare >= 3) {
            tokens.push(start..at);
            start = at;
        }
        if !character.is_ascii() {
            if style != Style::Bare {
                tokens.push(start..end - 1);
                start = end - 1;
            }
            tokens.push(start..end);
            start = end;
        }
    }
    tokens.push(start..text.len());
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// Of the token that ends there. Every third is not the likeliest.
fn logprob(text: &str, end: usize) -> (f64, f64) {
    let sum: u64 = text.as_bytes()[..end]
        .iter()
        .fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 997);
    let own = -0.001 - sum as f64 / 100.0;
    (
        own,
        if sum.is_multiple_of(3) {
            own / 2.0
        } else {
            own
        },
    )
}

fn tell(asked: &Asked, style: Style) -> Reply {
    let text = asked.prompt();
    let (mut shown, mut own, mut top, mut offsets) = (vec![], vec![], vec![], vec![]);
    let (mut total, mut joined) = (0, 0);
    let begins = matches!(style, Style::Lossy | Style::Bare);
    if begins {
        shown.push("<s>".to_owned());
        own.push(json!(null));
        top.push(json!(null));
        offsets.push(0);
        total = 3;
    }
    let ranges = tokens(text, style);
    for (place, range) in ranges.iter().enumerate() {
        let token = match (text.get(range.clone()), style) {
            (Some(whole), Style::Bare) => whole.strip_prefix(' ').unwrap_or(whole).to_owned(),
            (Some(whole), Style::OpenAi | Style::Bytes | Style::Lossy) => whole.to_owned(),
            (_, Style::Joined) => match text.get(joined..range.end) {
                Some(whole) => {
                    joined = range.end;
                    whole.to_owned()
                }
                None => String::new(),
            },
            (None, Style::Lossy | Style::Bare) => {
                String::from_utf8_lossy(&text.as_bytes()[range.clone()]).into_owned()
            }
            (None, _) => {
                let byte = |byte: &u8| match byte.is_ascii() {
                    true => char::from(*byte).to_string(),
                    false => format!("\\x{byte:x}"),
                };
                format!(
                    "bytes:{}",
                    text.as_bytes()[range.clone()]
                        .iter()
                        .map(byte)
                        .collect::<String>()
                )
            }
        };
        let character = (0..=range.start)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap();
        offsets.push(match style {
            Style::OpenAi => text[..character].chars().count(),
            Style::Bytes => character,
            _ => total,
        });
        total += token.chars().count();
        let (mine, best) = logprob(text, range.end);
        own.push(if place > 0 || begins {
            json!(mine)
        } else {
            json!(null)
        });
        top.push(json!({ token.as_str(): mine, "best": best }));
        shown.push(token);
    }
    // The generated one.
    let end = match style {
        Style::OpenAi => text.chars().count(),
        Style::Bytes => text.len(),
        _ => total,
    };
    shown.push(" and".into());
    own.push(json!(-0.1));
    top.push(json!({ " and": -0.1 }));
    offsets.push(end);
    let logprobs = json!({ "tokens": shown, "token_logprobs": own, "top_logprobs": top, "text_offset": offsets });
    let choice = json!({ "index": 0, "text": format!("{text} and"), "logprobs": logprobs });
    Reply::Json(200, vec![], json!({ "choices": [choice] }))
}

/// From the tokens' bytes.
fn truth(context: &str, continuation: &str, style: Style) -> LogLikelihood {
    let text = [context, continuation].concat();
    let ends = tokens(&text, style).into_iter().map(|token| token.end);
    let counted: Vec<_> = ends
        .filter(|end| *end > context.len())
        .map(|end| logprob(&text, end))
        .collect();
    LogLikelihood {
        sum: counted.iter().fold(0.0, |sum, (own, _)| sum + own),
        tokens: counted.len(),
        greedy: counted.iter().all(|(own, top)| own >= top),
    }
}

fn client(server: &Server, folder: &std::path::Path) -> Client {
    let mut endpoint = server.endpoint();
    endpoint.api = Api::Completions;
    endpoint.extra = json!({ "temperature": 0.5, "max_tokens": 9, "seed": 3 })
        .as_object()
        .unwrap()
        .clone();
    Client::open(&endpoint, folder).unwrap()
}

/// Contexts and continuations of ASCII and other characters, from a fixed seed.
fn pairs(count: usize) -> Vec<(String, String)> {
    const PIECES: [&str; 16] = [
        " ",
        "a",
        "the",
        " cat",
        ".",
        "\n",
        "  ",
        " on",
        "é",
        "漢",
        "字",
        "🙂",
        " é",
        "👩‍🔬",
        "e\u{301}",
        " 🙂",
    ];
    let mut state = 11u64;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = |least: u64| {
        let length = least + draw(6);
        let pieces = (0..length).map(|_| PIECES[usize::try_from(draw(16)).unwrap()]);
        pieces.collect::<String>()
    };
    (0..count)
        .map(|_| (format!("So,{}", text(0)), text(1)))
        .collect()
}

#[test]
fn the_continuation_s_tokens_count_whatever_the_server_s_offsets_are() {
    let pairs = pairs(300);
    for style in [
        Style::OpenAi,
        Style::Bytes,
        Style::Joined,
        Style::Lossy,
        Style::Bare,
    ] {
        let server = Server::start(move |asked| tell(asked, style));
        let folder = tempfile::tempdir().unwrap();
        let client = client(&server, folder.path());
        let mut told = 0;
        for (context, continuation) in &pairs {
            let expected = truth(context, continuation, style);
            match client.log_likelihoods(&[(context, continuation)]) {
                Ok(found) => {
                    assert_eq!(found, [expected], "{style:?} {context:?} {continuation:?}");
                    told += 1;
                }
                // Parts of several characters in a row are told apart by nothing.
                Err(error) => {
                    let text = error.to_string();
                    let known = text.ends_with("which tokens the context ends with");
                    assert!(known, "{text}");
                }
            }
        }
        match style {
            Style::Lossy => assert!(told > 240, "{told}"),
            _ => assert_eq!(told, pairs.len(), "{style:?}"),
        }
        let body = &server.asked()[0].body;
        let rest = json!({ "model": "m", "prompt": body["prompt"], "seed": 3, "max_tokens": 1, "temperature": 0.0,
            "echo": true, "logprobs": 1 });
        assert_eq!(body, &rest);
    }
}

#[test]
fn one_echo_serves_all_that_share_a_text() {
    let server = Server::start(|asked| tell(asked, Style::OpenAi));
    let folder = tempfile::tempdir().unwrap();
    let client = client(&server, folder.path());
    let pairs = [
        ("The cat", " sat on"),
        ("The cat sat", " on"),
        ("The cat sat ", "on"),
    ];
    let found = client.log_likelihoods(&pairs).unwrap();
    let tokens: Vec<_> = found.iter().map(|found| found.tokens).collect();
    assert_eq!(tokens, [2, 1, 1]);
    for (found, (context, continuation)) in found.iter().zip(pairs) {
        assert_eq!(*found, truth(context, continuation, Style::OpenAi));
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_a_server_does_not_give_is_named() {
    let cases: [(Value, &str); 6] = [
        (json!(null), "the server gave no `logprobs`"),
        (json!({ "content": [] }), "are unlike OpenAI's"),
        (
            json!({ "tokens": ["A", " b"], "token_logprobs": [null, -1.0], "text_offset": [0, 1] }),
            "no `top_logprobs`",
        ),
        (
            json!({ "tokens": ["A", " b"], "token_logprobs": [null], "top_logprobs": [null], "text_offset": [0, 1] }),
            "different lengths",
        ),
        // Without `echo`.
        (
            json!({ "tokens": [" c"], "token_logprobs": [-1.0], "top_logprobs": [{ " c": -1.0 }], "text_offset": [3] }),
            "do not make up the text",
        ),
        (
            json!({ "tokens": ["A b"], "token_logprobs": [null], "top_logprobs": [null], "text_offset": [0] }),
            "the first token of a text no probability",
        ),
    ];
    for (logprobs, part) in cases {
        let server = Server::start(move |_| {
            let choice = json!({ "index": 0, "text": "A b", "logprobs": logprobs });
            Reply::Json(200, vec![], json!({ "choices": [choice] }))
        });
        let folder = tempfile::tempdir().unwrap();
        let error = client(&server, folder.path())
            .log_likelihoods(&[("A", " b")])
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(crate::cache::files(folder.path()).is_empty());
    }
}

#[test]
fn chats_and_empty_continuations_have_no_likelihood() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let chat = server
        .client(folder.path())
        .log_likelihoods(&[("a", "b")])
        .unwrap_err();
    assert!(chat.to_string().contains("`api` = \"completions\""));
    let empty = client(&server, folder.path())
        .log_likelihoods(&[("a", "b"), ("a", "")])
        .unwrap_err();
    assert!(
        empty
            .to_string()
            .contains("request 2 of 2: the continuation is empty")
    );
    assert!(server.asked().is_empty());
}
