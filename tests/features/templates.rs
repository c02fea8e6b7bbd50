use std::fs;
use std::path::Path;

use folkmoot_data::{Learnt, Role, Template, Tokenized, Tokenizer, Turn};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bench::{fetched, golden, here, model_file};

const ROWS: usize = 1000;

/// Questions and answers of GSM8K's test split.
fn questions() -> Vec<[String; 2]> {
    let text = fs::read_to_string(fetched("gsm8k-test")).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        ["question", "answer"].map(|key| row[key].as_str().unwrap().to_owned())
    };
    text.lines().map(row).collect()
}

fn turns(value: &Value) -> Vec<Turn> {
    let turn = |message: &Value| {
        let role = match message["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        };
        let mut turn = Turn::new(role, message["content"].as_str().unwrap());
        turn.input = message["input"].as_str().map(str::to_owned);
        turn
    };
    value.as_array().unwrap().iter().map(turn).collect()
}

/// The conversation, or the two of a pair, of row `row`.
fn conversations(shape: &str, template: &str, row: usize, data: &[[String; 2]]) -> Vec<Vec<Turn>> {
    let user = |row: usize| Turn::new(Role::User, data[row][0].as_str());
    let answer = |row: usize| Turn::new(Role::Assistant, data[row][1].as_str());
    match shape {
        "instruction" => vec![vec![user(row), answer(row)]],
        "instruction-input" => {
            let mut asked = user(row);
            asked.input = row
                .is_multiple_of(3)
                .then(|| data[(row + data.len() - 1) % data.len()][0].clone());
            vec![vec![asked, answer(row)]]
        }
        "chat" => {
            let mut turns = Vec::new();
            if row.is_multiple_of(4) && template != "gemma" {
                turns.push(Turn::new(Role::System, "You are a helpful tutor."));
            }
            for row in row..row + if row.is_multiple_of(3) { 3 } else { 2 } {
                turns.extend([user(row), answer(row)]);
            }
            vec![turns]
        }
        "preference" => vec![
            vec![user(row), answer(row)],
            vec![user(row), answer(row + 1)],
        ],
        "text" => {
            let text = format!("{}\n{}", data[row][0], data[row][1]);
            vec![vec![Turn::new(Role::Assistant, text)]]
        }
        other => panic!("{other}"),
    }
}

fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(",")
}

/// As the golden file digests it.
fn digest(rows: &[Tokenized]) -> String {
    let text = match rows {
        [row] => {
            let mask: String = row
                .trained
                .iter()
                .map(|own| if *own { '1' } else { '0' })
                .collect();
            format!("{}|{mask}", joined(&row.ids))
        }
        [chosen, rejected] => {
            let trained = |row: &Tokenized| {
                let own = row.ids.iter().zip(&row.trained);
                joined(own.filter(|(_, own)| **own).map(|(id, _)| *id))
            };
            let prompt = chosen.trained.iter().position(|own| *own).unwrap();
            let prompt = joined(&chosen.ids[..prompt]);
            format!("{prompt}|{}|{}", trained(chosen), trained(rejected))
        }
        _ => panic!("one conversation or two"),
    };
    let digest = Sha256::digest(text);
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A thousand real rows of every shape and template, and rows that were made to be hard, under two tokenizers:
/// the same ids and masks as transformers and TRL.
#[test]
fn ids_and_masks_equal_trl() {
    let golden = golden("templates.json");
    let data = questions();
    let tokenizers = [
        ("smollm2", Tokenizer::from_gguf(&model_file()).unwrap()),
        (
            "llama-like",
            Tokenizer::from_json(&here().join("golden/llama-like/tokenizer.json")).unwrap(),
        ),
    ];
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in golden["cases"].as_array().unwrap() {
        let of = |key: &str| case[key].as_str().unwrap();
        let (shape, name) = (of("shape"), of("template"));
        let (_, tokenizer) = tokenizers
            .iter()
            .find(|(own, _)| *own == of("tokenizer"))
            .unwrap();
        let template = Template::find(name, Path::new(name), tokenizer).unwrap();
        let rows: Vec<(String, Vec<Vec<Turn>>)> = match shape {
            "adversarial" => {
                let rows = golden["adversarial"]["rows"].as_array().unwrap().iter();
                let expected = case["digests"].as_array().unwrap();
                rows.zip(expected)
                    .filter_map(|(row, digest)| {
                        Some((digest.as_str()?.to_owned(), vec![turns(row)]))
                    })
                    .collect()
            }
            "adversarial-preference" => {
                let rows = golden["adversarial"]["pairs"].as_array().unwrap().iter();
                let expected = case["digests"].as_array().unwrap();
                let pair = |row: &Value| {
                    let turn = |role: Role, key: &str| Turn::new(role, row[key].as_str().unwrap());
                    let with =
                        |key: &str| vec![turn(Role::User, "prompt"), turn(Role::Assistant, key)];
                    vec![with("chosen"), with("rejected")]
                };
                rows.zip(expected)
                    .filter_map(|(row, digest)| Some((digest.as_str()?.to_owned(), pair(row))))
                    .collect()
            }
            _ => (0..ROWS)
                .map(|row| {
                    let digest = of("digests")[12 * row..12 * (row + 1)].to_owned();
                    (digest, conversations(shape, name, row, &data))
                })
                .collect(),
        };
        for (at, (expected, conversations)) in rows.iter().enumerate() {
            // Rows that the oracle leaves out, with a reason stated there.
            if expected.starts_with('-') {
                continue;
            }
            let tokenized = conversations
                .iter()
                .map(|turns| template.tokenize(tokenizer, turns, Learnt::Every));
            let tokenized = tokenized.collect::<Result<Vec<_>, _>>();
            compared += 1;
            match tokenized {
                Ok(rows) if digest(&rows) == *expected => {}
                Ok(rows) => {
                    wrong.push(format!("{} {name} {shape} {at}: {rows:?}", of("tokenizer")))
                }
                Err(error) => wrong.push(format!(
                    "{} {name} {shape} {at}: {error:#}",
                    of("tokenizer")
                )),
            }
        }
    }
    let shown: Vec<String> = wrong
        .iter()
        .take(4)
        .map(|own| own.chars().take(900).collect())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    assert!(compared > 59_000, "{compared}");
}
