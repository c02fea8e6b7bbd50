//! Metrics on the held-out rows: metric plugins ask, the model answers in batches.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use folkmoot_data::{Dataset, Shape, Template, Tokenizer};
use folkmoot_params::Params;
use folkmoot_plugin::{Generation, Metric, Observations, Prompt, Question, Reply, Score};
use folkmoot_train::{Adapter, Base, Decoding, Inference};
use serde_json::{Map, Value};

use crate::resolve::Setup;
use crate::workers::Workers;

/// Times a metric may ask about one example: a second turn, a judge, and room to spare.
const TURNS: usize = 8;

/// All scores of one model, in the order of the metrics.
pub type Scores = Vec<Score>;

/// Held-out examples, ready to be asked about.
pub struct Evaluator<'a> {
    setup: &'a Setup,
    /// Each example as the JSON object that metrics see.
    examples: Vec<String>,
    with_references: OnceLock<Vec<String>>,
}

impl<'a> Evaluator<'a> {
    /// Over the held-out rows of `setup`.
    pub fn new(setup: &'a Setup) -> Result<Self> {
        let examples = examples(&setup.held_out, &setup.template, &setup.tokenizer)?;
        Ok(Self {
            setup,
            examples,
            with_references: OnceLock::new(),
        })
    }

    /// The examples; pairs with the log-likelihoods of their answers under the base alone, computed once.
    fn examples(&self, base: &Base) -> Result<&[String]> {
        if self.setup.experiment.preference.is_none() {
            return Ok(&self.examples);
        }
        if let Some(examples) = self.with_references.get() {
            return Ok(examples);
        }
        let inference = Inference::new(base, None)?;
        let parsed = self
            .examples
            .iter()
            .map(|example| serde_json::from_str(example));
        let mut parsed = parsed.collect::<Result<Vec<Map<String, Value>>, _>>()?;
        // Asked as metrics ask, both answers of an example in turn: batches are the same ones then, and so is
        // their rounding, so that the base's own rewards are exactly 0.
        let answers = Shape::Preference.answers();
        let mut questions = Vec::with_capacity(answers.len() * parsed.len());
        for (index, example) in parsed.iter().enumerate() {
            let text = |key: &str| example[key].as_str().unwrap_or_default().to_owned();
            for answer in answers {
                let question = Question::Likelihood {
                    context: text("prompt"),
                    continuation: text(&format!("{answer}_continuation")),
                };
                questions.push((index, question));
            }
        }
        let replies = self.answer(&questions, &inference)?;
        for (place, ((index, _), reply)) in questions.iter().zip(replies).enumerate() {
            let key = format!("{}_reference", answers[place % answers.len()]);
            parsed[*index].insert(key, Value::from(reply.log_likelihood));
        }
        let examples = parsed.into_iter().map(|own| Value::Object(own).to_string());
        Ok(self.with_references.get_or_init(|| examples.collect()))
    }

    /// The scores of the base with `adapter`, or of the base alone.
    pub fn scores(&self, base: &Base, adapter: Option<(&Adapter, &Params)>) -> Result<Scores> {
        let examples = self.examples(base)?;
        let inference = Inference::new(base, adapter)?;
        let mut scores = Scores::new();
        for metric in &self.setup.metrics {
            scores.extend(self.metric(metric, examples, &inference)?);
        }
        Ok(scores)
    }

    fn metric(
        &self,
        metric: &Metric,
        examples: &[String],
        inference: &Inference,
    ) -> Result<Scores> {
        let mut replies: Vec<Vec<Reply>> = vec![Vec::new(); examples.len()];
        let mut asking: Vec<usize> = (0..examples.len()).collect();
        for turn in 0.. {
            let mut questions = Vec::new();
            let mut still = Vec::new();
            for &example in &asking {
                let asked = metric.ask(&examples[example], &replies[example])?;
                if !asked.is_empty() {
                    still.push(example);
                }
                questions.extend(asked.into_iter().map(|question| (example, question)));
            }
            if questions.is_empty() {
                break;
            }
            if turn == TURNS {
                bail!(
                    "metric `{}` asked more than {TURNS} times about one example",
                    metric.plugin().name
                );
            }
            let answers = self.answer(&questions, inference)?;
            for ((example, _), answer) in questions.iter().zip(answers) {
                replies[*example].push(answer);
            }
            asking = still;
        }
        let mut observations = Observations::default();
        for (example, replies) in examples.iter().zip(&replies) {
            metric.observe(example, replies, &mut observations)?;
        }
        Ok(metric.summarize(&observations)?)
    }

    /// Answers in the order of the questions. Questions of like length go through the model together.
    fn answer(&self, questions: &[(usize, Question)], inference: &Inference) -> Result<Vec<Reply>> {
        let (tokenizer, template) = (&self.setup.tokenizer, &self.setup.template);
        let mut jobs = Vec::with_capacity(questions.len());
        for (index, (_, question)) in questions.iter().enumerate() {
            jobs.push((index, Job::new(question, tokenizer, template)?));
        }
        jobs.sort_by_key(|(index, job)| (job.group(), job.length(), *index));
        let same = |a: &(usize, Job), b: &(usize, Job)| a.1.group() == b.1.group();
        let batches = jobs
            .chunk_by(same)
            .flat_map(|group| group.chunks(self.setup.experiment.evaluation.batch));
        let batches: Vec<&[(usize, Job)]> = batches.collect();
        let workers: Workers = self.setup.workers;
        let done = workers.map(batches.len(), |batch| {
            run(
                batches[batch],
                inference,
                tokenizer,
                self.setup.end_of_response,
            )
            .context("evaluation")
        })?;
        let mut answers = vec![Reply::default(); questions.len()];
        for (batch, replies) in batches.iter().zip(done) {
            for ((index, _), reply) in batch.iter().zip(replies) {
                answers[*index] = reply;
            }
        }
        Ok(answers)
    }
}

