//! Pairs of dialogues that share an opening, as in Anthropic's HH-RLHF (Bai et al. 2022).

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind, context};

const HUMAN: &str = "\n\nHuman: ";
const ASSISTANT: &str = "\n\nAssistant: ";

/// `split_dialogues(chosen, rejected)`: the turns that both dialogues share as `messages`, and what each says
/// after the last mark of an assistant's turn that both have as `chosen` and `rejected`.
///
/// With `legacy=true` it is OpenFedLLM's arithmetic: the answers start one character before the end of the
/// common prefix, so that a common opening of theirs, but for its last character, is in neither prompt nor answers.
#[allow(
    clippy::needless_pass_by_value,
    reason = "minijinja hands options over by value"
)]
pub(super) fn split_dialogues(
    chosen: &str,
    rejected: &str,
    options: Kwargs,
) -> Result<Value, Error> {
    let legacy = options.get::<Option<bool>>("legacy")?.unwrap_or(false);
    options.assert_all_used()?;
    let shared = common_prefix(chosen, rejected);
    if legacy {
        // The answers of two equal dialogues are then but their last character, and those of two that share
        // nothing as well, since Python counts -1 from the end.
        let answer = |text: &'_ str| {
            let before = if shared == 0 { text } else { &text[..shared] };
            let last = before.char_indices().next_back();
            text[last.map_or(0, |(at, _)| at)..].to_owned()
        };
        return Ok(context! {
            messages => legacy_turns(&chosen[..shared]),
            chosen => answer(chosen),
            rejected => answer(rejected),
        });
    }
    let wrong = |why: &str| Error::new(ErrorKind::InvalidOperation, why.to_owned());
    // The mark is taken without its space, which some dialogues lack.
    let mark = ASSISTANT.trim_end();
    let Some(at) = chosen[..shared].rfind(mark) else {
        return Err(wrong("the dialogues share no turn of an assistant"));
    };
    let messages = turns(&chosen[..at]);
    if messages.is_empty() {
        return Err(wrong("the dialogues share no turn of a human"));
    }
    let answer = |text: &str| text[at + mark.len()..].trim_start_matches(' ').to_owned();
    Ok(context! { messages, chosen => answer(chosen), rejected => answer(rejected) })
}

/// What OpenFedLLM's `split_hh` makes of the common prefix: the first nine characters are taken for the mark of a
/// human's turn, marks have their space, and a turn that no mark ends is left out.
fn legacy_turns(prefix: &str) -> Vec<Value> {
    let start = prefix.char_indices().nth(HUMAN.len());
    let mut rest = start.map_or("", |(at, _)| &prefix[at..]);
    let mut turns = Vec::new();
    for (role, end) in [("user", ASSISTANT), ("assistant", HUMAN)]
        .into_iter()
        .cycle()
    {
        let Some(at) = rest.find(end) else { break };
        turns.push(context! { role, content => &rest[..at] });
        rest = &rest[at + end.len()..];
    }
    turns
}

/// Bytes of the longest common prefix that ends between characters.
fn common_prefix(a: &str, b: &str) -> usize {
    let mut same = a.char_indices().zip(b.chars());
    let differs = same.find(|((_, a), b)| a != b);
    differs.map_or(a.len().min(b.len()), |((at, _), _)| at)
}

