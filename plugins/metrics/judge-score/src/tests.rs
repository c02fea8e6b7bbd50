use folkmoot_sdk::native::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Deserializer, Value, json};
use sha2::{Digest, Sha256};

use super::*;
use shared::golden;

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

fn metric(settings: Value) -> JudgeScore {
    serde_json::from_value(settings).unwrap()
}

fn example(row: &Value) -> Example {
    Example::from_json(&row.to_string()).unwrap()
}

/// Asks until nothing more is asked; `reply` answers a question given its kind, messages and number.
fn converse(
    metric: &JudgeScore,
    row: &Value,
    mut reply: impl FnMut(&str, &Value, &Value) -> String,
) -> Vec<Reply> {
    let example = example(row);
    let mut replies: Vec<Reply> = Vec::new();
    loop {
        let asked = questions();
        metric
            .ask(&example, &answers(replies.clone()), &asked)
            .unwrap();
        let asked = asked.asked.into_inner();
        if asked.is_empty() {
            return replies;
        }
        for question in asked {
            let (kind, rest) = question.split_once(' ').unwrap();
            let parts: Result<Vec<Value>, _> = Deserializer::from_str(rest).into_iter().collect();
            let parts = parts.unwrap();
            replies.push(Reply::texts(&[&reply(kind, &parts[0], &parts[1])]));
        }
    }
}

