//! A plugin that was read, checked and compiled: what kind it is and what it says of itself.

use std::fmt;

use folkmoot_params::Seed;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wasmtime::component::InstancePre;

use crate::bindings::CONTRACT;
use crate::bindings::exports::folkmoot::plugin::{algorithm, block_kernel, metric, partitioner};
use crate::call::called_fallibly;
use crate::host::Host;
use crate::native::Native;
use crate::native::abi::{Hook, Interface};
use crate::sandbox::{CompileError, Note, Said, Sandbox, place};
use crate::session::Describing;
use crate::settings::{Setting, settings};
use crate::{Failure, PluginError, schema};

/// What is said of a native plugin wherever it is used.
const UNSANDBOXED: &str =
    "a native library: it runs without a sandbox, with all rights of the user";

/// The plugin kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Algorithm,
    Partitioner,
    Metric,
}

impl Kind {
    /// All kinds, in the order in which a run uses them.
    pub const ALL: [Kind; 3] = [Kind::Partitioner, Kind::Algorithm, Kind::Metric];
}

/// `{}` is the bare noun, `{:#}` has its article.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (article, noun) = match self {
            Self::Algorithm => ("an ", "algorithm"),
            Self::Partitioner => ("a ", "partitioner"),
            Self::Metric => ("a ", "metric"),
        };
        write!(f, "{}{noun}", if f.alternate() { article } else { "" })
    }
}

/// Bytes of a description.
const DESCRIPTION: usize = 256 << 10;

/// What a plugin says of itself.
#[derive(Clone, Deserialize, Debug)]
pub struct Description {
    pub summary: String,
    #[serde(default)]
    pub references: Vec<String>,
    #[serde(default)]
    pub traits: serde_json::Map<String, Value>,
    /// JSON Schema of the settings.
    pub settings: Value,
}

/// What a metric says of one of its scores.
#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub struct ScoreInfo {
    pub name: String,
    pub meaning: String,
    pub higher_is_better: bool,
    /// How its standard error is found: `closed_form`, `bootstrap` or `none`.
    pub error: String,
}

/// A plugin, ready to be called.
pub struct Plugin {
    pub name: String,
    /// SHA-256 of the component or library, in hexadecimal.
    pub digest: String,
    pub kind: Kind,
    pub description: Description,
    /// Interfaces of the contract that it calls, and those that it offers, with their versions.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub(crate) sandbox: Sandbox,
    pub(crate) code: Code,
}

/// What runs when it is called.
pub(crate) enum Code {
    Component {
        pre: InstancePre<Host>,
        indices: Indices,
    },
    Native(Native),
}

#[derive(Clone)]
pub(crate) enum Indices {
    Algorithm(algorithm::GuestIndices),
    BlockKernel(block_kernel::GuestIndices),
    Partitioner(partitioner::GuestIndices),
    Metric(metric::GuestIndices),
}

