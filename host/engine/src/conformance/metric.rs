//! The cases of a metric, on made-up examples or given ones, with made-up answers.

use std::time::Instant;

use folkmoot_plugin::{
    Failure, Metric, Observations, Observed, PluginError, Question, Reply, Score,
};
use serde_json::{Value, json};

use super::timing::Seconds;
use super::transcript::Transcript;
use super::{Candidate, Finding, Host, Tell, Verdict};

/// How often a metric may ask on about one example.
const TURNS: usize = 16;

/// What the model, the judge and the sandbox say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Now right, now wrong.
    Mixed,
    Nothing,
    /// Texts in several scripts, with combining marks and emoji.
    Strange,
    /// A hundred thousand characters.
    Long,
}

/// A row with the columns that metrics ask for.
fn example(row: u64) -> Value {
    let reference = ["Paris", "42", "B", "the red fox"][(row % 4) as usize];
    let category = ["writing", "reasoning"][(row % 2) as usize];
    json!({
        "prompt": format!("Question {row}?"),
        "question": format!("Question {row}?"),
        "reference": reference,
        "response": reference,
        "answer": row % 4,
        "label": reference,
        "continuation": format!(" {reference}"),
        "choices": ["Paris", "42", "B", "the red fox"],
        "category": category,
        "baseline": "I do not know.",
        "value": 0.5 + (row % 3) as f64 / 10.0,
        "entry_point": "answer",
        "test": "def check(own):\n    assert own() == 42",
        "chosen_continuation": " yes",
        "rejected_continuation": " no",
        "chosen_reference": -3.5,
        "rejected_reference": -4.0,
    })
}

pub(super) fn examples(candidate: &Candidate, count: u64) -> Vec<Value> {
    match &candidate.examples {
        Some(rows) => rows.iter().take(count as usize).cloned().collect(),
        None => (0..count).map(example).collect(),
    }
}