fn hash(messages: &Value) -> String {
    let mut hash = Sha256::new();
    for message in messages.as_array().unwrap() {
        for part in ["role", "content"] {
            hash.update(message[part].as_str().unwrap());
            hash.update([0]);
        }
    }
    let bytes = hash.finalize();
    bytes[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The scores of tasks whose answers are the golden ones and whose judgments are `words`, two to each.
fn scored(metric: &JudgeScore, tasks: &[Value], words: &[[String; 2]]) -> Vec<Score> {
    let all = observations();
    for (task, words) in tasks.iter().zip(words) {
        let (mut chats, mut judgments) = (0, 0);
        let replies = converse(metric, task, |kind, _, _| {
            let (list, at) = match kind {
                "chat" => (None, &mut chats),
                _ => (Some(words), &mut judgments),
            };
            *at += 1;
            match list {
                None => task["model"][*at - 1].as_str().unwrap().into(),
                Some(words) => words[*at - 1].clone(),
            }
        });
        metric
            .observe(&example(task), &answers(replies), &all)
            .unwrap();
    }
    let own = scores();
    metric.summarize(&all, &own).unwrap();
    own.added.into_inner()
}

fn find(scores: &[Score], name: &str) -> Score {
    let own = scores.iter().find(|score| score.name == name);
    own.unwrap_or_else(|| panic!("no score {name}")).clone()
}

#[test]
fn asks_the_model_twice_then_the_judge_about_both_turns() {
    let row = json!({
        "turns": ["Why {answer}?", "And \"why\"?"], "category": "math",
        "reference": ["r1", "r2"], "prompt": "rendered",
    });
    let mut asked = Vec::new();
    let metric = metric(json!({}));
    let replies = converse(&metric, &row, |kind, messages, options| {
        asked.push(json!([kind, messages, options]));
        ["{question}", "a2", "Rating: [[7]]", "Rating: [[4.5]]"][asked.len() - 1].into()
    });
    let chat = json!({ "max-tokens": 1024, "temperature": 0.0, "samples": 1 });
    let judge = json!({ "max-tokens": 2048, "temperature": 0.0, "samples": 1 });
    let first = json!({ "role": "user", "content": "Why {answer}?" });
    assert_eq!(asked[0], json!(["chat", [first], chat]));
    let said = json!({ "role": "assistant", "content": "{question}" });
    let second = json!({ "role": "user", "content": "And \"why\"?" });
    assert_eq!(asked[1], json!(["chat", [first, said, second], chat]));
    assert_eq!(asked.len(), 4);
    for (at, parts) in [
        (
            2,
            [
                "[Question]\nWhy {answer}?\n\n",
                "Reference Answer]\nr1\n[The End",
            ],
        ),
        (
            3,
            ["### User:\nAnd \"why\"?", "### Reference answer:\nr2\n"],
        ),
    ] {
        assert_eq!(asked[at][0], "judge");
        assert_eq!(asked[at][2], judge);
        let user = asked[at][1][1]["content"].as_str().unwrap();
        assert!(parts.iter().all(|part| user.contains(part)), "{user}");
        assert!(user.contains("\n{question}\n"), "{user}");
    }

    let all = observations();
    metric
        .observe(&example(&row), &answers(replies), &all)
        .unwrap();
    assert_eq!(all.values("judge_score"), [(11.5, 2.0)]);
    assert_eq!(all.values("judge_score_math"), [(11.5, 2.0)]);
    assert_eq!(all.values("judge_score_turn_2"), [(4.5, 1.0)]);
    assert_eq!(all.values("unparsed"), [(0.0, 2.0)]);
    let notes = all.notes.borrow();
    assert_eq!(notes[0], ("judgment_1".into(), "Rating: [[7]]".into()));
    assert_eq!(notes[1], ("grade_1".into(), "7".into()));
}

#[test]
fn the_messages_to_the_judge_are_fastchats() {
    let golden = golden("judge_metrics.json");
    let metric = metric(json!({}));
    let tasks = golden["tasks"].as_array().unwrap();
    for (task, messages) in tasks.iter().zip(golden["messages"].as_array().unwrap()) {
        let (mut chats, mut hashes) = (0, Vec::new());
        converse(&metric, task, |kind, messages, _| match kind {
            "chat" => {
                chats += 1;
                task["model"][chats - 1].as_str().unwrap().into()
            }
            _ => {
                hashes.push(json!(hash(messages)));
                String::new()
            }
        });
        assert_eq!(json!(hashes), messages["single"], "{}", task["turns"]);
    }
    assert_eq!(tasks.len(), 80);
}

#[test]
fn reads_ratings_as_fastchat_does() {
    let golden = golden("judge_metrics.json");
    let ratings = golden["ratings"].as_array().unwrap();
    assert!(ratings.len() >= 1000);
    for row in ratings {
        let words = row[0].as_str().unwrap();
        // Where FastChat fails, what it would read were its digits 0 to 9 only.
        let expected = row[1].as_f64().or(row[2].as_f64()).unwrap();
        let expected = Some(expected).filter(|value| *value != -1.0);
        assert_eq!(rating::rating(words), expected, "{words:?}");
    }
}

/// What the golden judge said about each task.
fn judgments(golden: &Value) -> Vec<[String; 2]> {
    let choices = golden["choices"]["ratings"].as_array().unwrap();
    let word = |at: &Value| {
        let at = at.as_u64().unwrap() as usize;
        golden["ratings"][at][0].as_str().unwrap().to_owned()
    };
    choices
        .iter()
        .map(|own| [word(&own[0]), word(&own[1])])
        .collect()
}

#[test]
fn scores_are_those_of_fastchats_show_result() {
    let golden = golden("judge_metrics.json");
    // FastChat knows no scale.
    let metric = metric(json!({ "lowest": 0, "highest": 1e300 }));
    let tasks = golden["tasks"].as_array().unwrap();
    let scores = scored(&metric, tasks, &judgments(&golden));
    let expected = golden["scores"]["fastchat_single"].as_object().unwrap();
    assert_eq!(scores.len(), expected.len());
    for (name, value) in expected {
        let score = find(&scores, name);
        let (own, value) = (score.value, value.as_f64().unwrap());
        assert!(((own - value) / value).abs() < 1e-9, "{name} {own} {value}");
        assert!(score.standard_error.is_some(), "{name}");
        assert_eq!(score.higher_is_better, name != "unparsed");
    }
}

#[test]
fn openfedllm_keeps_what_has_no_grade_as_minus_one() {
    let golden = golden("judge_metrics.json");
    let metric = metric(json!({ "variant": "openfedllm" }));
    let tasks = golden["tasks"].as_array().unwrap();
    let scores = scored(&metric, tasks, &judgments(&golden));
    let expected = golden["scores"]["openfedllm"].as_f64().unwrap();
    let own = find(&scores, "judge_score").value;
    assert!(
        ((own - expected) / expected).abs() < 1e-9,
        "{own} {expected}"
    );
    assert!(find(&scores, "unparsed").value > 0.0);
    assert!(
        scores
            .iter()
            .all(|score| score.name != "judge_score_turn_2")
    );

    let mut asked = Vec::new();
    converse(&metric, &tasks[30], |kind, messages, options| {
        asked.push(json!([kind, messages, options]));
        "x".into()
    });
    assert_eq!(asked.len(), 2);
    assert_eq!(
        asked[0][2],
        json!({ "max-tokens": 2048, "temperature": 0.7, "samples": 1 })
    );
    assert_eq!(
        asked[1][2],
        json!({ "max-tokens": 2048, "temperature": 0.2, "samples": 1 })
    );
    assert_eq!(asked[1][1][0]["content"], OPENFEDLLM_SYSTEM);
    let user = asked[1][1][1]["content"].as_str().unwrap();
    assert!(!user.contains("Reference"), "{user}");
}

#[test]
fn what_is_off_the_scale_or_unread_is_left_out() {
    let metric = metric(json!({}));
    let row = |category: Value| json!({ "turns": ["a"], "category": category, "model": ["x"] });
    let rows = [
        row(json!("A b")),
        row(json!(null)),
        row(json!("A b")),
        row(json!("--")),
    ];
    let said = ["[[9]]", "[[11]]", "[[4]]", "nothing"];
    let words = said.map(|words| [words.to_owned(), String::new()]);
    let scores = scored(&metric, &rows, &words);
    let names: Vec<&str> = scores.iter().map(|score| score.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "judge_score",
            "judge_score_a_b",
            "judge_score_turn_1",
            "unparsed"
        ]
    );
    assert_eq!(scores[0].value, 6.5);
    assert_eq!(scores[0].standard_error, Some(2.5));
    assert_eq!(scores[3].value, 0.5);
    assert!((scores[3].standard_error.unwrap() - (1.0 / 12.0_f64).sqrt()).abs() < 1e-12);

    let none = scored(&metric, &rows[..1], &words[3..]);
    assert_eq!(none.len(), 1);
    assert_eq!((none[0].value, none[0].standard_error), (1.0, None));
}

#[test]
fn settings_replace_prompts_and_sampling() {
    let metric = metric(json!({
        "references": "always", "temperatures": { "poems": 1.5 }, "temperature": 0.25, "max_tokens": 7,
        "judge_temperature": 0.5, "judge_max_tokens": 9, "highest": 5,
        "prompts": { "turn_1_reference": { "system": "", "template": "{question}|{answer}|{ref_answer_1} {}" } },
    }));
    for (category, temperature) in [("poems", 1.5), ("writing", 0.25)] {
        let row = json!({ "question": "q", "category": category, "reference": "r" });
        let mut asked = Vec::new();
        converse(&metric, &row, |kind, messages, options| {
            asked.push(json!([kind, messages, options]));
            "a".into()
        });
        let options = json!({ "max-tokens": 7, "temperature": temperature, "samples": 1 });
        assert_eq!(asked[0][2], options);
        assert_eq!(
            asked[1][1],
            json!([{ "role": "user", "content": "q|a|r {}" }])
        );
        assert_eq!(
            asked[1][2],
            json!({ "max-tokens": 9, "temperature": 0.5, "samples": 1 })
        );
    }
    assert_eq!(metric.grade("[[5]]"), Some(5.0));
    assert_eq!(metric.grade("[[6]]"), None);
}

#[test]
fn refuses_in_words() {
    let ask = |settings: Value, row: Value| {
        let asked = metric(settings).ask(&example(&row), &answers(Vec::new()), &questions());
        asked.unwrap_err()
    };
    let scale = ask(
        json!({ "lowest": 3, "highest": 3 }),
        json!({ "question": "q" }),
    );
    assert_eq!(scale, "`lowest` 3 is not below `highest` 3");
    let reference = ask(json!({}), json!({ "question": "q", "category": "coding" }));
    assert_eq!(
        reference,
        "column `reference` is missing; there are: question, category"
    );
    let metric = metric(json!({}));
    let row = example(&json!({ "question": "q", "category": "Turn 1" }));
    let replies = answers(vec![Reply::texts(&["a"]), Reply::texts(&["[[1]]"])]);
    let refused = metric.observe(&row, &replies, &observations()).unwrap_err();
    assert_eq!(refused, "category `turn_1` has the name of a turn");
}
