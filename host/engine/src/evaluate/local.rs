//! A model on this machine as the one that is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use folkmoot_data::{Role, Template, Tokenizer, Turn};
use folkmoot_params::Seed;
use folkmoot_plugin::{ChatMessage, Generation, Prompt, Reply};
use folkmoot_train::{Decoding, Inference, Sampling};

use super::panel::{Asked, AtExample, Subject, What};
use crate::stops::{cut, ended};
use crate::workers::Workers;

/// Tokens that go through the model at once, those that questions share counted once.
const TOKENS: usize = 4096;

/// Bytes of keys and values that one batch keeps.
const KEPT: usize = 1 << 30;

/// A model, with or without an adapter.
pub struct Local<'a> {
    pub(crate) inference: Inference<'a>,
    pub(crate) tokenizer: &'a Tokenizer,
    /// How conversations become text; none: they are refused.
    pub(crate) template: Option<&'a Template>,
    /// Whether texts that are continued were rendered by the template, which then decides on what stands first.
    pub(crate) rendered: bool,
    /// Tokens that end an answer.
    pub(crate) ends: Vec<u32>,
    /// Tokens of prompt and answer at most.
    pub(crate) positions: usize,
    /// Prompts of which the beginning was cut off.
    pub(crate) cuts: AtomicUsize,
    /// Questions that go through the model at once.
    pub(crate) batch: usize,
    pub(crate) seed: Seed,
    pub(crate) workers: Workers,
}

/// A question in token ids.
struct Job<'a> {
    ids: Vec<u32>,
    kind: Kind<'a>,
}

/// Which sample of its question, and the random numbers that it gets.
#[derive(Clone, Copy)]
struct Stream(u64, u64);

enum Kind<'a> {
    Generate(&'a Generation, Stream),
    /// From which position on.
    Likelihood(usize),
}

impl<'a> Kind<'a> {
    /// Jobs that may share a batch: likelihoods, or what is generated alike.
    fn alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Likelihood(_), Self::Likelihood(_)) => true,
            (Self::Generate(a, _), Self::Generate(b, _)) => {
                std::ptr::eq(*a, *b) || (a.max_tokens == b.max_tokens && drawn(a) == drawn(b))
            }
            _ => false,
        }
    }

    /// An order in which what is alike stands together.
    fn order(&self) -> (u32, u64, u64, u32) {
        match self {
            Self::Likelihood(_) => (0, 0, 0, 0),
            Self::Generate(how, _) => {
                let (temperature, top_p, top_k) = drawn(how);
                (how.max_tokens, temperature, top_p, top_k)
            }
        }
    }
}

/// What says how a token is drawn, as bits.
fn drawn(how: &Generation) -> (u64, u64, u32) {
    (
        how.temperature.to_bits(),
        how.top_p.unwrap_or(0.0).to_bits(),
        how.top_k.unwrap_or(0),
    )
}

impl Subject for Local<'_> {
    fn answer(&self, asked: &[Asked]) -> Result<Vec<Reply>> {
        let made = self.workers.map(asked.len().div_ceil(64), |chunk| {
            let own = &asked[chunk * 64..((chunk + 1) * 64).min(asked.len())];
            let jobs = own.iter().map(|asked| {
                let jobs = self.jobs(asked);
                jobs.with_context(|| AtExample(asked.example))
            });
            jobs.collect::<Result<Vec<_>>>()
        })?;
        let mut jobs: Vec<(usize, Job)> = Vec::new();
        for (question, own) in made.into_iter().flatten().enumerate() {
            jobs.extend(own.into_iter().map(|job| (question, job)));
        }
        // Beside one another stands what begins alike.
        jobs.sort_by(|(a, x), (b, y)| {
            let order = x.kind.order().cmp(&y.kind.order());
            order.then_with(|| x.ids.cmp(&y.ids)).then(a.cmp(b))
        });
        let batches = batches(&jobs, self.batch, self.tokens());
        let done = self.workers.map(batches.len(), |batch| {
            self.run(&jobs[batches[batch].clone()])
        })?;
        let mut replies = vec![Reply::default(); asked.len()];
        // Samples of one question in their order.
        let mut texts: Vec<Vec<(u64, String)>> = vec![Vec::new(); asked.len()];
        for (batch, own) in batches.into_iter().zip(done) {
            for ((question, job), reply) in jobs[batch].iter().zip(own) {
                match job.kind {
                    Kind::Likelihood(_) => {
                        // Windows of a text add up.
                        let own = &mut replies[*question];
                        own.greedy = reply.greedy && (own.greedy || own.tokens == 0);
                        own.log_likelihood += reply.log_likelihood;
                        own.tokens += reply.tokens;
                    }
                    Kind::Generate(_, Stream(sample, _)) => {
                        let own = reply.texts.into_iter().map(|text| (sample, text));
                        texts[*question].extend(own);
                    }
                }
            }
        }
        for (reply, mut texts) in replies.iter_mut().zip(texts) {
            texts.sort_by_key(|(sample, _)| *sample);
            reply.texts = texts.into_iter().map(|(_, text)| text).collect();
        }
        Ok(replies)
    }
}

