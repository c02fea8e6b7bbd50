//! Many requests at once, each asked as often as it takes and no more.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::body::{body, is_greedy, make_draw, texts};
use crate::cache::{Cache, Found, Question};
use crate::http::{Refusal, Wire};
use crate::key::Key;
use crate::pace::Pace;
use crate::request::Request;
use crate::settings::{Api, Endpoint};
use crate::wait::back_off;

/// Asks one endpoint. Threads may share it: its limits hold for all of them together.
pub struct Client {
    endpoint: Endpoint,
    base: String,
    key: Key,
    wire: Wire,
    cache: Cache,
    pace: Pace,
    statistics: Mutex<Statistics>,
}

/// What a client has done since it was opened. Requests that are identical and asked once count once.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Requests that the endpoint answered.
    pub asked: u64,
    /// Requests that the cache answered.
    pub cached: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Tokens of the prompts that were asked, as the endpoint counts them; what the cache answers costs none.
    pub prompt_tokens: u64,
    /// Tokens of the answers to them.
    pub completion_tokens: u64,
    /// Files of the cache that were no answer to their request; they were asked again and overwritten.
    pub damaged: Vec<PathBuf>,
}

/// A request that has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestError {
    /// The endpoint's `url`.
    pub url: String,
    pub model: String,
    /// Which of the requests, from 0.
    pub place: usize,
    /// How many requests there were.
    pub of: usize,
    pub cause: String,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            model,
            of,
            cause,
            ..
        } = self;
        let place = self.place + 1;
        write!(
            f,
            "`{url}` (model `{model}`), request {place} of {of}: {cause}"
        )
    }
}

impl std::error::Error for RequestError {}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Client");
        shown
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// What is asked once, for all the places that want it.
struct Job {
    places: Vec<usize>,
    question: Question,
    text: String,
}

/// Which place has no answer, and why.
type Failure = (usize, String);

impl Client {
    /// A client whose answers are kept in `cache`, with the key that the environment has. Nothing is asked yet.
    pub fn open(endpoint: &Endpoint, cache: &Path) -> Result<Self> {
        endpoint.check()?;
        let key = Key::from_environment(endpoint)?;
        Self::with(endpoint, cache, key)
    }

    /// As [`Client::open`], for programs that have the key from elsewhere; `key_env` is not looked at.
    pub fn open_with_key(endpoint: &Endpoint, cache: &Path, key: Option<String>) -> Result<Self> {
        endpoint.check()?;
        Self::with(endpoint, cache, Key::new(key, "use")?)
    }

    fn with(endpoint: &Endpoint, cache: &Path, key: Key) -> Result<Self> {
        // Settings are shown and kept.
        let settings =
            serde_json::to_string(endpoint).context("writing the endpoint's settings")?;
        ensure!(
            !key.is_in(&settings),
            "the endpoint's settings hold the key: it belongs in the environment variable that `key_env` names and \
             nowhere else"
        );
        Ok(Self {
            base: endpoint.base()?.0.to_owned(),
            wire: Wire::new(endpoint, key.clone())?,
            cache: Cache::open(cache).context("the cache of answers")?,
            pace: Pace::new(endpoint.parallel.get(), endpoint.requests_per_minute),
            statistics: Mutex::default(),
            endpoint: endpoint.clone(),
            key,
        })
    }

    /// The settings it was opened with.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it has done so far; other threads may look while requests are under way.
    pub fn statistics(&self) -> Statistics {
        self.count().clone()
    }

    /// The `n` answers to each request, in the order of the requests. A chat's answer is the message's text; where
    /// there is none it is the refusal, or "" if the model said nothing at all (its tokens ended while it reasoned).
    pub fn complete(&self, requests: &[Request]) -> Result<Vec<Vec<String>>> {
        let api = self.endpoint.api;
        let bodies = requests.iter().map(|request| body(&self.endpoint, request));
        self.ask(api, bodies.collect(), |place, answer| {
            texts(api, answer, requests[place].n)
        })
    }

