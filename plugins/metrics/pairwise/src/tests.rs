use folkmoot_sdk::native::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Deserializer, Value, json};
use sha2::{Digest, Sha256};

use super::*;
use shared::golden;

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

fn metric(settings: Value) -> Pairwise {
    serde_json::from_value(settings).unwrap()
}

fn example(row: &Value) -> Example {
    Example::from_json(&row.to_string()).unwrap()
}

/// A golden task with its first turn only.
fn first_turn(task: &Value) -> Value {
    let mut task = task.clone();
    for column in ["turns", "baseline", "model"] {
        task[column] = json!([task[column][0]]);
    }
    task
}

/// What was asked, and the answers: the model says what is in column `model`, the judge `words`.
fn converse(metric: &Pairwise, row: &Value, words: &[&str]) -> (Vec<Value>, Vec<Reply>) {
    let example = example(row);
    let (mut replies, mut all): (Vec<Reply>, Vec<Value>) = Default::default();
    let (mut chats, mut judgments) = (0, 0);
    loop {
        let asked = questions();
        metric
            .ask(&example, &answers(replies.clone()), &asked)
            .unwrap();
        let asked = asked.asked.into_inner();
        if asked.is_empty() {
            return (all, replies);
        }
        for question in asked {
            let (kind, rest) = question.split_once(' ').unwrap();
            let parts: Result<Vec<Value>, _> = Deserializer::from_str(rest).into_iter().collect();
            let parts = parts.unwrap();
            let reply = if kind == "chat" {
                chats += 1;
                row["model"][chats - 1].as_str().unwrap()
            } else {
                judgments += 1;
                words[judgments - 1]
            };
            replies.push(Reply::texts(&[reply]));
            all.push(json!([kind, parts[0], parts[1]]));
        }
    }
}

fn hashes(asked: &[Value]) -> Value {
    let judged = asked.iter().filter(|own| own[0] == "judge");
    let hash = |own: &Value| {
        let mut hash = Sha256::new();
        for message in own[1].as_array().unwrap() {
            for part in ["role", "content"] {
                hash.update(message[part].as_str().unwrap());
                hash.update([0]);
            }
        }
        let bytes = hash.finalize();
        let hex: String = bytes[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!(hex)
    };
    judged.map(hash).collect()
}

fn scored<'a>(
    metric: &Pairwise,
    tasks: impl IntoIterator<Item = (Value, Vec<&'a str>)>,
) -> Vec<Score> {
    let all = observations();
    for (task, words) in tasks {
        let (_, replies) = converse(metric, &task, &words);
        metric
            .observe(&example(&task), &answers(replies), &all)
            .unwrap();
    }
    let own = scores();
    metric.summarize(&all, &own).unwrap();
    own.added.into_inner()
}

fn value(scores: &[Score], name: &str) -> f64 {
    let own = scores.iter().find(|score| score.name == name);
    own.unwrap_or_else(|| panic!("no score {name}")).value
}

/// The texts that the golden judge said about a task.
fn said<'a>(golden: &'a Value, texts: &str, task: usize) -> Vec<&'a str> {
    let choices = golden["choices"][texts][task].as_array().unwrap();
    let text = |at: &Value| {
        golden[texts][at.as_u64().unwrap() as usize][0]
            .as_str()
            .unwrap()
    };
    choices.iter().map(text).collect()
}

#[test]
fn the_messages_to_the_judge_are_fastchats_and_alpaca_evals() {
    let golden = golden("judge_metrics.json");
    let tasks = golden["tasks"].as_array().unwrap();
    let mut compared = [0; 3];
    for (task, messages) in tasks.iter().zip(golden["messages"].as_array().unwrap()) {
        for (at, (rules, key)) in [
            ("mt-bench", "pair"),
            ("alpaca-eval", "alpaca_eval"),
            ("alpaca-eval-2", "alpaca_eval_2"),
        ]
        .into_iter()
        .enumerate()
        {
            if messages[key].is_null() {
                continue;
            }
            let task = if at == 0 {
                task.clone()
            } else {
                first_turn(task)
            };
            let (asked, _) = converse(&metric(json!({ "rules": rules })), &task, &["", "", "", ""]);
            assert_eq!(hashes(&asked), messages[key], "{rules} {}", task["turns"]);
            compared[at] += 1;
        }
    }
    assert!(compared[0] == 80 && compared[1] > 50 && compared[2] > 50);
}