/// Runs of jobs that share a batch: alike, at most `most`, and few enough tokens: of prompts at once, and of
/// prompts and answers of which keys and values are `kept`.
fn batches(jobs: &[(usize, Job)], most: usize, kept: usize) -> Vec<std::ops::Range<usize>> {
    let mut batches: Vec<std::ops::Range<usize>> = Vec::new();
    let (mut tokens, mut answers) = (0, 0);
    for (at, (_, job)) in jobs.iter().enumerate() {
        let answer = match job.kind {
            Kind::Generate(how, _) => how.max_tokens as usize,
            Kind::Likelihood(_) => 0,
        };
        let before = at.checked_sub(1).map(|before| &jobs[before].1);
        let shared = before.map_or(0, |before| {
            let pairs = before.ids.iter().zip(&job.ids);
            pairs.take_while(|(a, b)| a == b).count()
        });
        let fits = before.is_some_and(|before| before.kind.alike(&job.kind))
            && batches
                .last()
                .is_some_and(|batch| batch.len() < most.max(1))
            && tokens + job.ids.len() - shared <= TOKENS
            && tokens + answers + job.ids.len() - shared + answer <= kept;
        match batches.last_mut().filter(|_| fits) {
            Some(batch) => {
                batch.end = at + 1;
                tokens += job.ids.len() - shared;
                answers += answer;
            }
            None => {
                batches.push(at..at + 1);
                (tokens, answers) = (job.ids.len(), answer);
            }
        }
    }
    batches
}

