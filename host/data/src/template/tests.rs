use std::path::Path;

use super::{Learnt, Template};
use crate::dataset::{Role, Turn};
use crate::tokenizer::Tokenizer;
use crate::tokenizer::tests::{byte_tokenizer, with_chat_template};

const GENERATION: &str = "{%- for message in messages %}{% if message.role == 'assistant' %}\
     {{ '<|im_start|>' + message.role + '\\n' }}{% generation %}{{ message.content + '<|im_end|>' }}\
     {% endgeneration %}{{ '\\n' }}{% else %}\
     {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}";

fn user(text: &str) -> Vec<Turn> {
    vec![Turn::new(Role::User, text)]
}

fn asked(instruction: &str, response: &str) -> Vec<Turn> {
    super::answered(&user(instruction), response)
}

/// Every template, and the two ways of a model's own.
fn all() -> impl Iterator<Item = (Template, Tokenizer)> {
    let shipped = Template::names().flat_map(|name| [(name, false), (name, true)]);
    let plain = shipped.map(|(name, adds_bos)| (name, byte_tokenizer(adds_bos)));
    let marked = [("model", with_chat_template(GENERATION))];
    plain.chain(marked).map(|(name, tokenizer)| {
        (
            Template::find(name, Path::new(name), &tokenizer).unwrap(),
            tokenizer,
        )
    })
}

#[test]
fn trained_are_the_response_and_its_end() {
    for (template, tokenizer) in all() {
        let name = template.name().to_owned();
        // A response that also occurs in the instruction cannot be found by looking for it.
        let instruction = "naïve? ### Response: naïve";
        let turns = asked(instruction, "naïve");
        let tokenized = template
            .tokenize(&tokenizer, &turns, Learnt::Every)
            .unwrap();
        let pairs = || tokenized.ids.iter().zip(&tokenized.trained);
        let trained: Vec<u32> = pairs().filter(|(_, t)| **t).map(|(id, _)| *id).collect();
        let decoded = tokenizer.decode(&trained).unwrap();
        assert!(
            decoded.trim_start().starts_with("naïve"),
            "{name}: {decoded}"
        );
        let ends = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>"];
        let bare = ends
            .iter()
            .fold(decoded.clone(), |text, end| text.replace(end, ""));
        assert_eq!(bare.trim(), "naïve", "{name}");
        let (last, eos) = (
            template.end_of_response(&tokenizer).unwrap(),
            tokenizer.eos(),
        );
        // What is spelt in pieces is nothing to stop at; the end of text is.
        let expected = match template.ends_with_token(&tokenizer).unwrap() {
            true => trained.last(),
            false => Some(&eos).filter(|_| ["llama-3", "gemma"].contains(&name.as_str())),
        };
        assert_eq!(expected, Some(&last), "{name}");

        let prompt = template.prompt_ids(&tokenizer, &user(instruction)).unwrap();
        assert!(tokenized.ids.starts_with(&prompt), "{name}");
        assert!(
            tokenized.trained[..prompt.len()].iter().all(|t| !t) && tokenized.trained[prompt.len()],
            "{name}"
        );
    }
}

#[test]
fn prompt_and_continuation_end_with_the_last_trained_token() {
    for (template, tokenizer) in all() {
        let tokenized = template.tokenize(&tokenizer, &asked("naïve?", "naïve "), Learnt::Last);
        let tokenized = tokenized.unwrap();
        let last = tokenized.trained.iter().rposition(|t| *t).unwrap();
        let prompt = template.prompt(&tokenizer, &user("naïve?")).unwrap();
        let continuation = template.continuation(&tokenizer, &user("naïve?"), "naïve ");
        let spelt = tokenizer
            .encode(&(prompt + &continuation.unwrap()))
            .unwrap();
        let bos = template.missing_bos(&tokenizer, &spelt);
        let ids: Vec<u32> = bos.into_iter().chain(spelt).collect();
        assert_eq!(ids, tokenized.ids[..=last], "{}", template.name());
    }
}

#[test]
fn every_turn_of_the_assistant_is_trained_or_the_last() {
    for (template, tokenizer) in all() {
        let mut turns = asked("a?", "One.");
        turns.extend(asked("b?", "Two."));
        let decoded = |learnt: Learnt| {
            let tokenized = template.tokenize(&tokenizer, &turns, learnt).unwrap();
            let pairs = tokenized.ids.iter().zip(&tokenized.trained);
            let ids: Vec<u32> = pairs.filter(|(_, t)| **t).map(|(id, _)| *id).collect();
            tokenizer.decode(&ids).unwrap()
        };
        let (all, last) = (decoded(Learnt::Every), decoded(Learnt::Last));
        let name = template.name();
        assert!(
            all.contains("One.") && all.contains("Two.") && !all.contains('?'),
            "{name}: {all}"
        );
        assert!(
            !last.contains("One.") && last.contains("Two.") && !last.contains('?'),
            "{name}: {last}"
        );
    }
}

#[test]
fn an_end_that_the_data_has_is_there_once() {
    let tokenizer = byte_tokenizer(false);
    let plain = Template::find("plain", Path::new(""), &tokenizer).unwrap();
    let tokenize = |response: &str| {
        plain
            .tokenize(&tokenizer, &asked("abc", response), Learnt::Every)
            .unwrap()
    };
    assert_eq!(tokenize("def<|im_end|>"), tokenize("def"));
}

#[test]
fn names_and_files() {
    let tokenizer = byte_tokenizer(false);
    let find = |name: &str, path: &Path| Template::find(name, path, &tokenizer);
    let error = find("vicunna", Path::new("vicunna"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("nearest is `vicuna`"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.jinja");
    std::fs::write(
        &path,
        "Q: {{ messages[0].content }}\nA:{{ trained(' ' ~ messages[1].content ~ eos_token) }}",
    )
    .unwrap();
    let mine = find("./mine.jinja", &path).unwrap();
    assert_eq!(mine.prompt(&tokenizer, &user("x")).unwrap(), "Q: x\nA:");
    let answer = mine.continuation(&tokenizer, &user("x"), "y").unwrap();
    assert_eq!(answer, " y<|im_end|>");
    // An input has no place in it, and is not lost.
    let mut turn = Turn::new(Role::User, "x");
    turn.input = Some("z".into());
    assert_eq!(mine.prompt(&tokenizer, &[turn]).unwrap(), "Q: x\nz\nA:");
}

#[test]
fn what_users_say_is_never_trained() {
    // Only the last turn ends with a special token, whose id the first turn must not look for.
    let source =
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ eos_token }}";
    let tokenizer = with_chat_template(source);
    let template = Template::find("model", Path::new(""), &tokenizer).unwrap();
    let mut turns = asked("a?", "One.");
    turns.extend(asked("b?", "Two."));
    let (text, trained) = template.text(&tokenizer, &turns, Learnt::Every).unwrap();
    let said: Vec<&str> = trained.iter().map(|range| &text[range.clone()]).collect();
    assert_eq!(said, [" One.", " Two.\n<|im_end|>"]);
}

#[test]
fn a_template_cannot_go_on_for_ever() {
    let source =
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}";
    let tokenizer = with_chat_template(source);
    let template = Template::find("model", Path::new(""), &tokenizer).unwrap();
    let error = template
        .prompt(&tokenizer, &user("a"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("fuel"), "{error}");
}
