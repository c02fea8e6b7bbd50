//! What the host asks of every plugin before it is let near a run: that it is documented, that the same input
//! gives the same answer in any host, and that it makes sense at the edges.

mod algorithm;
mod federation;
mod metric;
mod partitioner;
mod recorded;
mod timing;
mod transcript;

use folkmoot_plugin::{Algorithm, Failure, Kind, Metric, Partitioner, Plugin, PluginError};
use serde_json::Value;

pub use timing::{Load, Timed};
use transcript::Transcript;

/// Which host a plugin is loaded into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    /// The one that was there before.
    Reused,
    /// One that has not called anything yet.
    Fresh,
}

/// A plugin on trial: how to load it, and the settings that it gets.
pub struct Candidate<'a> {
    pub load: &'a dyn Fn(Host) -> Result<Plugin, PluginError>,
    pub settings: Value,
    /// Rows to ask a metric about, instead of made-up ones.
    pub examples: Option<Vec<Value>>,
}

/// What one question to a plugin brought to light.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub case: String,
    pub verdict: Verdict,
}

/// How it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As it should be; what was seen.
    Held(String),
    /// The plugin said no, in words, as it may.
    Refused(String),
    /// As it must not be.
    Broken(String),
}

impl Finding {
    fn new(case: &str, verdict: Verdict) -> Self {
        let case = case.to_owned();
        Self { case, verdict }
    }
}

impl Verdict {
    /// A plugin may refuse; it may not crash, run out of time or memory, or answer nonsense.
    fn of(outcome: Result<String, PluginError>) -> Self {
        match outcome {
            Ok(seen) => Self::Held(seen),
            Err(PluginError::Call {
                call,
                failure: Failure::Refused { message },
                ..
            }) => Self::Refused(format!("`{call}`: {message}")),
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}

/// Whom findings are told as they come.
pub type Tell<'a> = &'a mut dyn FnMut(&Finding);

impl Candidate<'_> {
    /// What can be said without asking anything, and whether the same input twice, in one host and in another,
    /// gives the same answer.
    pub fn check(&self, tell: Tell) -> Result<Vec<Finding>, PluginError> {
        let plugin = (self.load)(Host::Reused)?;
        let mut findings = vec![contract(&plugin), summary(&plugin), settings(&plugin)];
        findings.iter().for_each(&mut *tell);
        let own = Loaded::new(plugin, &self.settings)?;
        let first = own.transcript(self);
        // The very same one at first: loaded anew, a library has forgotten what it kept between calls.
        let again = |host: Host| -> Result<Transcript, PluginError> {
            match host {
                Host::Reused => own.transcript(self),
                Host::Fresh => Loaded::new((self.load)(host)?, &self.settings)?.transcript(self),
            }
        };
        for (case, host) in [
            ("same input twice", Host::Reused),
            ("same input in another host", Host::Fresh),
        ] {
            let finding = Finding::new(case, repeated(&first, again(host)));
            tell(&finding);
            findings.push(finding);
        }
        Ok(findings)
    }

    /// Every case of the plugin's kind.
    pub fn conform(&self, tell: Tell) -> Result<Vec<Finding>, PluginError> {
        let kind = (self.load)(Host::Reused)?.kind;
        match kind {
            Kind::Algorithm => algorithm::conform(self, tell),
            Kind::Partitioner => partitioner::conform(self, tell),
            Kind::Metric => metric::conform(self, tell),
        }
    }
}

/// A plugin with its settings, which can be asked the same again.
enum Loaded {
    Algorithm(Box<Algorithm>),
    Partitioner(Box<Partitioner>),
    Metric(Box<Metric>),
}

impl Loaded {
    fn new(plugin: Plugin, settings: &Value) -> Result<Self, PluginError> {
        Ok(match plugin.kind {
            Kind::Algorithm => Self::Algorithm(Box::new(Algorithm::new(plugin, settings)?)),
            Kind::Partitioner => Self::Partitioner(Box::new(Partitioner::new(plugin, settings)?)),
            Kind::Metric => Self::Metric(Box::new(Metric::new(plugin, settings)?)),
        })
    }

    /// What it answers to everything that its kind is asked, or why it refuses that.
    fn transcript(&self, candidate: &Candidate) -> Result<Transcript, PluginError> {
        match self {
            Self::Algorithm(own) => algorithm::transcript(own),
            Self::Partitioner(own) => partitioner::transcript(own),
            Self::Metric(own) => metric::transcript(own, candidate),
        }
    }
}

/// Whether the same input brought the same answers; a refusal is one, too.
fn repeated(
    first: &Result<Transcript, PluginError>,
    again: Result<Transcript, PluginError>,
) -> Verdict {
    match (first, again) {
        (Ok(first), Ok(again)) => match first.difference(&again) {
            None => Verdict::Held(format!("{} answers, bit for bit", first.len())),
            Some(place) => Verdict::Broken(format!(
                "{place} answers otherwise\n\nhint: an answer may depend on its input, the state and `random` alone"
            )),
        },
        (Ok(_), Err(error)) => Verdict::Broken(format!("it answered once, and then: {error}")),
        (Err(error), Ok(_)) => Verdict::Broken(format!("it answered only after this: {error}")),
        (Err(first), Err(again)) if first.to_string() == again.to_string() => {
            Verdict::of(Err(again))
        }
        (Err(first), Err(again)) => Verdict::Broken(format!(
            "it fails in another way: {again}\nafter this: {first}"
        )),
    }
}

/// The plugin loaded, so its contract fits; this says which, and what it uses of it.
fn contract(plugin: &Plugin) -> Finding {
    let own = |names: &[String]| -> String {
        let names = names.iter().map(|name| {
            let name = name.strip_prefix("folkmoot:plugin/").unwrap_or(name);
            name.split('@').next().unwrap_or(name)
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let imports = match plugin.imports.is_empty() {
        true => "nothing".to_owned(),
        false => own(&plugin.imports),
    };
    let seen = format!(
        "folkmoot:plugin@{}; exports {}; imports {imports}",
        plugin.contract(),
        own(&plugin.exports),
    );
    Finding::new("contract", Verdict::Held(seen))
}

fn summary(plugin: &Plugin) -> Finding {
    let (summary, references) = (
        plugin.description.summary.trim(),
        plugin.description.references.len(),
    );
    let verdict = match summary.lines().next() {
        Some(first) => Verdict::Held(format!("{first} ({references} references)")),
        None => Verdict::Broken(
            "there is none\n\nhint: the doc comment of the plugin's type is its summary".into(),
        ),
    };
    Finding::new("summary", verdict)
}

/// Each setting says what it means, and the schema is closed: a misspelt name must not pass.
fn settings(plugin: &Plugin) -> Finding {
    let settings = plugin.settings();
    let mute: Vec<&str> = settings
        .iter()
        .filter(|setting| setting.help.trim().is_empty())
        .map(|setting| setting.name.as_str())
        .collect();
    let open = plugin.description.settings["additionalProperties"] != Value::Bool(false);
    let verdict = if !mute.is_empty() {
        Verdict::Broken(format!(
            "{} without a meaning: `{}`\n\nhint: the doc comment of a field is its help",
            mute.len(),
            mute.join("`, `")
        ))
    } else if open {
        Verdict::Broken(
            "unknown names would pass\n\nhint: `#[serde(deny_unknown_fields)]`, or `additionalProperties: false` in the schema"
                .into(),
        )
    } else {
        let required = settings.iter().filter(|setting| setting.required).count();
        Verdict::Held(format!(
            "{}, {required} required, each with a meaning",
            settings.len()
        ))
    };
    Finding::new("settings", verdict)
}