impl Plugin {
    /// Reads `bytes` as a plugin called `name`: everything that can be wrong without a call is found here.
    pub fn load(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> Result<Self, PluginError> {
        let plugin = || name.to_owned();
        let digest = digest(bytes);
        let component = sandbox
            .compile(&digest, bytes)
            .map_err(|error| match error {
                CompileError::Component(cause) => PluginError::NotAComponent {
                    plugin: plugin(),
                    cause,
                },
                CompileError::Cache(error) => error,
            })?;
        let ty = component.component_type();
        let imports = ty.imports(&sandbox.engine).map(|(name, _)| name.to_owned());
        let imports: Vec<String> = imports.collect();
        for import in &imports {
            if !import.starts_with("folkmoot:plugin/") {
                return Err(PluginError::UnknownImport {
                    plugin: plugin(),
                    import: import.clone(),
                });
            }
            check_version(name, import)?;
        }
        let (mut found, mut by_block, mut exports) = (None, false, Vec::new());
        for (export, _) in ty.exports(&sandbox.engine) {
            if let Some(kind) = kind_of(export) {
                check_version(name, export)?;
                exports.push(export.to_owned());
                found = Some(kind);
                by_block = export.starts_with("folkmoot:plugin/block-kernel@");
            }
        }
        let kind = found.ok_or(PluginError::WrongKind {
            plugin: plugin(),
            expected: Kind::Algorithm,
            found: None,
        })?;
        // The versions agree, so what does not link here is newer than this host within its version.
        let newer = |error: wasmtime::Error| PluginError::ContractVersion {
            plugin: plugin(),
            interface: format!("a later folkmoot:plugin@0.1 ({error:#})"),
            host: CONTRACT,
        };
        let pre = sandbox.linker.instantiate_pre(&component).map_err(newer)?;
        let indices = match kind {
            Kind::Algorithm if by_block => {
                block_kernel::GuestIndices::new(&pre).map(Indices::BlockKernel)
            }
            Kind::Algorithm => algorithm::GuestIndices::new(&pre).map(Indices::Algorithm),
            Kind::Partitioner => partitioner::GuestIndices::new(&pre).map(Indices::Partitioner),
            Kind::Metric => metric::GuestIndices::new(&pre).map(Indices::Metric),
        };
        let indices = indices.map_err(newer)?;
        let code = Code::Component { pre, indices };
        let described = Self::described(sandbox, name, digest, kind, code)?;
        Ok(Self {
            imports,
            exports,
            ..described
        })
    }

    /// Reads `bytes` as a shared library that is a plugin called `name`. It runs without a sandbox: nothing but the
    /// user's word, which the caller has, allows this.
    pub(crate) fn load_native(
        sandbox: &Sandbox,
        name: &str,
        bytes: &[u8],
    ) -> Result<Self, PluginError> {
        let native = Native::load(bytes, sandbox.folder());
        let native = native.map_err(|problem| PluginError::Native {
            plugin: name.to_owned(),
            problem,
        })?;
        check_version(name, &format!("folkmoot:plugin@{}", native.contract))?;
        let kind = match native.interface {
            Interface::Algorithm | Interface::BlockKernel => Kind::Algorithm,
            Interface::Partitioner => Kind::Partitioner,
            Interface::Metric => Kind::Metric,
        };
        (sandbox.listener)(Note {
            plugin: name.to_owned(),
            call: "load",
            place: place(),
            said: Said::Log {
                level: "warn".into(),
                message: UNSANDBOXED.into(),
            },
        });
        let exports = vec![format!("folkmoot:plugin/{kind}@{}", native.contract)];
        let code = Code::Native(native);
        let described = Self::described(sandbox, name, digest(bytes), kind, code)?;
        Ok(Self {
            exports,
            ..described
        })
    }

    fn described(
        sandbox: &Sandbox,
        name: &str,
        digest: String,
        kind: Kind,
        code: Code,
    ) -> Result<Self, PluginError> {
        let mut loaded = Self {
            name: name.to_owned(),
            digest,
            kind,
            description: Description {
                summary: String::new(),
                references: Vec::new(),
                traits: serde_json::Map::new(),
                settings: Value::Null,
            },
            imports: Vec::new(),
            exports: Vec::new(),
            sandbox: sandbox.clone(),
            code,
        };
        loaded.description = loaded.describe()?;
        Ok(loaded)
    }

    /// Where it runs.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Whether it runs in the sandbox: a native library does not.
    pub fn is_sandboxed(&self) -> bool {
        matches!(self.code, Code::Component { .. })
    }

    /// What a user should know before it runs.
    pub fn caution(&self) -> Option<String> {
        let native = !self.is_sandboxed();
        native.then(|| format!("plugin `{}` is {UNSANDBOXED}", self.name))
    }

    /// What a record says of it: kind, name, digest, and where there was no sandbox that there was none.
    pub fn identity(&self) -> Value {
        let kind = self.kind.to_string();
        let mut identity = json!({ "kind": kind, "name": self.name, "sha256": self.digest });
        if !self.is_sandboxed() {
            identity["sandboxed"] = false.into();
        }
        identity
    }

    /// Whether it is a block kernel.
    pub(crate) fn is_by_block(&self) -> bool {
        match &self.code {
            Code::Component { indices, .. } => matches!(indices, Indices::BlockKernel(_)),
            Code::Native(native) => native.interface == Interface::BlockKernel,
        }
    }

    /// The settings as its schema documents them.
    pub fn settings(&self) -> Vec<Setting> {
        settings(&self.description.settings)
    }

    /// The version of the contract that it was built against.
    pub fn contract(&self) -> &str {
        let first = self.exports.first().and_then(|own| own.split_once('@'));
        first.map_or(CONTRACT, |(_, version)| version)
    }

    /// What a metric says of its scores; empty for other kinds, or where it says nothing.
    pub fn scores(&self) -> Vec<ScoreInfo> {
        let scores = self.description.traits.get("scores").cloned();
        scores
            .and_then(|scores| serde_json::from_value(scores).ok())
            .unwrap_or_default()
    }

    /// Whether a metric says that it gives `score`. A name that it ends in `*` is the start of several.
    pub fn gives(&self, score: &str) -> bool {
        let fits = |own: ScoreInfo| match own.name.strip_suffix('*') {
            Some(start) => score.starts_with(start),
            None => own.name == score,
        };
        self.scores().into_iter().any(fits)
    }

    /// Whether a metric says that it asks `helper`: `judge` or `execute`.
    pub fn asks(&self, helper: &str) -> bool {
        let asks = self.description.traits.get("asks");
        let asks = asks.and_then(Value::as_array);
        asks.is_some_and(|asks| asks.iter().any(|own| own == helper))
    }

    /// Refuses a plugin of another kind.
    pub fn expect(self, expected: Kind) -> Result<Self, PluginError> {
        match self.kind == expected {
            true => Ok(self),
            false => Err(PluginError::WrongKind {
                plugin: self.name,
                expected,
                found: Some(self.kind),
            }),
        }
    }

    fn describe(&self) -> Result<Description, PluginError> {
        let text = called_fallibly(self, "describe", Seed(0), |session| {
            let exports = session.exports::<Describing>()?;
            let text = session.call(&exports, Hook::Describe, Vec::new(), |guest, store| {
                guest.call_describe(store).map(Ok)
            })?;
            session.host().copied_out(&text);
            Ok(text)
        })?
        .answer;
        let bad = |cause: String| PluginError::BadDescription {
            plugin: self.name.clone(),
            cause,
        };
        if text.len() > DESCRIPTION {
            let most = DESCRIPTION >> 10;
            return Err(bad(format!(
                "it has {} bytes, more than {most} KiB",
                text.len()
            )));
        }
        let description: Description =
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        // People read it on a terminal: summary, settings, scores.
        let mut told = std::iter::once(&description.summary).chain(&description.references);
        let mut traits = description.traits.iter();
        if told.any(|text| is_strange(text))
            || traits.any(|(name, own)| is_strange(name) || has_strange(own))
            || has_strange(&description.settings)
        {
            return Err(bad("it holds control characters".into()));
        }
        let schema = schema::check(&description.settings);
        schema.map_err(|cause| {
            bad(format!(
                "settings are no JSON Schema that is taken: {cause}"
            ))
        })?;
        Ok(description)
    }

    /// The error of a call whose answer makes no sense.
    pub(crate) fn bad_output(&self, call: &'static str, cause: String) -> PluginError {
        self.failed(call, Failure::BadOutput { cause })
    }

    pub(crate) fn failed(&self, call: &'static str, failure: Failure) -> PluginError {
        PluginError::Call {
            plugin: self.name.clone(),
            call,
            failure,
        }
    }
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text commands a terminal.
fn is_strange(text: &str) -> bool {
    text.contains(|c: char| c.is_control() && c != '\n' && c != '\t')
}

/// Whether any text or name in `value` does.
fn has_strange(value: &Value) -> bool {
    match value {
        Value::String(text) => is_strange(text),
        Value::Array(items) => items.iter().any(has_strange),
        Value::Object(members) => {
            let mut members = members.iter();
            members.any(|(name, own)| is_strange(name) || has_strange(own))
        }
        _ => false,
    }
}

fn kind_of(export: &str) -> Option<Kind> {
    let interface = export.strip_prefix("folkmoot:plugin/")?;
    match interface.split('@').next()? {
        "algorithm" | "block-kernel" => Some(Kind::Algorithm),
        "partitioner" => Some(Kind::Partitioner),
        "metric" => Some(Kind::Metric),
        _ => None,
    }
}

/// Versions agree up to the first number that is not 0: 0.1.7 is 0.1.0's like, 0.2.0 is not.
fn check_version(plugin: &str, interface: &str) -> Result<(), PluginError> {
    let version = interface.split('@').nth(1).unwrap_or("none");
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    match minor(version) == minor(CONTRACT) {
        true => Ok(()),
        false => Err(PluginError::ContractVersion {
            plugin: plugin.to_owned(),
            interface: interface.to_owned(),
            host: CONTRACT,
        }),
    }
}