/// An answer that depends on the row, the question's place and its kind.
fn reply(example: &Value, row: usize, place: usize, question: &Question, said: Said) -> Reply {
    let right = match &example["reference"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = |sample: usize| match (said, (row + place + sample) % 3) {
        (Said::Nothing, _) => String::new(),
        (Said::Strange, _) => "Ünïcode e\u{301} 漢字 \u{202e}abc 👩‍👩‍👧 \0".repeat(1 + sample),
        (Said::Long, _) => "word ".repeat(20_000),
        (Said::Mixed, 0) => right.clone(),
        (Said::Mixed, 1) => format!("The answer is {right}."),
        (Said::Mixed, _) => "something else".to_owned(),
    };
    let samples = match question {
        Question::Generate { how, .. } | Question::Judge { how, .. } => how.samples as usize,
        _ => 0,
    };
    let texts = (0..samples).map(|sample| match question {
        Question::Judge { .. } if said == Said::Mixed => {
            format!(
                "A fair answer. Rating: [[{}]] [[A]]",
                1 + (row + sample) % 10
            )
        }
        _ => text(sample),
    });
    Reply {
        texts: texts.collect(),
        log_likelihood: -0.5 - ((row * 7 + place * 3) % 11) as f64,
        tokens: 1 + (row % 5) as u32,
        greedy: row.is_multiple_of(2),
        succeeded: row.is_multiple_of(2) && said == Said::Mixed,
        output: text(0),
        failure: match row.is_multiple_of(2) {
            true => String::new(),
            false => "AssertionError".to_owned(),
        },
    }
}

/// What came of asking about one example to the end.
struct Interview {
    questions: Vec<Question>,
    /// Calls of `ask`.
    turns: usize,
    observed: Observed,
    /// What the calls took.
    ask_seconds: f64,
    observe_seconds: f64,
}

/// Asks about `example`, whose replies depend on its `row`, until there is no question left.
fn interview(
    metric: &Metric,
    row: usize,
    example: &Value,
    said: Said,
) -> Result<Interview, PluginError> {
    let text = example.to_string();
    let mut replies: Vec<Reply> = Vec::new();
    let mut questions: Vec<Question> = Vec::new();
    let mut ask_seconds = 0.0;
    for turn in 1..=TURNS {
        let started = Instant::now();
        let asked = metric.ask(&text, &replies)?;
        ask_seconds += started.elapsed().as_secs_f64();
        if asked.is_empty() {
            let started = Instant::now();
            let observed = metric.observe(&text, &replies)?;
            return Ok(Interview {
                questions,
                turns: turn,
                observed,
                ask_seconds,
                observe_seconds: started.elapsed().as_secs_f64(),
            });
        }
        for question in asked {
            let own = reply(example, row, replies.len(), &question, said);
            replies.push(own);
            questions.push(question);
        }
    }
    Err(PluginError::Call {
        plugin: metric.plugin().name.clone(),
        call: "ask",
        failure: Failure::BadOutput {
            cause: format!("it still asks after {TURNS} turns about one example"),
        },
    })
}

/// Asks about each example, which comes with its row.
fn observe<'a>(
    metric: &Metric,
    examples: impl Iterator<Item = (usize, &'a Value)>,
    said: Said,
) -> Result<Vec<Interview>, PluginError> {
    let all = examples.map(|(row, example)| interview(metric, row, example, said));
    all.collect()
}

/// What is observed with mixed answers, and seconds of a call of `ask` and of `observe` in the mean.
pub(super) fn observe_timed(
    metric: &Metric,
    examples: &[Value],
) -> Result<(Vec<Observed>, Seconds), PluginError> {
    let (mut ask, mut turns, mut observe) = (0.0, 0_usize, 0.0);
    let mut all = Vec::new();
    for (row, example) in examples.iter().enumerate() {
        let own = interview(metric, row, example, Said::Mixed)?;
        ask += own.ask_seconds;
        turns += own.turns;
        observe += own.observe_seconds;
        all.push(own.observed);
    }
    let seconds = vec![
        ("ask", ask / turns.max(1) as f64),
        ("observe", observe / examples.len().max(1) as f64),
    ];
    Ok((all, seconds))
}

fn scores(metric: &Metric, all: &[Interview]) -> Result<Vec<Score>, PluginError> {
    let observed = all.iter().map(|own| own.observed.clone());
    metric.summarize(&Observations::from_iter(observed))
}

pub(super) fn transcript(
    metric: &Metric,
    candidate: &Candidate,
) -> Result<Transcript, PluginError> {
    let mut transcript = Transcript::default();
    let examples = examples(candidate, 40);
    let all = observe(metric, examples.iter().enumerate(), Said::Mixed)?;
    for (row, own) in all.iter().enumerate() {
        transcript.add(format!("`ask` about example {row}"), |digest| {
            let asked = format!("{:?}", (own.turns, &own.questions));
            digest.bytes(asked.as_bytes());
        });
        transcript.add(format!("`observe` of example {row}"), |digest| {
            digest.bytes(format!("{:?}", own.observed).as_bytes());
        });
    }
    let scores = scores(metric, &all)?;
    transcript.add("`summarize`".into(), |digest| {
        for score in scores {
            digest.bytes(score.name.as_bytes());
            digest.number(score.value);
            digest.number(score.standard_error.unwrap_or(-1.0));
        }
    });
    Ok(transcript)
}

fn load(candidate: &Candidate) -> Result<Metric, PluginError> {
    Metric::new((candidate.load)(Host::Reused)?, &candidate.settings)
}

pub(super) fn conform(candidate: &Candidate, tell: Tell) -> Result<Vec<Finding>, PluginError> {
    let metric = load(candidate)?;
    let mut findings = Vec::new();
    let mut found = |case: &str, verdict: Verdict| {
        let finding = Finding::new(case, verdict);
        tell(&finding);
        findings.push(finding);
    };
    let cases = [
        ("sixty examples", 60, Said::Mixed),
        ("one example", 1, Said::Mixed),
        ("empty answers", 12, Said::Nothing),
        ("answers in many scripts", 12, Said::Strange),
        ("answers of a hundred thousand characters", 2, Said::Long),
    ];
    for (case, count, said) in cases {
        let examples = examples(candidate, count);
        let seen = observe(&metric, examples.iter().enumerate(), said).and_then(|all| {
            let asked: usize = all.iter().map(|own| own.questions.len()).sum();
            let scores = scores(&metric, &all)?;
            declared(&metric, &scores)?;
            let scores = scores
                .iter()
                .map(|score| format!("{} {:.4}", score.name, score.value));
            let scores: Vec<String> = scores.collect();
            Ok(format!(
                "{asked} questions about {}: {}",
                all.len(),
                scores.join(", ")
            ))
        });
        found(case, Verdict::of(seen));
    }
    found("examples in another order", reordered(candidate, &metric));
    Ok(findings)
}

/// Whether what comes of an example depends on those before it: the last one first, each with the replies that it had.
fn reordered(candidate: &Candidate, metric: &Metric) -> Verdict {
    let examples = examples(candidate, 40);
    let forwards = observe(metric, examples.iter().enumerate(), Said::Mixed);
    let (forwards, expected) = match forwards.and_then(|all| with_scores(metric, all)) {
        Ok(forwards) => forwards,
        Err(error) => return Verdict::of(Err(error)),
    };
    // Loaded anew, since a library may have kept what it saw first.
    let backwards = load(candidate).and_then(|metric| {
        let mut all = observe(&metric, examples.iter().enumerate().rev(), Said::Mixed)?;
        all.reverse();
        with_scores(&metric, all)
    });
    let (backwards, scores) = match backwards {
        Ok(backwards) => backwards,
        Err(error) => {
            return Verdict::Broken(format!("in one order it answered, and in another: {error}"));
        }
    };
    let mut pairs = forwards.iter().zip(&backwards);
    let other = match pairs.position(|(own, other)| own.observed != other.observed) {
        Some(row) => format!("other observations of example {row}"),
        None if expected != scores => "other scores".to_owned(),
        None => return Verdict::Held("the same scores, bit for bit".into()),
    };
    Verdict::Broken(format!(
        "{other}\n\nhint: what `observe` adds must depend on its example alone"
    ))
}

fn with_scores(
    metric: &Metric,
    all: Vec<Interview>,
) -> Result<(Vec<Interview>, Vec<Score>), PluginError> {
    let scores = scores(metric, &all)?;
    Ok((all, scores))
}

/// Every score that is given is one that the plugin says it gives, the right way up.
fn declared(metric: &Metric, scores: &[Score]) -> Result<(), PluginError> {
    let plugin = metric.plugin();
    let bad = |cause: String| PluginError::Call {
        plugin: plugin.name.clone(),
        call: "summarize",
        failure: Failure::BadOutput { cause },
    };
    if scores.is_empty() {
        return Err(bad("no score".into()));
    }
    for score in scores {
        if !plugin.gives(&score.name) {
            return Err(bad(format!(
                "score `{}` is none of those that `describe` lists",
                score.name
            )));
        }
        let own = plugin.scores().into_iter();
        let own = own.filter(|info| info.name == score.name);
        if let Some(info) = own
            .into_iter()
            .find(|info| info.higher_is_better != score.higher_is_better)
        {
            return Err(bad(format!(
                "score `{}` says higher is {}, `describe` says the opposite",
                info.name,
                if score.higher_is_better {
                    "better"
                } else {
                    "worse"
                }
            )));
        }
    }
    Ok(())
}