/// The turns of a dialogue, in their order.
fn turns(text: &str) -> Vec<Value> {
    let mut turns = Vec::new();
    let (mut rest, mut role) = (text, None);
    loop {
        let next = [(HUMAN, "user"), (ASSISTANT, "assistant")];
        let next = next
            .into_iter()
            .filter_map(|(mark, role)| Some((rest.find(mark.trim_end())?, mark.trim_end(), role)));
        let next = next.min();
        let content = &rest[..next.map_or(rest.len(), |(at, _, _)| at)];
        if let Some(role) = role {
            turns.push(context! { role, content => content.strip_prefix(' ').unwrap_or(content) });
        }
        let Some((at, mark, own)) = next else {
            return turns;
        };
        rest = &rest[at + mark.len()..];
        role = Some(own);
    }
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};
    use serde_json::{Value, json};

    /// Roles and contents of the messages, and the two answers.
    fn split(chosen: &str, rejected: &str, legacy: bool) -> Result<Value, String> {
        let mut environment = Environment::new();
        environment.add_function("split_dialogues", super::split_dialogues);
        let expression = environment
            .compile_expression("split_dialogues(chosen, rejected, legacy=legacy)")
            .unwrap();
        let value = expression.eval(context! { chosen, rejected, legacy });
        let value = value.map_err(|error| error.to_string())?;
        let value = serde_json::to_value(value).unwrap();
        let messages = value["messages"].as_array().unwrap().iter();
        let messages: Vec<Value> = messages
            .map(|turn| json!([turn["role"], turn["content"]]))
            .collect();
        Ok(json!([messages, value["chosen"], value["rejected"]]))
    }

    /// Two dialogues in short (`H`, `A` and `a` are marks, the last without its space), what becomes of them, and
    /// what OpenFedLLM's own `split_hh` gives, run on the same.
    #[test]
    fn dialogues_are_split_as_documented_and_legacy_as_in_openfedllm() {
        let none = "the dialogues share no turn of an assistant";
        let cases = [
            // They differ in the middle of a word.
            (
                "H|Hi|A|I think so.",
                "H|Hi|A|I thank you.",
                json!([[["user", "Hi"]], "I think so.", "I thank you."]),
                json!([[["user", "Hi"]], "hink so.", "hank you."]),
            ),
            (
                "H|Hi|A|Hello.|H|Why?|A|Yes.",
                "H|Hi|A|Hello.|H|Why?|A|No.",
                json!([
                    [["user", "Hi"], ["assistant", "Hello."], ["user", "Why?"]],
                    "Yes.",
                    "No."
                ]),
                json!([
                    [["user", "Hi"], ["assistant", "Hello."], ["user", "Why?"]],
                    " Yes.",
                    " No."
                ]),
            ),
            // They differ inside of a human's turn.
            (
                "H|Hi|A|Hello.|H|Why so?|A|Yes.",
                "H|Hi|A|Hello.|H|Why not?|A|No.",
                json!([
                    [["user", "Hi"]],
                    "Hello.\n\nHuman: Why so?\n\nAssistant: Yes.",
                    "Hello.\n\nHuman: Why not?\n\nAssistant: No."
                ]),
                json!([
                    [["user", "Hi"], ["assistant", "Hello."]],
                    " so?\n\nAssistant: Yes.",
                    " not?\n\nAssistant: No."
                ]),
            ),
            (
                "H|Hi|A|Same.",
                "H|Hi|A|Same.",
                json!([[["user", "Hi"]], "Same.", "Same."]),
                json!([[["user", "Hi"]], ".", "."]),
            ),
            (
                "H|Hi|A|Yes.",
                "H|Hi|A|Yes. More.",
                json!([[["user", "Hi"]], "Yes.", "Yes. More."]),
                json!([[["user", "Hi"]], ".", ". More."]),
            ),
            (
                "H|Hi|a|",
                "H|Hi|A|Yo.",
                json!([[["user", "Hi"]], "", "Yo."]),
                json!([[], ":", ": Yo."]),
            ),
            (
                "H|Hi|A|One|A|Two.",
                "H|Hi|A|One|A|Three.",
                json!([[["user", "Hi"], ["assistant", "One"]], "Two.", "Three."]),
                json!([[["user", "Hi"]], "Two.", "Three."]),
            ),
            (
                "H|n\u{e9}|A|\u{e9}a",
                "H|n\u{e9}|A|\u{e9}b",
                json!([[["user", "n\u{e9}"]], "\u{e9}a", "\u{e9}b"]),
                json!([[["user", "n\u{e9}"]], "\u{e9}a", "\u{e9}b"]),
            ),
            ("ab", "cde", json!(none), json!([[], "b", "e"])),
        ];
        for (chosen, rejected, documented, legacy) in cases {
            let full = |short: &str| {
                let parts = short.split('|').map(|part| match part {
                    "H" => "\n\nHuman: ",
                    "A" => "\n\nAssistant: ",
                    "a" => "\n\nAssistant:",
                    said => said,
                });
                parts.collect::<String>()
            };
            let (a, b) = (full(chosen), full(rejected));
            match split(&a, &b, false) {
                Ok(found) => assert_eq!(found, documented, "{chosen}"),
                Err(error) => assert!(error.contains(documented.as_str().unwrap()), "{error}"),
            }
            assert_eq!(split(&a, &b, true).unwrap(), legacy, "{chosen}, legacy");
        }
    }
}
