use folkmoot_sdk::native::evaluation::{
    Questions as Asked, Reply, Score, answers, observations, questions, scores,
};
use serde_json::{Value, json};

use super::*;
use shared::golden;

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

fn metric(settings: Value) -> MultipleChoice {
    serde_json::from_value(settings).unwrap()
}

fn example(row: &Value) -> Example {
    Example::from_json(&row.to_string()).unwrap()
}

fn score(metric: &MultipleChoice, row: &Value, replies: Vec<Reply>) -> Vec<Score> {
    let (observed, scores) = (observations(), scores());
    let replies = answers(replies);
    metric.observe(&example(row), &replies, &observed).unwrap();
    metric.summarize(&observed, &scores).unwrap();
    scores.added.take()
}

#[test]
fn likelihoods_choose_as_in_lm_eval() {
    let golden = golden("answer_metrics.json");
    let cases = golden["multiple_choice"].as_array().unwrap();
    assert!(cases.len() >= 1000);
    let metric = metric(json!({"mutual_info": true}));
    for case in cases {
        let row = json!({"prompt": "p", "choices": case[0], "answer": case[1]});
        let likelihoods = [&case[2], &case[3]].into_iter();
        let likelihoods = likelihoods.flat_map(|values| values.as_array().unwrap());
        let replies = likelihoods.map(|value| Reply::likelihood(value.as_f64().unwrap(), 1));
        let seen = score(&metric, &row, replies.collect());
        let names: Vec<&str> = seen.iter().map(|score| score.name.as_str()).collect();
        assert_eq!(names, NAMES);
        let seen: Vec<f64> = seen.iter().map(|score| score.value).collect();
        let expected = case[4].as_array().unwrap().iter();
        let expected: Vec<f64> = expected.map(|hit| hit.as_f64().unwrap()).collect();
        assert_eq!(seen, expected, "{case}");
    }
}

#[test]
fn asks_for_each_choice_and_without_the_prompt() {
    let row = json!({"prompt": "Sky?", "choices": ["blue", "red"], "answer": 0});
    let asked = |settings| {
        let asked: Asked = questions();
        let so_far = answers(vec![]);
        metric(settings)
            .ask(&example(&row), &so_far, &asked)
            .unwrap();
        asked.asked.take()
    };
    assert_eq!(
        asked(json!({"mutual_info": true})),
        [
            "likelihood Sky?| blue",
            "likelihood Sky?| red",
            "likelihood | blue",
            "likelihood | red"
        ]
    );
    assert_eq!(
        asked(json!({"by": "letter", "target_delimiter": "\n"})),
        ["likelihood Sky?|\nA", "likelihood Sky?|\nB"]
    );
    assert_eq!(
        asked(json!({"by": "generation"})),
        [r#"generate Sky? {"max-tokens":8,"temperature":0.0,"samples":1}"#]
    );
}

#[test]
fn the_answer_is_a_place_a_letter_or_a_text() {
    let right = |choices: Value, answer: Value| {
        let row = json!({"choices": choices, "answer": answer});
        Question::read(&example(&row), "choices", "answer", 0).map(|question| question.right)
    };
    let list = json!(["x", "y", "A"]);
    for (answer, place) in [
        (json!(1), 1),
        (json!("B"), 1),
        (json!("b"), 1),
        (json!("y"), 1),
        (json!("A"), 2),
        (json!("0"), 0),
    ] {
        assert_eq!(right(list.clone(), answer), Ok(vec![place]));
    }
    assert_eq!(right(list.clone(), json!([0, "y"])), Ok(vec![0, 1]));
    assert_eq!(right(json!({"A": "x", "B": "y"}), json!("B")), Ok(vec![1]));
    let arc = json!({"text": ["x", "y"], "label": ["1", "2"]});
    assert_eq!(right(arc, json!("2")), Ok(vec![1]));
    for answer in [
        json!(3),
        json!("z"),
        json!(-1),
        json!(1.5),
        json!(null),
        json!([]),
    ] {
        let error = right(list.clone(), answer).unwrap_err();
        assert!(error.contains("`answer`"), "{error}");
    }
    let one_based = json!({"choices": ["x", "y"], "answer": 1});
    let question = Question::read(&example(&one_based), "choices", "answer", 1).unwrap();
    assert_eq!(question.right, [0]);
    assert!(right(json!(["x"]), json!(0)).is_err());
}

#[test]
fn letters_are_read_by_both_rules() {
    let row = json!({"prompt": "", "choices": ["w", "x", "y", "z"], "answer": "B"});
    let hit = |rule: &str, said: &str| {
        let metric = metric(json!({"by": "generation", "read": rule}));
        score(&metric, &row, vec![Reply::texts(&[said])])[0].value
    };
    for (said, first, starts) in [
        ("B", 1.0, 1.0),
        (" B.", 1.0, 1.0),
        ("b", 1.0, 0.0),
        ("(B)", 1.0, 0.0),
        ("Bad", 1.0, 1.0),
        ("**B**", 1.0, 0.0),
        ("The answer is B", 0.0, 0.0),
        ("é B", 1.0, 0.0),
        ("", 0.0, 0.0),
        ("...", 0.0, 0.0),
        ("A\n## B\nC", 1.0, 0.0),
    ] {
        assert_eq!(hit("first-character", said), first, "{said}");
        assert_eq!(hit("starts-with", said), starts, "{said}");
    }
}

#[test]
fn the_largest_is_numpys() {
    let of = |values: &[f64]| argmax(values.iter().copied());
    assert_eq!(of(&[1.0, 3.0, 3.0]), Some(1));
    assert_eq!(of(&[f64::NEG_INFINITY, f64::NEG_INFINITY]), Some(0));
    assert_eq!(of(&[1.0, f64::NAN, 2.0, f64::NAN]), Some(1));
    assert_eq!(of(&[]), None);
}
