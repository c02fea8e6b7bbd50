//! `run` in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::params::Params;

/// The present round.
pub struct Round {
    number: u32,
    total: u32,
    drawn: RefCell<u64>,
}

/// Round `number` of `total`.
pub fn round(number: u32, total: u32) -> Round {
    Round {
        number,
        total,
        drawn: RefCell::new(u64::from(number)),
    }
}

/// A client as the server knows it.
#[derive(Clone)]
pub struct Client {
    id: u32,
    examples: u64,
    idle: Option<u32>,
    figures: BTreeMap<String, f64>,
}

/// A client that never took part.
pub fn client(id: u32, examples: u64) -> Client {
    Client {
        id,
        examples,
        idle: None,
        figures: BTreeMap::new(),
    }
}

#[derive(Clone, Default)]
struct Parcel {
    params: BTreeMap<String, Params>,
    scalars: BTreeMap<String, f64>,
    bytes: BTreeMap<String, Vec<u8>>,
}

/// Tensors, scalars and bytes beside the parameters.
#[derive(Clone, Default)]
pub struct Message(Rc<RefCell<Parcel>>);

/// An empty message.
pub fn message() -> Message {
    Message::default()
}

/// What outlasts a call.
#[derive(Clone, Default)]
pub struct State(Rc<RefCell<Parcel>>);

/// A state that holds nothing yet.
pub fn state() -> State {
    State::default()
}

/// One client's answer.
pub struct Update {
    client: Client,
    steps: u32,
    lr: f64,
    delta: Params,
    message: Message,
}

/// An update of one step with learning rate 1 and an empty message.
pub fn update(id: u32, examples: u64, delta: Params) -> Update {
    Update {
        client: client(id, examples),
        steps: 1,
        lr: 1.0,
        delta,
        message: message(),
    }
}

/// The updates of a round.
pub struct Updates(Vec<Update>);

/// A round's updates; they are put in ascending client id, as the host does.
pub fn updates(mut updates: Vec<Update>) -> Updates {
    updates.sort_by_key(|update| update.client.id);
    Updates(updates)
}

/// What was asked of the host's local training.
#[derive(Default)]
pub struct Objective {
    /// Every call so far, in words.
    pub asked: RefCell<Vec<String>>,
}

/// An objective that adds nothing yet.
pub fn objective() -> Objective {
    Objective::default()
}

/// A finished local training.
pub struct Training {
    steps: u32,
    lr: f64,
    before: Params,
    after: Params,
}

/// A training of `steps` steps.
pub fn training(steps: u32, lr: f64, before: Params, after: Params) -> Training {
    Training {
        steps,
        lr,
        before,
        after,
    }
}

/// A line on standard error.
#[allow(clippy::print_stderr, reason = "what a test wants to see of a log")]
pub fn log(level: &str, message: &str) {
    eprintln!("{level}: {message}");
}

/// A scalar for the run's record: a line on standard error.
pub fn report(name: &str, value: f64) {
    log("report", &format!("{name} = {value}"));
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Round {
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    pub fn random(&self) -> u64 {
        let mut drawn = self.drawn.borrow_mut();
        *drawn = drawn
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *drawn
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Client {
    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn examples(&self) -> u64 {
        self.examples
    }

    pub fn idle(&self) -> Option<u32> {
        self.idle
    }

    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Message {
    #[allow(clippy::new_without_default, reason = "the contract's constructor")]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put_params(&self, name: &str, value: &Params) {
        self.0
            .borrow_mut()
            .params
            .insert(name.into(), value.clone());
    }

    pub fn put_scalar(&self, name: &str, value: f64) {
        self.0.borrow_mut().scalars.insert(name.into(), value);
    }

    pub fn put_bytes(&self, name: &str, value: &[u8]) {
        self.0
            .borrow_mut()
            .bytes
            .insert(name.into(), value.to_vec());
    }

    pub fn params(&self, name: &str) -> Option<Params> {
        self.0.borrow().params.get(name).cloned()
    }

    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.0.borrow().scalars.get(name).copied()
    }

    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.borrow().bytes.get(name).cloned()
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl State {
    pub fn put_params(&self, name: &str, value: &Params) {
        self.0
            .borrow_mut()
            .params
            .insert(name.into(), value.clone());
    }

    pub fn put_bytes(&self, name: &str, value: &[u8]) {
        self.0
            .borrow_mut()
            .bytes
            .insert(name.into(), value.to_vec());
    }

    pub fn params(&self, name: &str) -> Option<Params> {
        self.0.borrow().params.get(name).cloned()
    }

    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.borrow().bytes.get(name).cloned()
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Update {
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn examples(&self) -> u64 {
        self.client.examples
    }

    pub fn steps(&self) -> u32 {
        self.steps
    }

    pub fn lr(&self) -> f64 {
        self.lr
    }

    pub fn staleness(&self) -> u32 {
        0
    }

    pub fn figure(&self, name: &str) -> Option<f64> {
        self.client.figure(name)
    }

    pub fn delta(&self) -> Params {
        self.delta.clone()
    }

    pub fn message(&self) -> Message {
        self.message.clone()
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Updates {
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn get(&self, index: u32) -> Update {
        let update = &self.0[index as usize];
        Update {
            client: update.client.clone(),
            steps: update.steps,
            lr: update.lr,
            delta: update.delta.clone(),
            message: update.message.clone(),
        }
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Objective {
    pub fn proximal(&self, mu: f64, _reference: &Params) {
        self.note(format!("proximal {mu}"));
    }

    pub fn linear(&self, _gradient: &Params) {
        self.note("linear".into());
    }

    pub fn correct(&self, _direction: &Params) {
        self.note("correct".into());
    }

    pub fn freeze(&self, glob: &str) {
        self.note(format!("freeze {glob}"));
    }

    pub fn scale_lr(&self, factor: f64) {
        self.note(format!("scale-lr {factor}"));
    }

    fn note(&self, call: String) {
        self.asked.borrow_mut().push(call);
    }
}

#[allow(missing_docs, reason = "documented once, in wit/run.wit")]
impl Training {
    pub fn steps(&self) -> u32 {
        self.steps
    }

    pub fn lr(&self) -> f64 {
        self.lr
    }

    pub fn figure(&self, _name: &str) -> Option<f64> {
        None
    }

    pub fn before(&self) -> Params {
        self.before.clone()
    }

    pub fn after(&self) -> Params {
        self.after.clone()
    }
}