impl Local<'_> {
    /// Prompts whose beginning was cut off because they were too long, in all that was asked so far.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }

    /// One job; or one per sample, or per window of a long text.
    fn jobs<'q>(&self, asked: &Asked<'q>) -> Result<Vec<Job<'q>>> {
        match asked.what {
            What::Generate(prompt, how) => {
                let ids = match prompt {
                    Prompt::Text(text) => self.with_bos(self.tokenizer.encode(text)?).0,
                    Prompt::Chat(messages) => self.chat(messages)?,
                };
                let room = self.positions.saturating_sub(how.max_tokens as usize);
                ensure!(
                    room > 0,
                    "`max_tokens` of {} leaves no room for a prompt: {} tokens in all are possible",
                    how.max_tokens,
                    self.positions
                );
                let ids = self.shortened(ids, room).0;
                ensure!(!ids.is_empty(), "a prompt is empty");
                let seed = self.seed.derive("example", asked.key);
                let seed = seed.derive("question", asked.nth as u64);
                // Without randomness all samples are one.
                let drawn = how.temperature > 0.0;
                let samples = if drawn { u64::from(how.samples) } else { 1 };
                let job = |sample| Job {
                    ids: ids.clone(),
                    kind: Kind::Generate(how, Stream(sample, seed.derive("sample", sample).0)),
                };
                Ok((0..samples).map(job).collect())
            }
            What::Likelihood("", text) => self.windows(text),
            What::Likelihood(context, continuation) => {
                let whole = format!("{context}{continuation}");
                let (ids, offsets) = self.tokenizer.encode_with_offsets(&whole)?;
                // The first token that reaches into the continuation.
                let from = offsets.iter().position(|(_, end)| *end > context.len());
                let from = from.unwrap_or(ids.len());
                let (ids, shift) = self.with_bos(ids);
                let count = ids.len();
                let (ids, lost) = self.shortened(ids, self.positions);
                ensure!(
                    from + shift > lost,
                    "a continuation of {} tokens is longer than the {} that are possible",
                    count - from - shift,
                    self.positions
                );
                let kind = Kind::Likelihood(from + shift - lost);
                Ok(vec![Job { ids, kind }])
            }
        }
    }

    /// A whole text, each of its tokens predicted once: after a prefix token, and where it is long in windows that
    /// see as much before as they can (lm-evaluation-harness's rolling log-likelihood).
    fn windows<'q>(&self, text: &str) -> Result<Vec<Job<'q>>> {
        let mut ids = vec![self.tokenizer.prefix()];
        ids.extend(self.tokenizer.encode(text)?);
        let mut jobs = Vec::new();
        let mut done = 1;
        while done < ids.len() {
            // The first window predicts as many as there is room for, later ones those that are left.
            let end = (done + self.positions - 1).min(ids.len());
            let start = end.saturating_sub(self.positions);
            jobs.push(Job {
                ids: ids[start..end].to_vec(),
                kind: Kind::Likelihood(done - start),
            });
            done = end;
        }
        Ok(jobs)
    }

    /// Tokens whose keys and values fit.
    fn tokens(&self) -> usize {
        KEPT / self.inference.kept_bytes().max(1)
    }

    fn chat(&self, messages: &[ChatMessage]) -> Result<Vec<u32>> {
        let template = self
            .template
            .context("a conversation needs a template\n\nhint: give one with `--template`")?;
        template.prompt_ids(self.tokenizer, &turns(messages))
    }

    fn with_bos(&self, mut ids: Vec<u32>) -> (Vec<u32>, usize) {
        let bos = match self.template.filter(|_| self.rendered) {
            Some(template) => template.missing_bos(self.tokenizer, &ids),
            None => self.tokenizer.bos().filter(|bos| ids.first() != Some(bos)),
        };
        match bos {
            Some(bos) => {
                ids.insert(0, bos);
                (ids, 1)
            }
            None => (ids, 0),
        }
    }

    /// The last `room` tokens, and how many were cut off before them.
    fn shortened(&self, mut ids: Vec<u32>, room: usize) -> (Vec<u32>, usize) {
        let lost = ids.len().saturating_sub(room);
        if lost > 0 {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            ids.drain(..lost);
        }
        (ids, lost)
    }

    fn run(&self, batch: &[(usize, Job)]) -> Result<Vec<Reply>> {
        let Some((_, first)) = batch.first() else {
            return Ok(Vec::new());
        };
        let Kind::Generate(how, _) = first.kind else {
            let rows = batch.iter().map(|(_, job)| match job.kind {
                Kind::Likelihood(from) => (job.ids.clone(), from),
                Kind::Generate(..) => (job.ids.clone(), job.ids.len()),
            });
            let likelihoods = self.inference.likelihood(&rows.collect::<Vec<_>>())?;
            let replies = likelihoods.into_iter().map(|own| Reply {
                log_likelihood: own.sum,
                tokens: own.tokens as u32,
                greedy: own.greedy,
                ..Reply::default()
            });
            return Ok(replies.collect());
        };
        let prompts: Vec<Vec<u32>> = batch.iter().map(|(_, job)| job.ids.clone()).collect();
        let (stops, streams): (Vec<&[String]>, Vec<u64>) = batch
            .iter()
            .map(|(_, job)| match job.kind {
                Kind::Generate(how, Stream(_, stream)) => (&how.stop[..], stream),
                Kind::Likelihood(_) => (&[][..], 0),
            })
            .unzip();
        let stopped = |row: usize, ids: &[u32]| ended(self.tokenizer, stops[row], ids);
        let sampling = Sampling {
            temperature: how.temperature,
            top_p: how.top_p.filter(|p| *p < 1.0),
            top_k: how.top_k.map(|k| k as usize),
            repetition_penalty: 1.0,
            seed: self.seed,
        };
        let decoding = Decoding {
            sampling: (how.temperature > 0.0).then_some(sampling),
            streams: &streams,
            stop: &stopped,
            ..Decoding::greedy(how.max_tokens as usize, &self.ends)
        };
        let answers = self.inference.generate(&prompts, &decoding)?;
        let replies = answers.iter().zip(batch).map(|(answer, (_, job))| {
            let (stop, samples) = match job.kind {
                Kind::Generate(how, _) if how.temperature == 0.0 => (&how.stop[..], how.samples),
                Kind::Generate(how, _) => (&how.stop[..], 1),
                Kind::Likelihood(_) => (&[][..], 1),
            };
            let text = cut(self.tokenizer.decode(&answer.ids)?, stop);
            Ok(Reply {
                texts: vec![text; samples as usize],
                ..Reply::default()
            })
        });
        replies.collect()
    }
}

/// The turns of a conversation as templates take them.
pub(crate) fn turns(messages: &[ChatMessage]) -> Vec<Turn> {
    let turn = |message: &ChatMessage| {
        let role = match message.role.as_str() {
            "system" => Role::System,
            "assistant" => Role::Assistant,
            _ => Role::User,
        };
        Turn::new(role, message.content.as_str())
    };
    messages.iter().map(turn).collect()
}