    /// Asks for what `bodies` say; `read` makes something of the answer to that at a place. An answer of which it can
    /// make nothing is not kept.
    pub(crate) fn ask<T: Send>(
        &self,
        api: Api,
        bodies: Vec<Result<Map<String, Value>, String>>,
        read: impl Fn(usize, &Value) -> Result<T, String> + Sync,
    ) -> Result<Vec<T>> {
        let of = bodies.len();
        let failure = |(place, cause)| RequestError {
            url: self.base.clone(),
            model: self.endpoint.model.clone(),
            place,
            of,
            cause,
        };
        let jobs = self.jobs(api, bodies).map_err(failure)?;
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let results = Mutex::new((Vec::from_iter((0..of).map(|_| None)), None));
        let lock = || results.lock().unwrap_or_else(PoisonError::into_inner);
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return;
                };
                match self.answer(api, job, &read, &stop) {
                    Ok(answers) => {
                        let (done, _) = &mut *lock();
                        for (place, answer) in answers {
                            done[place] = Some(answer);
                        }
                    }
                    Err(failed) => {
                        stop.store(true, Ordering::Relaxed);
                        let (_, first) = &mut *lock();
                        // Several may fail at once: the first of them is reported.
                        if first.as_ref().is_none_or(|(place, _)| failed.0 < *place) {
                            *first = Some(failed);
                        }
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.endpoint.parallel.get().min(jobs.len()) {
                scope.spawn(work);
            }
        });
        let (done, first) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = first {
            return Err(failure(failed).into());
        }
        let done: Option<Vec<_>> = done.into_iter().collect();
        done.context("a request was not asked, though none failed")
    }

    /// Each question once, with the places that ask it.
    fn jobs(
        &self,
        api: Api,
        bodies: Vec<Result<Map<String, Value>, String>>,
    ) -> Result<Vec<Job>, Failure> {
        let mut jobs: Vec<Job> = Vec::new();
        // By the digest of draw 0: which job it is, and the next draw.
        let mut known: HashMap<String, (usize, u64)> = HashMap::new();
        let question = |draw, body: &_| {
            Question::new(&self.base, &self.endpoint.model, api.name(), draw, body)
        };
        for (place, body) in bodies.into_iter().enumerate() {
            let mut body = body.map_err(|cause| (place, cause))?;
            let mut asked = question(0, &body);
            if let Some((job, draw)) = known.get_mut(asked.digest()) {
                if is_greedy(&body) {
                    jobs[*job].places.push(place);
                    continue;
                }
                make_draw(&mut body, *draw);
                asked = question(*draw, &body);
                *draw += 1;
            } else {
                known.insert(asked.digest().to_owned(), (jobs.len(), 1));
            }
            let text = Value::from(body).to_string();
            if self.key.is_in(&text) {
                return Err((
                    place,
                    "it holds the key, which would be kept with it".into(),
                ));
            }
            jobs.push(Job {
                places: vec![place],
                question: asked,
                text,
            });
        }
        Ok(jobs)
    }

    /// What `read` makes of the answer to a job, at each of its places; nothing when it was stopped.
    fn answer<T>(
        &self,
        api: Api,
        job: &Job,
        read: impl Fn(usize, &Value) -> Result<T, String>,
        stop: &AtomicBool,
    ) -> Result<Vec<(usize, T)>, Failure> {
        let first = job.places[0];
        let all = |answer: &Value| -> Result<Vec<_>, Failure> {
            let read = |&place: &usize| match read(place, answer) {
                Ok(value) => Ok((place, value)),
                Err(cause) => Err((place, cause)),
            };
            job.places.iter().map(read).collect()
        };
        let found = self.cache.get(&job.question);
        let found = found.map_err(|error| (first, format!("{error:#}")))?;
        match found {
            Found::Answer(answer) => {
                if let Ok(answers) = all(&answer) {
                    self.count().cached += 1;
                    return Ok(answers);
                }
                self.note_damage(job);
            }
            Found::Damaged => self.note_damage(job),
            Found::Nothing => {}
        }
        let asked = self.persist(api, &job.text, stop);
        let Some(answer) = asked.map_err(|cause| (first, cause))? else {
            return Ok(Vec::new());
        };
        let answers = all(&answer)?;
        let kept = self.cache.put(&job.question, &answer);
        kept.map_err(|error| (first, format!("{error:#}")))?;
        let tokens = |name| answer.pointer(name).and_then(Value::as_u64).unwrap_or(0);
        let mut count = self.count();
        count.asked += 1;
        count.prompt_tokens += tokens("/usage/prompt_tokens");
        count.completion_tokens += tokens("/usage/completion_tokens");
        Ok(answers)
    }

    /// Attempts until there is an answer, or a failure that will not pass; nothing when it was stopped.
    fn persist(&self, api: Api, text: &str, stop: &AtomicBool) -> Result<Option<Value>, String> {
        let mut again = 0;
        loop {
            let Some(permit) = self.pace.enter(stop) else {
                return Ok(None);
            };
            let answer = self.wire.post(api.path(), text);
            drop(permit);
            let (cause, after) = match answer {
                Ok(answer) => return Ok(Some(answer)),
                Err(Refusal::Never(cause)) => return Err(cause),
                Err(Refusal::Again { cause, after }) => (cause, after),
            };
            if again == self.endpoint.retries {
                return Err(match again {
                    0 => cause,
                    _ => format!("{cause} (tried {} times)", u64::from(again) + 1),
                });
            }
            self.count().retried += 1;
            match after.filter(|after| !after.is_zero()) {
                // The server is tired of all of us.
                Some(after) => self.pace.rest(after),
                None if Pace::sleep(back_off(again), stop) => {}
                None => return Ok(None),
            }
            again += 1;
        }
    }

    fn note_damage(&self, job: &Job) {
        let path = self.cache.path(&job.question);
        self.count().damaged.push(path);
    }

    fn count(&self) -> MutexGuard<'_, Statistics> {
        // Numbers are whole at each moment.
        self.statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
