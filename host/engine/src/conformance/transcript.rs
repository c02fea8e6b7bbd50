//! What a plugin answered, as digests by place, so that two trials can be compared.

use folkmoot_params::{Objective, Params};
use folkmoot_plugin::{Message, State};
use sha2::{Digest, Sha256};

/// Answers in the order in which they were given.
#[derive(Default)]
pub(super) struct Transcript(Vec<(String, [u8; 32])>);

impl Transcript {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes down what was answered at `place`.
    pub(super) fn add(&mut self, place: String, write: impl FnOnce(&mut Digesting)) {
        let mut digesting = Digesting(Sha256::new());
        write(&mut digesting);
        self.0.push((place, digesting.0.finalize().into()));
    }

    /// The first place where `other` has another answer.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let pairs = self.0.iter().zip(&other.0);
        let first = pairs
            .into_iter()
            .find(|(own, other)| own != other)
            .map(|(own, _)| own.0.clone());
        first.or_else(|| (self.len() != other.len()).then(|| "the number of calls".to_owned()))
    }
}

/// A digest of one answer, every part behind its length.
pub(super) struct Digesting(Sha256);

impl Digesting {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn number(&mut self, number: f64) {
        self.bytes(&number.to_bits().to_le_bytes());
    }

    pub(super) fn params(&mut self, params: &Params) {
        for tensor in params.structure().tensors() {
            self.bytes(tensor.name.as_bytes());
            self.bytes(format!("{:?}", tensor.shape).as_bytes());
        }
        for value in params.values() {
            self.0.update(value.to_bits().to_le_bytes());
        }
    }

    pub(super) fn message(&mut self, message: &Message) {
        for (name, params) in &message.params {
            self.bytes(name.as_bytes());
            self.params(params);
        }
        for (name, scalar) in &message.scalars {
            self.bytes(name.as_bytes());
            self.number(*scalar);
        }
        for (name, bytes) in &message.bytes {
            self.bytes(name.as_bytes());
            self.bytes(bytes);
        }
    }

    pub(super) fn state(&mut self, state: &State) {
        for (name, params) in &state.params {
            self.bytes(name.as_bytes());
            self.params(params);
        }
        for (name, bytes) in &state.bytes {
            self.bytes(name.as_bytes());
            self.bytes(bytes);
        }
    }

    pub(super) fn objective(&mut self, objective: &Objective) {
        for (mu, reference) in &objective.proximal {
            self.number(*mu);
            self.params(reference);
        }
        for terms in [&objective.linear, &objective.correct] {
            self.bytes(&[terms.len() as u8]);
            terms.iter().for_each(|term| self.params(term));
        }
        let others = format!(
            "{:?}",
            (
                &objective.freeze,
                &objective.freeze_during,
                &objective.keep,
                objective.lr_factor.to_bits(),
                objective.envelope,
                objective.initial_loss,
            )
        );
        self.bytes(others.as_bytes());
        if let Some(personal) = &objective.personal {
            self.params(&personal.0);
            self.objective(&personal.1);
        }
    }
}
