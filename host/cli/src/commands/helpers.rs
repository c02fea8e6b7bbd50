//! Judges and sandboxes that metrics may ask beside the model.

use anyhow::{Context, Result};
use folkmoot_data::Catalogue;
use folkmoot_engine::{Endpoint, Event, Judge, Programs, Remote, open_interpreter, settings};
use folkmoot_plugin::Interpreter;
use serde_json::Value;

use crate::arguments::HelperArguments;
use crate::places::{cache, catalogue};
use crate::screen::Screen;

/// Whom metrics may ask beside the model.
pub(crate) struct Helpers {
    judge: Option<Remote>,
    programs: Option<Interpreter>,
}

impl Helpers {
    pub(crate) fn open(arguments: &HelperArguments, screen: &Screen) -> Result<Self> {
        let judge = match (&arguments.judge, &arguments.judge_model) {
            (Some(url), Some(model)) => Some(remote(url, model, &arguments.judge_set)?),
            _ => None,
        };
        let programs = match arguments.execute {
            true => Some(interpreter(screen)?),
            false => None,
        };
        Ok(Self { judge, programs })
    }

    /// Who judges, for a record.
    pub(crate) fn identity(&self) -> Value {
        let judge = self.judge.as_ref();
        judge.map_or(Value::Null, |judge| serde_json::json!(judge.endpoint()))
    }

    pub(crate) fn judge(&self) -> Option<&dyn Judge> {
        self.judge.as_ref().map(|judge| judge as &dyn Judge)
    }

    pub(crate) fn programs(&self) -> Option<&dyn Programs> {
        self.programs.as_ref().map(|own| own as &dyn Programs)
    }

    /// What was asked of the judge, if there is one.
    pub(crate) fn told(&self, screen: &Screen) {
        if let Some(judge) = &self.judge {
            screen.line(&format!("judge: {}", counted(judge)));
        }
    }
}

pub(crate) fn counted(remote: &Remote) -> String {
    let own = remote.statistics();
    format!(
        "{} requests asked, {} answered by the cache, {} tried again, {} + {} tokens",
        own.asked, own.cached, own.retried, own.prompt_tokens, own.completion_tokens
    )
}

fn interpreter(screen: &Screen) -> Result<Interpreter> {
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let cache = cache()?;
    open_interpreter(
        &catalogue,
        &cache.join("files"),
        &cache.join("compiled"),
        &mut told,
    )
}

pub(crate) fn remote(url: &str, model: &str, changes: &[String]) -> Result<Remote> {
    let mut given = settings(changes)?;
    given["url"] = Value::from(url);
    given["model"] = Value::from(model);
    let endpoint: Endpoint = serde_json::from_value(given).context("settings of the endpoint")?;
    Remote::open(&endpoint, &cache()?.join("answers"))
}
