use folkmoot_sdk::native::evaluation::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;
use shared::golden;

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

fn metric(settings: Value) -> PassAtK {
    serde_json::from_value(settings).unwrap()
}

fn problem() -> Example {
    let row = json!({
        "prompt": "def f(x):\n", "entry_point": "f", "test": "def check(g):\n    assert g(1) == 2",
        "test_list": ["assert f(1) == 2", "assert f(2) == 3"], "setup": "import math",
    });
    Example::from_json(&row.to_string()).unwrap()
}

fn ran(failure: &str) -> Reply {
    Reply {
        succeeded: failure.is_empty(),
        failure: failure.into(),
        ..Reply::default()
    }
}

#[test]
fn the_estimate_is_human_evals() {
    let golden = golden("answer_metrics.json");
    let cases = golden["pass_at_k"].as_array().unwrap();
    assert!(cases.len() >= 1000);
    for case in cases {
        let [n, c, k] = [0, 1, 2].map(|i| case[i].as_u64().unwrap() as u32);
        let expected = case[3].as_f64().unwrap();
        assert!((estimate(n, c, k) - expected).abs() < 1e-12, "{case}");
    }
}

#[test]
fn samples_are_asked_for_then_run_once_each() {
    let (metric, asked) = (metric(json!({"samples": 3, "k": [1, 2]})), questions());
    metric.ask(&problem(), &answers(vec![]), &asked).unwrap();
    let said = Reply::texts(&["    return x+1\n", "    return x\n# no", "    return x+1\n"]);
    let so_far = answers(vec![said.clone()]);
    metric.ask(&problem(), &so_far, &asked).unwrap();
    let all = answers(vec![said, ran(""), ran("AssertionError")]);
    metric.ask(&problem(), &all, &asked).unwrap();
    let stop = serde_json::to_string(Assembly::Humaneval.stop()).unwrap();
    let program = |body: &str| {
        format!(
            "execute python 3000 import math\ndef f(x):\n{body}\ndef check(g):\n    assert g(1) == 2\ncheck(f)"
        )
    };
    assert_eq!(
        asked.asked.take(),
        [
            format!(
                "generate def f(x):\n {{\"max-tokens\":512,\"stop\":{stop},\"temperature\":0.2,\"top-p\":0.95,\"samples\":3}}"
            ),
            program("    return x+1\n"),
            program("    return x"),
        ]
    );
    let (observed, scores) = (observations(), scores());
    metric.observe(&problem(), &all, &observed).unwrap();
    metric.summarize(&observed, &scores).unwrap();
    let notes = observed.notes.take();
    let note = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(
        notes,
        [
            note("failure_1", "AssertionError"),
            note("passed", "2 of 3")
        ]
    );
    let score = |name: &str, value| Score {
        name: name.into(),
        value,
        higher_is_better: true,
        standard_error: None,
    };
    assert_eq!(
        scores.added.take(),
        [
            score("pass_at_1", estimate(3, 2, 1)),
            score("pass_at_2", 1.0)
        ]
    );
}

#[test]
fn too_few_samples_are_refused() {
    let few = metric(json!({"samples": 1, "k": [1, 10]}));
    let error = few
        .ask(&problem(), &answers(vec![]), &questions())
        .unwrap_err();
    assert_eq!(error, "`samples` is 1, but `k` goes up to 10");
    let all = answers(vec![Reply::texts(&["x"]), ran("")]);
    let error = few.observe(&problem(), &all, &observations()).unwrap_err();
    assert_eq!(error, "there are 1 samples, too few for pass@10");
}

#[test]
fn samples_are_cut_and_joined() {
    let stop: Vec<String> = Assembly::Humaneval
        .stop()
        .iter()
        .map(|&s| s.into())
        .collect();
    let cut = |text, block| program::cut(text, &stop, block);
    assert_eq!(cut("  return 1\n\ndef g():\nif", false), "  return 1\n");
    assert_eq!(cut("a\nprint(1)\nclass", false), "a");
    assert_eq!(
        cut(
            "Here:\n```python\nx = 1\nif x: pass\n```\nmore\n```\ny\n```",
            true
        ),
        "x = 1\nif x: pass\n"
    );
    assert_eq!(cut("```\nx\n```", true), "x\n");
    assert_eq!(cut("```py\n```", true), "");
    assert_eq!(cut("```python\nx = 1\nprint(x)", true), "x = 1\nprint(x)");
    assert_eq!(cut("x\nif y", true), "x");
    assert_eq!(cut("say ``` inline\nif", true), "say ``` inline");
    assert_eq!(cut("```", true), "```");
    let join = |assembly| program::assemble(assembly, &problem(), "C", ("prompt", "none")).unwrap();
    assert_eq!(
        join(Assembly::Mbpp),
        "C\nassert f(1) == 2\nassert f(2) == 3"
    );
    let test = "def check(g):\n    assert g(1) == 2\ncheck(f)";
    assert_eq!(join(Assembly::Completion), format!("C\n{test}"));
    assert_eq!(join(Assembly::Humaneval), format!("def f(x):\nC\n{test}"));
}
