//! `run` in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::params::Params;

/// The present round.
pub struct Round {
    number: u32,
    total: u32,
    clients: u32,
    drawn: RefCell<u64>,
}

impl Round {
    /// The same round in a federation of so many clients; 2 where it is not said.
    pub fn with_clients(self, clients: u32) -> Self {
        Self { clients, ..self }
    }
}

/// Round `number` of `total`.
pub fn round(number: u32, total: u32) -> Round {
    Round {
        number,
        total,
        clients: 2,
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

impl Update {
    /// The same update after so many steps.
    pub fn with_steps(self, steps: u32) -> Self {
        Self { steps, ..self }
    }

    /// The same update, trained with this learning rate.
    pub fn with_lr(self, lr: f64) -> Self {
        Self { lr, ..self }
    }

    /// The same update with a figure of its training.
    pub fn with_figure(mut self, name: &str, value: f64) -> Self {
        self.client.figures.insert(name.into(), value);
        self
    }

    /// The same update with what its algorithm sent beside it.
    pub fn with_message(self, message: Message) -> Self {
        Self { message, ..self }
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
    /// Every call so far, in words; those of a personal objective begin with `personal: `.
    pub asked: Rc<RefCell<Vec<String>>>,
    within: String,
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
    personal: Option<Params>,
    figures: BTreeMap<String, f64>,
}

impl Training {
    /// The same training with personal parameters.
    pub fn with_personal(self, personal: Params) -> Self {
        let personal = Some(personal);
        Self { personal, ..self }
    }

    /// The same training with a figure.
    pub fn with_figure(mut self, name: &str, value: f64) -> Self {
        self.figures.insert(name.into(), value);
        self
    }
}

/// A training of `steps` steps.
pub fn training(steps: u32, lr: f64, before: Params, after: Params) -> Training {
    Training {
        steps,
        lr,
        before,
        after,
        personal: None,
        figures: BTreeMap::new(),
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

    pub fn clients(&self) -> u32 {
        self.clients
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

    pub fn freeze_during(&self, glob: &str, start: f64, end: f64) {
        self.note(format!("freeze-during {glob} {start} {end}"));
    }

    pub fn keep(&self, glob: &str) {
        self.note(format!("keep {glob}"));
    }

    pub fn scale_lr(&self, factor: f64) {
        self.note(format!("scale-lr {factor}"));
    }

    pub fn envelope(&self, lambda: f64, rate: f64, period: u32) {
        self.note(format!("envelope {lambda} {rate} {period}"));
    }

    pub fn personal(&self, _from: &Params) -> Objective {
        self.note("personal".into());
        let (asked, within) = (self.asked.clone(), format!("{}personal: ", self.within));
        Objective { asked, within }
    }

    pub fn initial_loss(&self, examples: u32) {
        self.note(format!("initial-loss {examples}"));
    }

    #[allow(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
    fn note(&self, call: String) {
        let call = format!("{}{call}", self.within);
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

    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    pub fn before(&self) -> Params {
        self.before.clone()
    }

    pub fn after(&self) -> Params {
        self.after.clone()
    }

    pub fn personal(&self) -> Option<Params> {
        self.personal.clone()
    }
}
