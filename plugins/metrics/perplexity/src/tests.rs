use folkmoot_sdk::native::evaluation::{Reply, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;

fn example(row: &Value) -> Example {
    Example::from_json(&row.to_string()).unwrap()
}

#[test]
fn scores_are_those_of_lm_evaluation_harness() {
    let golden = include_str!("../../../../tests/golden/class_metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let (mut examples, mut worst) = (0, 0.0f64);
    for (index, case) in golden["perplexity"].as_array().unwrap().iter().enumerate() {
        let column = ["continuation", "text"][index % 2];
        let observed = observations();
        let rows = case["rows"].as_array().unwrap();
        for row in rows {
            let text = &golden["texts"][row[0].as_u64().unwrap() as usize];
            let reply =
                Reply::likelihood(row[1].as_f64().unwrap(), row[2].as_u64().unwrap() as u32);
            let example = example(&json!({ column: text, "prompt": "p" }));
            Perplexity {}
                .observe(&example, &answers(vec![reply]), &observed)
                .unwrap();
            examples += 1;
        }
        let given = scores();
        Perplexity {}.summarize(&observed, &given).unwrap();
        let given = given.added.into_inner();
        for info in Perplexity::SCORES {
            let score = given.iter().find(|score| score.name == info.name);
            match case["scores"][info.name].as_f64() {
                Some(expected) => {
                    let score = score.unwrap();
                    let off = (score.value / expected - 1.0).abs();
                    worst = worst.max(off);
                    assert!(off < 1e-11, "{score:?} {expected}");
                }
                None => assert_eq!(score, None),
            }
        }
        if rows.len() == 1 {
            assert!(given.iter().all(|score| score.standard_error.is_none()));
        } else {
            assert!(given[0].standard_error.is_some());
        }
    }
    println!("{examples} examples, worst relative difference {worst:e}");
    assert!(examples > 1000);
}

#[test]
fn a_text_is_scored_whole_where_there_is_no_response() {
    let asked = |row: Value| {
        let asked = questions();
        let done = Perplexity {}.ask(&example(&row), &answers(vec![]), &asked);
        done.map(|()| asked.asked.into_inner().remove(0))
    };
    assert_eq!(asked(json!({ "text": "t" })).unwrap(), "perplexity t");
    let row = json!({ "text": "t", "continuation": "c", "prompt": "p" });
    assert_eq!(asked(row).unwrap(), "likelihood p|c");
    let error = asked(json!({ "x": "" })).unwrap_err();
    assert!(
        error.contains("column `continuation` is missing"),
        "{error}"
    );
}

#[test]
fn nothing_to_score_is_refused() {
    let observed = observations();
    let reply = answers(vec![Reply::likelihood(0.0, 0)]);
    Perplexity {}
        .observe(&example(&json!({ "text": "" })), &reply, &observed)
        .unwrap();
    let error = Perplexity {}.summarize(&observed, &scores()).unwrap_err();
    assert!(
        error.starts_with("there are no tokens to be scored"),
        "{error}"
    );
}
