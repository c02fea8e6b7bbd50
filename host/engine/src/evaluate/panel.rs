//! Who answers what metrics ask, and the asking.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_plugin::{
    ChatMessage, Generation, Metric, Observations, Observed, Prompt, Question, Reply, Score, placed,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::outcome::{named, records};
use crate::workers::Workers;

const NO_JUDGE: &str = "it asks a judge, and there is none\n\nhint: name one, as `judge` of the evaluation or with \
                        `--judge`";

const NO_PROGRAMS: &str = "it runs generated programs, which was not allowed\n\nhint: allow it with `execute = true` in \
                           the evaluation or with `--execute`: programs run in a sandbox without files, network or clock";

/// Refuses a metric that asks someone who is not there, before anything is asked.
pub fn check_helpers(metric: &Metric, judge: bool, programs: bool) -> Result<()> {
    let plugin = metric.plugin();
    ensure!(
        judge || !plugin.asks("judge"),
        "metric `{}`: {NO_JUDGE}",
        plugin.name
    );
    ensure!(
        programs || !plugin.asks("execute"),
        "metric `{}`: {NO_PROGRAMS}",
        plugin.name
    );
    Ok(())
}

/// Times a metric may ask about one example: second turns, a judge of each, programs, and room to spare.
const TURNS: usize = 8;

/// Examples that one worker observes at a time.
const CHUNK: usize = 32;

/// Bytes that a metric's questions of one turn, or its observations, may have over all examples: all are held at once.
const HELD: usize = 2 << 30;

/// Bytes of what a metric left so far, whichever thread it was on.
struct Held<'a> {
    metric: &'a Metric,
    what: &'static str,
    bytes: AtomicUsize,
}

impl<'a> Held<'a> {
    fn new(metric: &'a Metric, what: &'static str) -> Self {
        let bytes = AtomicUsize::new(0);
        Self {
            metric,
            what,
            bytes,
        }
    }

    fn add(&self, bytes: usize) -> Result<()> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        ensure!(
            before.saturating_add(bytes) <= HELD,
            "metric `{}`: {} of more than {} MiB over all examples",
            self.metric.plugin().name,
            self.what,
            HELD >> 20
        );
        Ok(())
    }
}

/// All scores of one model, in the order of the metrics.
pub type Scores = Vec<Score>;

/// Something asked of the model about one example.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The example's number.
    pub example: usize,
    /// The start of a digest of the example: what is drawn for it depends on this, not on its place.
    pub key: u64,
    /// How many of its kind were asked about the example before.
    pub nth: usize,
    pub what: What<'a>,
}

/// Which example an error is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtExample(pub(crate) usize);

impl fmt::Display for AtExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "question about example {}", self.0 + 1)
    }
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    Generate(&'a Prompt, &'a Generation),
    /// Of a continuation after a context.
    Likelihood(&'a str, &'a str),
}

/// Who is evaluated: a model here, an endpoint, or a file of outputs.
pub trait Subject: Sync {
    /// Answers in the order of the questions.
    fn answer(&self, asked: &[Asked]) -> Result<Vec<Reply>>;
}

/// A question for the judge about one example.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The example's number.
    pub example: usize,
    /// How often the judge was asked about the example before.
    pub nth: usize,
    pub messages: &'a [ChatMessage],
    pub how: &'a Generation,
}

/// Who judges answers.
pub trait Judge: Sync {
    /// What is said to each question: as many texts as samples were asked for.
    fn judge(&self, questions: &[Judged]) -> Result<Vec<Vec<String>>>;
}

/// Where generated programs run.
pub trait Programs: Sync {
    /// Runs a program; what it does is in the reply, an error is the sandbox's own.
    fn run(&self, source: &str, timeout: Duration) -> Result<Reply>;
}

/// Everyone whom a metric may ask.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub subject: &'a dyn Subject,
    pub judge: Option<&'a dyn Judge>,
    pub programs: Option<&'a dyn Programs>,
    pub workers: Workers,
}

