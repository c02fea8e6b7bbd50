//! Against lm-eval's own classes, on the texts of `tests/golden/answer_filters.json`.

use serde_json::Value;

use super::*;

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/answer_filters.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn at(list: &Value, index: &Value) -> String {
    text(&list[index.as_u64().unwrap() as usize]).to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|one| text(one).to_owned()).collect()
}

/// None where lm-eval stops with an error, since there are too few matches: here it is as if nothing
/// matched.
fn check(seen: &str, expected: &Value, fallback: &str, case: &Value) {
    let expected = expected.as_str().unwrap_or(fallback);
    assert_eq!(seen, expected, "{case}");
}

#[test]
fn patterns_find_what_pythons_find() {
    let golden = golden();
    let cases = list(&golden["regex"]);
    assert!(cases.len() >= 1000);
    for case in cases {
        let fallback = at(&golden["fallbacks"], &case[2]);
        let extract = Extract {
            pattern: Some(at(&golden["patterns"], &case[0])),
            group_select: case[1].as_i64().unwrap(),
            fallback: fallback.clone(),
            ..Extract::default()
        };
        let said = at(&golden["texts"], &case[3]);
        let seen = extract.one(&said, &[]);
        let pattern = extract.pattern.unwrap();
        let seen = seen.unwrap_or_else(|error| panic!("{pattern} on {said}: {error}"));
        check(
            &seen,
            &case[4],
            &fallback,
            &Value::from(vec![pattern, said]),
        );
    }
}

#[test]
fn choices_are_found_as_lm_eval_finds_them() {
    let golden = golden();
    let cases = list(&golden["multi_choice"]);
    assert!(cases.len() >= 1000);
    for case in cases {
        let extract = Extract {
            pattern: Some(at(&golden["patterns"], &case[0])),
            group_select: case[1].as_i64().unwrap(),
            multiple_choice: Some(MultipleChoice {
                ignore_case: case[3].as_bool().unwrap(),
                ignore_punctuation: case[4].as_bool().unwrap(),
                regexes_to_ignore: texts(&case[5]),
            }),
            ..Extract::default()
        };
        let choices = texts(&golden["choices"][case[2].as_u64().unwrap() as usize]);
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        let said = match &case[6] {
            Value::String(said) => said.clone(),
            index => at(&golden["texts"], index),
        };
        let seen = extract.one(&said, &choices).unwrap();
        check(&seen, &case[7], &extract.fallback, case);
    }
}

#[test]
fn case_and_spaces_are_pythons() {
    let golden = golden();
    for (name, lowercase) in [("lower", true), ("strip", false)] {
        let mut expected = texts(&golden["texts"]);
        for case in list(&golden[name]) {
            expected[case[0].as_u64().unwrap() as usize] = text(&case[1]).to_owned();
        }
        let extract = Extract {
            lowercase,
            strip: !lowercase,
            ..Extract::default()
        };
        let all = texts(&golden["texts"]);
        let short = |said: &str| said.chars().count() < 100;
        let pairs = all.iter().zip(expected).filter(|pair| short(pair.0));
        for (said, expected) in pairs {
            assert_eq!(extract.one(said, &[]).unwrap(), expected);
        }
    }
}

#[test]
fn the_majority_is_lm_evals() {
    let golden = golden();
    let extract = Extract {
        take: Take::Majority,
        ..Extract::default()
    };
    for case in list(&golden["majority"]) {
        let drawn = list(&case[0]).iter().map(|i| at(&golden["texts"], i));
        let drawn: Vec<String> = drawn.collect();
        let seen = extract.answer(&drawn, &[]).unwrap();
        assert_eq!(seen, at(&golden["texts"], &case[1]));
    }
}

#[test]
fn texts_match_exactly_where_lm_eval_says_so() {
    let golden = golden();
    let cases = list(&golden["exact_match"]);
    assert!(cases.len() >= 1000);
    for case in cases {
        let ignore = Ignore {
            regexes: texts(&golden["ignores"][case[2].as_u64().unwrap() as usize]),
            case: case[3].as_bool().unwrap(),
            punctuation: case[4].as_bool().unwrap(),
            numbers: case[5].as_bool().unwrap(),
        };
        let [said, right] = [0, 1].map(|i| ignore.reduce(text(&case[i])).unwrap());
        assert_eq!(said == right, case[6] == 1, "{case}");
    }
}

#[test]
fn cuts_come_before_the_pattern() {
    let extract: Extract = serde_json::from_value(serde_json::json!({
        "after": "Response: ", "until": ["\n\n", "###"], "pattern": r"\d+", "group_select": -1,
    }))
    .unwrap();
    let one = |said| extract.one(said, &[]).unwrap();
    assert_eq!(one("1 Response: 2 3\n\n4 Response: 5"), "3");
    assert_eq!(one("7 ### 8"), "7");
    assert_eq!(one("Response: \n\n9"), "[invalid]");
}

#[test]
fn a_pattern_that_does_not_end_is_refused_in_words() {
    let extract = Extract::by_pattern(r"(a+)+\1b$", 0);
    let error = extract.one(&"a".repeat(5000), &[]).unwrap_err();
    assert!(error.contains("steps back"), "{error}");
    for broken in ["(", "[a", "a)", r"\q", "(?P<n", "a(?i)b", "[z-a]", r"\"] {
        let error = Extract::by_pattern(broken, 0).one("a", &[]).unwrap_err();
        assert!(error.starts_with("pattern `"), "{error}");
    }
}
