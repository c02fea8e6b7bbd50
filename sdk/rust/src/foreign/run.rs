//! `run` by handles.

use super::abi::Function;
use super::datum::{Datum, Taken, items};
use super::params::Params;
use super::{call, resource};

resource! {
    /// The present round.
    Round, RoundDrop;
    number() -> u32 = RoundNumber;
    total() -> u32 = RoundTotal;
    clients() -> u32 = RoundClients;
    random() -> u64 = RoundRandom;
}

resource! {
    /// A client as the server knows it.
    Client, ClientDrop;
    id() -> u32 = ClientId;
    examples() -> u64 = ClientExamples;
    idle() -> Option<u32> = ClientIdle;
    figure(name: &str) -> Option<f64> = ClientFigure;
}

impl Taken for Vec<Client> {
    fn taken(datum: Datum) -> Result<Self, String> {
        items(datum)
    }
}

resource! {
    /// Tensors, scalars and bytes beside the parameters.
    Message, MessageDrop;
    put_params(name: &str, value: &Params) -> () = MessagePutParams;
    put_scalar(name: &str, value: f64) -> () = MessagePutScalar;
    put_bytes(name: &str, value: &[u8]) -> () = MessagePutBytes;
    params(name: &str) -> Option<Params> = MessageParams;
    scalar(name: &str) -> Option<f64> = MessageScalar;
    bytes(name: &str) -> Option<Vec<u8>> = MessageBytes;
}

impl Message {
    #[allow(clippy::new_without_default, reason = "the contract's constructor")]
    pub fn new() -> Self {
        call(Function::MessageNew, Vec::new())
    }
}

resource! {
    /// What outlasts a call.
    State, StateDrop;
    put_params(name: &str, value: &Params) -> () = StatePutParams;
    put_bytes(name: &str, value: &[u8]) -> () = StatePutBytes;
    params(name: &str) -> Option<Params> = StateParams;
    bytes(name: &str) -> Option<Vec<u8>> = StateBytes;
}

resource! {
    /// One client's answer.
    Update, UpdateDrop;
    client() -> Client = UpdateClient;
    examples() -> u64 = UpdateExamples;
    steps() -> u32 = UpdateSteps;
    lr() -> f64 = UpdateLr;
    staleness() -> u32 = UpdateStaleness;
    figure(name: &str) -> Option<f64> = UpdateFigure;
    delta() -> Params = UpdateDelta;
    message() -> Message = UpdateMessage;
}

resource! {
    /// The updates of a round.
    Updates, UpdatesDrop;
    count() -> u32 = UpdatesCount;
    get(index: u32) -> Update = UpdatesGet;
}

resource! {
    /// What the host adds to a client's local training.
    Objective, ObjectiveDrop;
    proximal(mu: f64, reference: &Params) -> () = ObjectiveProximal;
    linear(gradient: &Params) -> () = ObjectiveLinear;
    correct(direction: &Params) -> () = ObjectiveCorrect;
    freeze(glob: &str) -> () = ObjectiveFreeze;
    freeze_during(glob: &str, start: f64, end: f64) -> () = ObjectiveFreezeDuring;
    keep(glob: &str) -> () = ObjectiveKeep;
    scale_lr(factor: f64) -> () = ObjectiveScaleLr;
    envelope(lambda: f64, rate: f64, period: u32) -> () = ObjectiveEnvelope;
    personal(from: &Params) -> Objective = ObjectivePersonal;
    initial_loss(examples: u32) -> () = ObjectiveInitialLoss;
}

resource! {
    /// A finished local training.
    Training, TrainingDrop;
    steps() -> u32 = TrainingSteps;
    lr() -> f64 = TrainingLr;
    figure(name: &str) -> Option<f64> = TrainingFigure;
    before() -> Params = TrainingBefore;
    after() -> Params = TrainingAfter;
    personal() -> Option<Params> = TrainingPersonal;
}

/// A line for the log.
pub fn log(level: &str, message: &str) {
    call(Function::Log, vec![level.into(), message.into()])
}

/// A scalar for the run's record.
pub fn report(name: &str, value: f64) {
    call(Function::Report, vec![name.into(), value.into()])
}
