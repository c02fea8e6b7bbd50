use serde_json::json;

use super::{Dataset, Labels, Meaning, OnBroken, Role, Shape};
use crate::table::{Format, Table};

const ROWS: &[u8] = br#"{"instruction": "a", "response": "b", "label": "pos"}
{"instruction": "a", "response": " "}
{"instruction": "a", "response": 7, "label": "pos"}
{"instruction": "a", "label": "pos"}
{"instruction": "c", "response": "d", "label": "ngative"}
{"instruction": "e", "respo
{"instruction": "a", "response": "b", "label": "pos"}
{"instruction": "e", "response": "", "label": "pos"}
"#;

fn table(text: &[u8]) -> Table {
    Table::parse(text, Format::Jsonl, &[], "x.jsonl").unwrap()
}

fn meaning() -> Meaning {
    Meaning {
        labels: Some(Labels {
            column: "label".into(),
            set: vec!["negative".into(), "pos".into()],
        }),
        distinct: vec!["instruction".into()],
        ..Meaning::default()
    }
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_shown() {
    let dataset = Dataset::new(table(ROWS), &meaning()).unwrap();
    let (sound, report) = dataset.clone().checked(&meaning(), OnBroken::Skip).unwrap();
    // The first of two equal instructions stays.
    assert_eq!(sound.rows(), [0]);
    let shown = report.to_string();
    let expected = "6 of 8 rows cannot be used
1 unreadable:
  `x.jsonl` line 6: EOF while parsing a string at column 27
1 with a field of another type:
  `x.jsonl` line 3: `response` is a number where a string was expected
1 with a label outside of the set:
  `x.jsonl` line 5: `label` is `ngative`, which is not one of `negative`, `pos`, nearest is `negative`
2 with an empty text:
  `x.jsonl` line 2: empty `response`
  `x.jsonl` line 8: empty `response`
1 without a field:
  `x.jsonl` line 4: no field `response`";
    assert_eq!(shown, expected);
    let error = dataset.checked(&meaning(), OnBroken::Stop).unwrap_err();
    assert!(error.to_string().starts_with(&shown), "{error}");
}

#[test]
fn every_shape_becomes_a_prompt_with_an_answer() {
    let example = |text: &str| {
        let dataset = Dataset::new(table(text.as_bytes()), &Meaning::default()).unwrap();
        (dataset.shape(), dataset.example(0).unwrap())
    };
    let (shape, row) = example(r#"{"instruction": "a", "input": "i", "response": "b"}"#);
    assert_eq!(shape, Shape::Instruction);
    assert_eq!(row.prompt[0].input.as_deref(), Some("i"));
    let (shape, row) = example(r#"{"instruction": "a", "label": 3}"#);
    assert_eq!(
        (shape, row.text("response").unwrap()),
        (Shape::Classification, "3")
    );
    let (shape, row) = example(r#"{"text": "b"}"#);
    assert_eq!(
        (shape, row.prompt.len(), row.text("response").unwrap()),
        (Shape::Text, 0, "b")
    );
    let chat = json!({ "messages": [
        { "from": "system", "value": "s" }, { "from": "human", "value": "a" },
        { "role": "assistant", "content": "b" }, { "role": "user", "content": "c" },
    ] });
    let (shape, row) = example(&chat.to_string());
    assert_eq!((shape, row.text("response").unwrap()), (Shape::Chat, "b"));
    assert_eq!(
        row.prompt.iter().map(|turn| turn.role).collect::<Vec<_>>(),
        [Role::System, Role::User]
    );
    let pair =
        r#"{"instruction": [{"role": "user", "content": "a"}], "chosen": "b", "rejected": "c"}"#;
    let meaning = Meaning {
        shape: Some(Shape::Preference),
        ..Meaning::default()
    };
    let dataset = Dataset::new(table(pair.as_bytes()), &meaning).unwrap();
    assert_eq!(
        dataset.example(0).unwrap().turns("rejected").unwrap()[1].content,
        "c"
    );
}

#[test]
fn what_has_no_shape_is_told_the_shapes() {
    let error = Dataset::new(table(b"{\"a\": 1}\n"), &Meaning::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("present are `a`") && error.contains("chat: `messages`"),
        "{error}"
    );
}