/// An example as a metric gets it.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// File and line, for errors and the record.
    pub place: String,
    /// Its JSON object.
    pub json: String,
}

impl Example {
    /// The start of its digest.
    fn key(&self) -> u64 {
        let digest = Sha256::digest(self.json.as_bytes());
        digest[..8]
            .iter()
            .fold(0, |key, byte| key << 8 | u64::from(*byte))
    }
}

/// What a metric found on some examples.
#[derive(Clone, Default)]
pub(crate) struct Found {
    /// What was observed, example by example.
    pub observations: Observations,
    /// The answers about each example.
    pub replies: Vec<Vec<Reply>>,
}

impl Panel<'_> {
    /// The scores of `metrics` in their order; adds what was asked and answered to `lines`.
    pub(crate) fn scores(
        &self,
        metrics: &[Metric],
        examples: &[Example],
        mut lines: Option<&mut Vec<Value>>,
    ) -> Result<Scores> {
        let mut scores = Scores::new();
        for metric in metrics {
            let name = &metric.plugin().name;
            let found = self.observe(metric, examples)?;
            if let Some(lines) = &mut lines {
                lines.extend(records(name, examples, &found));
            }
            named(&mut scores, name, metric.summarize(&found.observations)?);
        }
        Ok(scores)
    }

    /// Asks what `metric` wants to know about each example, and observes the answers.
    pub(crate) fn observe(&self, metric: &Metric, examples: &[Example]) -> Result<Found> {
        let replies = self.ask(metric, examples)?;
        let chunks: Vec<usize> = (0..examples.len()).step_by(CHUNK).collect();
        let held = Held::new(metric, "observations");
        let observed = self.workers.map(chunks.len(), |chunk| {
            let own = chunks[chunk]..(chunks[chunk] + CHUNK).min(examples.len());
            let observe = |at: usize| {
                let observed = || metric.observe(&examples[at].json, &replies[at]);
                let observed = placed(at as u64, observed);
                let observed = observed.with_context(|| examples[at].place.clone())?;
                held.add(observed.bytes())?;
                Ok(observed)
            };
            own.map(observe).collect::<Result<Vec<Observed>>>()
        })?;
        let observations = observed.into_iter().flatten().collect();
        Ok(Found {
            observations,
            replies,
        })
    }

    fn ask(&self, metric: &Metric, examples: &[Example]) -> Result<Vec<Vec<Reply>>> {
        let mut replies: Vec<Vec<Reply>> = vec![Vec::new(); examples.len()];
        let mut counts: BTreeMap<(usize, &'static str), usize> = BTreeMap::new();
        let keys: Vec<u64> = examples.iter().map(Example::key).collect();
        let mut asking: Vec<usize> = (0..examples.len()).collect();
        for turn in 0.. {
            let held = Held::new(metric, "questions");
            let asked = self.workers.map(asking.len().div_ceil(CHUNK), |chunk| {
                let own = &asking[chunk * CHUNK..((chunk + 1) * CHUNK).min(asking.len())];
                let ask = |at: &usize| {
                    let asked = || metric.ask(&examples[*at].json, &replies[*at]);
                    let asked = placed(*at as u64, asked);
                    let asked = asked.with_context(|| examples[*at].place.clone())?;
                    held.add(asked.iter().map(Question::bytes).sum())?;
                    Ok(asked)
                };
                own.iter().map(ask).collect::<Result<Vec<_>>>()
            })?;
            let asked = asking.iter().copied().zip(asked.into_iter().flatten());
            let asked: Vec<(usize, Vec<Question>)> = asked
                .filter(|(_, questions)| !questions.is_empty())
                .collect();
            if asked.is_empty() {
                break;
            }
            ensure!(
                turn < TURNS,
                "metric `{}` asked more than {TURNS} times about one example",
                metric.plugin().name
            );
            asking = asked.iter().map(|(example, _)| *example).collect();
            let answers = self.answer(&asked, &keys, &mut counts).map_err(|error| {
                let about = error.downcast_ref::<AtExample>().copied();
                let error = match about.and_then(|AtExample(own)| examples.get(own)) {
                    Some(example) => error.context(example.place.clone()),
                    None => error,
                };
                error.context(format!("metric `{}`", metric.plugin().name))
            })?;
            let mut answers = answers.into_iter();
            for (example, questions) in &asked {
                replies[*example].extend(answers.by_ref().take(questions.len()));
            }
        }
        Ok(replies)
    }

    /// Answers in the order of the questions, each kind of question by who answers it.
    fn answer(
        &self,
        asked: &[(usize, Vec<Question>)],
        keys: &[u64],
        counts: &mut BTreeMap<(usize, &'static str), usize>,
    ) -> Result<Vec<Reply>> {
        let mut of_model: Vec<(usize, Asked)> = Vec::new();
        let mut of_judge: Vec<(usize, Judged)> = Vec::new();
        let mut of_programs: Vec<(usize, &str, Duration)> = Vec::new();
        let questions = asked
            .iter()
            .flat_map(|(example, own)| own.iter().map(|question| (*example, question)));
        let mut total = 0;
        for (place, (example, question)) in questions.enumerate() {
            total += 1;
            let key = keys[example];
            let mut nth = |kind| {
                let count = counts.entry((example, kind)).or_default();
                *count += 1;
                *count - 1
            };
            match question {
                Question::Generate { prompt, how } => {
                    let (nth, what) = (nth("generate"), What::Generate(prompt, how));
                    of_model.push((
                        place,
                        Asked {
                            example,
                            key,
                            nth,
                            what,
                        },
                    ));
                }
                Question::Likelihood {
                    context,
                    continuation,
                } => {
                    let (nth, what) = (nth("likelihood"), What::Likelihood(context, continuation));
                    of_model.push((
                        place,
                        Asked {
                            example,
                            key,
                            nth,
                            what,
                        },
                    ));
                }
                Question::Judge { messages, how } => {
                    let nth = nth("judge");
                    let question = Judged {
                        example,
                        nth,
                        messages,
                        how,
                    };
                    of_judge.push((place, question));
                }
                Question::Execute { source, timeout } => {
                    of_programs.push((place, source, *timeout));
                }
            }
        }
        let mut answers = vec![Reply::default(); total];
        let mut fill = |places: Vec<usize>, replies: Vec<Reply>, who: &str| -> Result<()> {
            ensure!(
                places.len() == replies.len(),
                "{who} gave {} answers to {} questions",
                replies.len(),
                places.len()
            );
            for (place, reply) in places.into_iter().zip(replies) {
                answers[place] = reply;
            }
            Ok(())
        };
        if !of_model.is_empty() {
            let (places, asked): (Vec<_>, Vec<_>) = of_model.into_iter().unzip();
            fill(places, self.subject.answer(&asked)?, "the model")?;
        }
        if !of_judge.is_empty() {
            let Some(judge) = self.judge else {
                bail!("{NO_JUDGE}");
            };
            let (places, asked): (Vec<_>, Vec<_>) = of_judge.into_iter().unzip();
            let texts = judge.judge(&asked)?.into_iter();
            let replies = texts.map(|texts| Reply {
                texts,
                ..Reply::default()
            });
            fill(places, replies.collect(), "the judge")?;
        }
        if !of_programs.is_empty() {
            let Some(programs) = self.programs else {
                bail!("{NO_PROGRAMS}");
            };
            let places: Vec<usize> = of_programs.iter().map(|(place, ..)| *place).collect();
            let replies = self.workers.map(of_programs.len(), |index| {
                let (_, source, timeout) = of_programs[index];
                programs.run(source, timeout)
            })?;
            fill(places, replies, "the sandbox")?;
        }
        Ok(answers)
    }
}