#[test]
fn reads_verdicts_as_fastchat_and_alpaca_eval_do() {
    let golden = golden("judge_metrics.json");
    let letters = golden["winners"].as_array().unwrap();
    let rankings = golden["rankings"].as_array().unwrap();
    assert!(letters.len() >= 1000 && rankings.len() >= 1000);
    for row in letters {
        let expected = match row[1].as_str().unwrap() {
            "A" => Some(Verdict::First),
            "B" => Some(Verdict::Second),
            "tie" => Some(Verdict::Tie),
            _ => None,
        };
        let words = row[0].as_str().unwrap();
        assert_eq!(verdict::letter(words), expected, "{words:?}");
    }
    let mut wrong = Vec::new();
    for row in rankings {
        let expected = match row[1].as_u64() {
            Some(1) => Some(Verdict::First),
            Some(_) => Some(Verdict::Second),
            None => None,
        };
        let words = row[0].as_str().unwrap();
        if verdict::ranking(words) != expected {
            wrong.push((words, expected));
        }
    }
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
    for (words, expected) in [
        ("m", Some(Verdict::First)),
        (" M\n", Some(Verdict::Second)),
        ("mM", None),
        ("model m", None),
        ("", None),
    ] {
        assert_eq!(verdict::name(words), expected, "{words:?}");
    }
}

#[test]
fn scores_are_those_of_fastchats_show_result() {
    let golden = golden("judge_metrics.json");
    let tasks = golden["tasks"].as_array().unwrap().iter().enumerate();
    let tasks = tasks.map(|(at, task)| (task.clone(), said(&golden, "winners", at)));
    let scores = scored(&metric(json!({})), tasks);
    let expected = golden["scores"]["fastchat_pair"].as_object().unwrap();
    assert_eq!(scores.len(), expected.len());
    for (name, expected) in expected {
        let (own, expected) = (value(&scores, name), expected.as_f64().unwrap());
        assert!((own - expected).abs() < 1e-9, "{name} {own} {expected}");
    }
    assert!(scores.iter().all(|score| score.standard_error.is_some()));
    let up: Vec<bool> = scores.iter().map(|score| score.higher_is_better).collect();
    assert_eq!(up, [true, false, false, true, false, false]);
}

#[test]
fn the_adjusted_win_rate_is_alpaca_evals_over_both_orders() {
    let golden = golden("judge_metrics.json");
    let tasks = golden["tasks"].as_array().unwrap().iter().enumerate();
    let tasks = tasks.map(|(at, task)| (first_turn(task), said(&golden, "rankings", at)));
    let scores = scored(&metric(json!({ "rules": "alpaca-eval" })), tasks);
    let expected = golden["scores"]["alpaca_eval"].as_f64().unwrap();
    let own = value(&scores, "win_rate_adjusted");
    assert!((own - expected).abs() < 1e-9, "{own} {expected}");
    assert!(value(&scores, "unparsed") > 0.0);
}

#[test]
fn a_win_takes_both_orders() {
    let row = json!({ "question": "q", "baseline": "b", "model": ["a"] });
    let outcome = |first, second| {
        let scores = scored(&metric(json!({})), [(row.clone(), vec![first, second])]);
        match scores.len() {
            1 => "unparsed".to_owned(),
            _ => {
                let bias = value(&scores, "position_bias");
                format!("{:?} {bias}", value(&scores, "win_rate_adjusted"))
            }
        }
    };
    assert_eq!(outcome("[[A]]", "[[B]]"), "1.0 0");
    assert_eq!(outcome("[[B]]", "[[A]]"), "0.0 0");
    assert_eq!(outcome("[[A]]", "[[A]]"), "0.5 1");
    assert_eq!(outcome("[[C]]", "[[C]]"), "0.5 0");
    assert_eq!(outcome("[[C]]", "[[B]]"), "0.5 1");
    assert_eq!(outcome("[[A]]", "better: A"), "unparsed");
}

