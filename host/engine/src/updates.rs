//! The server's reading of what clients answer: no algorithm sees an update that was not checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_federation::{Answer, Digest, Federation};
use folkmoot_params::Params;
use folkmoot_plugin::{Client, Update};
use serde::Serialize;

use crate::parcel::open_message;

/// An answer that was left out of a round, and why.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Dropped {
    pub(crate) client: u32,
    pub(crate) cause: String,
}

/// What an answer is held against.
pub(crate) struct Expected<'a> {
    pub(crate) global: &'a Params,
    /// Clients as the server knows them.
    pub(crate) clients: &'a [Client],
    /// Most optimizer steps that a client was asked for.
    pub(crate) steps: usize,
}

impl Expected<'_> {
    /// The update of `answer`: right names and shapes, finite, plausible counts.
    ///
    /// Scalars are mapped from the blob, so that a cohort of any size fits in memory. Tensors that the
    /// client says it keeps are zero.
    pub(crate) fn update(
        &self,
        federation: &dyn Federation,
        answer: &Answer,
    ) -> Result<Arc<Update>> {
        let client = answer.client;
        let known = self.clients.get(client as usize);
        let known = known.with_context(|| format!("client {client} is unknown"))?;
        let figure = |name: &str| answer.figures.get(name).copied();
        let plausible = |name: &str, fits: &dyn Fn(f64) -> bool, expected: &str| {
            let value = figure(name).unwrap_or(f64::NAN);
            ensure!(fits(value), "`{name}` is {value}, not {expected}");
            Ok(value)
        };
        let (examples, steps) = (known.examples as f64, self.steps as f64);
        plausible("examples", &|own| own == examples, &format!("{examples}"))?;
        let within = |own: f64| own.fract() == 0.0 && (1.0..=steps).contains(&own);
        let steps = plausible("steps", &within, &format!("1 to {steps}"))?;
        let positive = |own: f64| own.is_finite() && own >= 0.0;
        let lr = plausible("lr", &positive, "a learning rate")?;
        plausible("loss", &f64::is_finite, "finite")?;
        let sent = Params::open(&federation.file(blob(&answer.outputs, "delta")?)?)?;
        let kept = figure("kept").unwrap_or(0.0);
        let delta = self.whole(&sent, kept)?;
        check_finite(client, "update", &sent)?;
        let message = open_message(&federation.file(blob(&answer.outputs, "message")?)?)?;
        for (name, params) in &message.params {
            check_finite(client, &format!("message `{name}`"), params)?;
        }
        Ok(Arc::new(Update {
            client: Client {
                figures: answer.figures.clone(),
                ..known.clone()
            },
            steps: steps as u32,
            lr,
            staleness: 0,
            delta,
            message,
        }))
    }

    /// `sent` with zeros for as many tensors as the client keeps.
    fn whole(&self, sent: &Params, kept: f64) -> Result<Params> {
        let (expected, own) = (self.global.structure(), sent.structure());
        let whole = match kept > 0.0
            && own.tensors().len() as f64 + kept == expected.tensors().len() as f64
        {
            true => self.global.filled(0.0).merge(sent)?,
            false => sent.clone(),
        };
        self.global.check_same_structure(&whole).context("update")?;
        Ok(whole)
    }
}

/// The blob of a role.
pub(crate) fn blob<'a>(blobs: &'a BTreeMap<String, Digest>, role: &str) -> Result<&'a Digest> {
    blobs
        .get(role)
        .with_context(|| format!("blob `{role}` is missing"))
}

/// Refuses values that are not finite, by client and tensor.
pub(crate) fn check_finite(client: u32, what: &str, params: &Params) -> Result<()> {
    match params.first_non_finite() {
        None => Ok(()),
        Some((tensor, index, value)) => {
            bail!("{what} of client {client}: tensor `{tensor}` holds {value} at {index}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use folkmoot_federation::InProcess;
    use std::time::Duration;

    fn params(values: [f32; 2]) -> Params {
        Params::from_tensors([("w".to_owned(), vec![2], values.to_vec())]).unwrap()
    }

    /// What is wrong with an update is said with its place.
    #[test]
    fn implausible_updates_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let exchange = InProcess::new(folder.path(), Duration::ZERO).unwrap();
        let (global, clients) = (
            params([0.0, 0.0]),
            [Client {
                examples: 5,
                ..Client::default()
            }],
        );
        let expected = Expected {
            global: &global,
            clients: &clients,
            steps: 3,
        };
        let message = crate::parcel::pack_message(&Default::default()).unwrap();
        let answer = |delta: &Params, change: (&str, f64)| {
            let figures = [
                ("examples", 5.0),
                ("steps", 3.0),
                ("lr", 0.1),
                ("loss", 2.0),
                change,
            ];
            Answer {
                round: 1,
                client: 0,
                outputs: BTreeMap::from([
                    (
                        "delta".to_owned(),
                        exchange.put(&delta.to_safetensors().unwrap()).unwrap(),
                    ),
                    ("message".to_owned(), exchange.put(&message).unwrap()),
                ]),
                figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
            }
        };
        let fine = params([1.0, 2.0]);
        let refusal = |delta: &Params, change| {
            let update = expected.update(&exchange, &answer(delta, change));
            format!("{:#}", update.unwrap_err())
        };
        let update = expected
            .update(&exchange, &answer(&fine, ("steps", 3.0)))
            .unwrap();
        assert_eq!(update.delta.values(), [1.0, 2.0]);
        assert_eq!(
            refusal(&fine, ("examples", 50.0)),
            "`examples` is 50, not 5"
        );
        assert_eq!(refusal(&fine, ("steps", 4.0)), "`steps` is 4, not 1 to 3");
        assert_eq!(
            refusal(&fine, ("lr", -1.0)),
            "`lr` is -1, not a learning rate"
        );
        assert_eq!(
            refusal(&fine, ("loss", f64::NAN)),
            "`loss` is NaN, not finite"
        );
        assert_eq!(
            refusal(&params([0.0, f32::NAN]), ("steps", 3.0)),
            "update of client 0: tensor `w` holds NaN at 1"
        );
        let other = Params::from_tensors([("v".to_owned(), vec![2], vec![0.0; 2])]).unwrap();
        assert_eq!(
            refusal(&other, ("steps", 3.0)),
            "update: tensor `w` is missing"
        );
        let unknown = Answer {
            client: 7,
            ..answer(&fine, ("steps", 3.0))
        };
        let error = expected
            .update(&exchange, &unknown)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "client 7 is unknown");
    }
}
