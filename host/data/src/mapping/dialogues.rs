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
pub(super) fn split_dialogues(
    chosen: &str,
    rejected: &str,
    options: Kwargs,
) -> Result<Value, Error> {
    let legacy = options.get::<Option<bool>>("legacy")?.unwrap_or(false);
    options.assert_all_used()?;
    let shared = common_prefix(chosen, rejected);
    if legacy {
        let last = chosen[..shared].char_indices().next_back();
        // The answers of two equal dialogues are then but their last character.
        let from = last.map_or(0, |(at, _)| at);
        return Ok(context! {
            messages => legacy_turns(&chosen[..shared]),
            chosen => &chosen[from..],
            rejected => &rejected[from..],
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

    fn split(legacy: bool) -> Value {
        let mut environment = Environment::new();
        environment.add_function("split_dialogues", super::split_dialogues);
        let expression = environment
            .compile_expression("split_dialogues(chosen, rejected, legacy=legacy)")
            .unwrap();
        let start = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: I think";
        let (chosen, rejected) = (format!("{start} so."), format!("{start} not."));
        let value = expression
            .eval(context! { chosen, rejected, legacy })
            .unwrap();
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn a_shared_opening_of_the_answers_is_kept() {
        let expected = json!({
            "messages": [
                { "role": "user", "content": "Hi" },
                { "role": "assistant", "content": "Hello." },
                { "role": "user", "content": "Why?" },
            ],
            "chosen": "I think so.",
            "rejected": "I think not.",
        });
        assert_eq!(split(false), expected);
        let legacy = split(true);
        assert_eq!(
            (&legacy["chosen"], &legacy["rejected"]),
            (&json!(" so."), &json!(" not."))
        );
        assert_eq!(legacy["messages"], expected["messages"]);
    }
}