/// A question in token ids.
enum Job {
    Generate {
        ids: Vec<u32>,
        max_tokens: usize,
        stop: Vec<String>,
    },
    Likelihood {
        ids: Vec<u32>,
        from: usize,
    },
}

impl Job {
    fn new(question: &Question, tokenizer: &Tokenizer, template: &Template) -> Result<Self> {
        let with_bos = |mut ids: Vec<u32>| match template.missing_bos(tokenizer, &ids) {
            Some(bos) => {
                ids.insert(0, bos);
                (ids, 1)
            }
            None => (ids, 0),
        };
        Ok(match question {
            Question::Generate {
                prompt: Prompt::Text(prompt),
                how: Generation {
                    max_tokens, stop, ..
                },
            } => Self::Generate {
                ids: with_bos(tokenizer.encode(prompt)?).0,
                max_tokens: *max_tokens as usize,
                stop: stop.clone(),
            },
            Question::Likelihood {
                context,
                continuation,
            } => {
                let (ids, offsets) =
                    tokenizer.encode_with_offsets(&format!("{context}{continuation}"))?;
                // The first token that reaches into the continuation.
                let from = offsets.iter().position(|(_, end)| *end > context.len());
                let from = from.unwrap_or(ids.len());
                let (ids, shift) = with_bos(ids);
                let from = from + shift;
                Self::Likelihood { ids, from }
            }
            other => bail!("{other:?} cannot be answered yet"),
        })
    }

    /// Jobs of one group can share a batch.
    fn group(&self) -> usize {
        match self {
            Self::Generate { max_tokens, .. } => 1 + max_tokens,
            Self::Likelihood { .. } => 0,
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Generate { ids, .. } | Self::Likelihood { ids, .. } => ids.len(),
        }
    }
}

fn run(
    batch: &[(usize, Job)],
    inference: &Inference,
    tokenizer: &Tokenizer,
    end: u32,
) -> Result<Vec<Reply>> {
    let (mut prompts, mut rows, mut longest) = (Vec::new(), Vec::new(), 0);
    for (_, job) in batch {
        match job {
            Job::Generate {
                ids, max_tokens, ..
            } => {
                prompts.push(ids.clone());
                longest = *max_tokens;
            }
            Job::Likelihood { ids, from } => rows.push((ids.clone(), *from)),
        }
    }
    let stops: Vec<&[String]> = batch
        .iter()
        .filter_map(|(_, job)| match job {
            Job::Generate { stop, .. } => Some(&stop[..]),
            Job::Likelihood { .. } => None,
        })
        .collect();
    let stopped = |row: usize, ids: &[u32]| {
        let stops = stops[row].iter();
        !stops.as_slice().is_empty()
            && tokenizer
                .decode(ids)
                .is_ok_and(|text| stops.clone().any(|stop| text.contains(stop.as_str())))
    };
    let decoding = Decoding {
        stop: &stopped,
        ..Decoding::greedy(longest, std::slice::from_ref(&end))
    };
    let mut generated = inference.generate(&prompts, &decoding)?.into_iter();
    let mut likelihoods = inference.likelihood(&rows)?.into_iter();
    let reply = |(_, job): &(usize, Job)| match job {
        Job::Generate { stop, .. } => {
            let continuation = generated.next().context("an answer for every prompt")?;
            let mut text = tokenizer.decode(&continuation.ids)?;
            if let Some(at) = stop
                .iter()
                .filter_map(|stop| text.find(stop.as_str()))
                .min()
            {
                text.truncate(at);
            }
            Ok(Reply {
                texts: vec![text],
                ..Reply::default()
            })
        }
        Job::Likelihood { .. } => {
            let likelihood = likelihoods.next().context("an answer for every row")?;
            Ok(Reply {
                log_likelihood: likelihood.sum,
                tokens: likelihood.tokens as u32,
                greedy: likelihood.greedy,
                ..Reply::default()
            })
        }
    };
    batch.iter().map(reply).collect()
}

/// Each row as the JSON object that metrics see.
fn examples(held_out: &Dataset, template: &Template, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let rows = held_out.examples()?;
    let answers = held_out.shape().answers();
    let rows = rows.iter().map(|row| {
        let mut fields = row.fields.clone();
        let prompt = template.prompt(tokenizer, &row.prompt);
        let prompt = prompt.with_context(|| row.place())?;
        fields.insert("prompt".into(), Value::from(prompt));
        for answer in answers {
            let key = match answers.len() {
                1 => "continuation".to_owned(),
                _ => format!("{answer}_continuation"),
            };
            let continuation = template.continuation(tokenizer, &row.prompt, row.text(answer)?);
            let continuation = continuation.with_context(|| row.place())?;
            fields.insert(key, Value::from(continuation));
        }
        Ok(Value::Object(fields).to_string())
    });
    rows.collect()
}