#[test]
fn asks_for_both_turns_in_both_orders() {
    let row = json!({
        "turns": ["q1", "q2"], "baseline": ["b1", "b2"], "model": ["a1", "{answer_b_2}"], "category": "stem",
    });
    let words = ["[[A]]", "[[B]]", "[[B]]", "[[B]]"];
    let metric = metric(json!({}));
    let (asked, replies) = converse(&metric, &row, &words);
    let kinds: Vec<_> = asked.iter().map(|own| own[0].as_str().unwrap()).collect();
    assert_eq!(kinds, ["chat", "chat", "judge", "judge", "judge", "judge"]);
    assert_eq!(asked[1][1].as_array().unwrap().len(), 3);
    let how = json!({ "max-tokens": 1024, "temperature": 0.1, "samples": 1 });
    assert_eq!(asked[0][2], how);
    let judging = json!({ "max-tokens": 2048, "temperature": 0.0, "samples": 1 });
    assert_eq!(asked[5][2], judging);
    let swapped = asked[5][1][1]["content"].as_str().unwrap();
    assert!(swapped.contains("### Assistant A:\nb2\n") && swapped.contains("B:\n{answer_b_2}\n"));

    let all = observations();
    metric
        .observe(&example(&row), &answers(replies), &all)
        .unwrap();
    assert_eq!(all.values("win_rate"), [(1.0, 2.0)]);
    assert_eq!(all.values("tie_rate"), [(1.0, 2.0)]);
    assert_eq!(all.values("position_bias"), [(1.0, 2.0)]);
    let notes = all.notes.borrow();
    let names: Vec<&str> = notes.iter().map(|own| own.0.as_str()).collect();
    let turn = ["judgment_1", "judgment_1_swapped", "outcome_1"];
    assert_eq!(names[..3], turn);
    assert_eq!(notes[2].1, "win");
    assert_eq!(notes[5], ("outcome_2".into(), "tie".into()));
}

#[test]
fn equal_answers_are_a_tie_by_alpaca_evals_rules() {
    let row = json!({ "instruction": "q", "baseline": "a", "model": ["a"] });
    let metric = metric(json!({ "rules": "alpaca-eval-2" }));
    assert_eq!(converse(&metric, &row, &[]).0.len(), 1);
    let scores = scored(&metric, [(row, vec![])]);
    let names: Vec<&str> = scores.iter().map(|score| score.name.as_str()).collect();
    let expected = [
        "win_rate",
        "tie_rate",
        "loss_rate",
        "win_rate_adjusted",
        "unparsed",
    ];
    assert_eq!(names, expected);
    assert_eq!(value(&scores, "tie_rate"), 1.0);

    let row = json!({ "instruction": "q", "baseline": "b", "model": ["a"] });
    let (asked, _) = converse(&metric, &row, &["m", "M"]);
    assert_eq!(
        asked[0][2],
        json!({ "max-tokens": 2048, "temperature": 0.7, "samples": 1 })
    );
    assert_eq!(
        asked[1][2],
        json!({ "max-tokens": 1, "temperature": 0.0, "samples": 1 })
    );
}

#[test]
fn refuses_in_words() {
    let ask = |settings: Value, row: Value| {
        let asked = metric(settings).ask(&example(&row), &answers(Vec::new()), &questions());
        asked.unwrap_err()
    };
    let row = json!({ "turns": ["a", "b"], "baseline": ["c"] });
    assert_eq!(
        ask(json!({}), row.clone()),
        "column `baseline` holds 1 answers to 2 turns"
    );
    let refused = ask(json!({ "rules": "alpaca-eval" }), row);
    assert_eq!(
        refused,
        "column `turns` holds 2 turns; AlpacaEval's rules are for one"
    );
    let refused = ask(json!({}), json!({ "question": "a" }));
    assert_eq!(refused, "column `baseline` is missing; there are: question");
    let metric = metric(json!({ "prompts": { "turn_1": { "template": "{answer}" } } }));
    let row = example(&json!({ "question": "a", "baseline": "b" }));
    let replies = answers(vec![Reply::texts(&["c"])]);
    let refused = metric.ask(&row, &replies, &questions()).unwrap_err();
    assert!(
        refused.starts_with("prompt has a place `{answer}`; there are: question, "),
        "{refused}"
    );
}
