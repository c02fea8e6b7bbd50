//! Everything that can be wrong with a plugin. Typed because the tests and the exit code branch on it.

use std::fmt;
use std::path::PathBuf;

use crate::{Kind, NativeProblem};

/// What is wrong, and with which plugin.
#[derive(Debug)]
pub enum PluginError {
    /// No plugin of that name in any place that is searched.
    NotFound {
        name: String,
        kind: Kind,
        known: Vec<String>,
        nearest: Option<String>,
    },
    /// The file cannot be read.
    Unreadable { path: PathBuf, cause: String },
    /// The bytes are no component that this host can compile.
    NotAComponent { plugin: String, cause: String },
    /// It exports no interface of the contract, or another kind than was asked for.
    WrongKind {
        plugin: String,
        expected: Kind,
        found: Option<Kind>,
    },
    /// It wants something that no plugin gets.
    UnknownImport { plugin: String, import: String },
    /// It was built against another version of the contract.
    ContractVersion {
        plugin: String,
        interface: String,
        host: &'static str,
    },
    /// Its description is not what the contract says.
    BadDescription { plugin: String, cause: String },
    /// The settings do not fit its schema.
    Settings {
        plugin: String,
        problems: Vec<String>,
    },
    /// A call went wrong.
    Call {
        plugin: String,
        call: &'static str,
        failure: Failure,
    },
    /// It is a native library, and cannot be used as one.
    Native {
        plugin: String,
        problem: NativeProblem,
    },
    /// The cache of compiled components cannot be used.
    Cache { path: PathBuf, cause: String },
}

/// How a call went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The plugin said no.
    Refused { message: String },
    /// The plugin crashed, or asked the host for something impossible.
    Trapped { cause: String },
    /// It did not answer in time.
    OutOfTime { seconds: f64 },
    /// It asked for more memory than it may have.
    OutOfMemory {
        of: &'static str,
        asked: usize,
        limit: usize,
    },
    /// It asked for more operations on parameters than it may.
    OutOfOperations { limit: usize },
    /// It holds more handles than it may.
    OutOfHandles { limit: usize },
    /// It answered something that makes no sense.
    BadOutput { cause: String },
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound {
                name,
                kind,
                known,
                nearest,
            } => {
                write!(f, "no {kind} named `{name}`; known: {}", known.join(", "))?;
                match nearest {
                    Some(nearest) => write!(f, "\n\nhint: did you mean `{nearest}`?"),
                    None => write!(
                        f,
                        "\n\nhint: a path to a component needs a slash or ends in .wasm"
                    ),
                }
            }
            Self::Unreadable { path, cause } => {
                write!(f, "plugin `{}` cannot be read: {cause}", path.display())
            }
            Self::NotAComponent { plugin, cause } => {
                write!(f, "plugin `{plugin}` is no WASM component: {cause}")
            }
            Self::WrongKind {
                plugin,
                expected,
                found: Some(found),
            } => write!(f, "plugin `{plugin}` is {found:#}, not {expected:#}"),
            Self::WrongKind {
                plugin, expected, ..
            } => write!(
                f,
                "plugin `{plugin}` exports no interface of folkmoot:plugin, so it is not {expected:#}"
            ),
            Self::UnknownImport { plugin, import } => write!(
                f,
                "plugin `{plugin}` imports `{import}`, which no plugin gets: there is no file system, network, clock or environment"
            ),
            Self::ContractVersion {
                plugin,
                interface,
                host,
            } => write!(
                f,
                "plugin `{plugin}` speaks `{interface}`, this folkmoot speaks folkmoot:plugin@{host}\n\nhint: {}",
                match newer(interface, host) {
                    true => "upgrade folkmoot, or rebuild the plugin with an older SDK",
                    false => "rebuild the plugin with the SDK of this folkmoot",
                }
            ),
            Self::BadDescription { plugin, cause } => {
                write!(f, "plugin `{plugin}` describes itself wrongly: {cause}")
            }
            Self::Settings { plugin, problems } => {
                write!(f, "settings of plugin `{plugin}`: {}", problems.join("; "))
            }
            Self::Call {
                plugin,
                call,
                failure,
            } => write!(f, "plugin `{plugin}`, call `{call}`: {failure}"),
            Self::Native { plugin, problem } => write!(f, "plugin `{plugin}` {problem}"),
            Self::Cache { path, cause } => {
                write!(f, "cache of compiled plugins `{}`: {cause}", path.display())
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message } => write!(f, "refused: {message}"),
            Self::Trapped { cause } => write!(f, "crashed: {cause}"),
            Self::OutOfTime { seconds } => {
                write!(f, "out of time: no answer within {seconds} s")
            }
            Self::OutOfMemory { of, asked, limit } => write!(
                f,
                "out of memory: asked for {} MiB of {of}, may have {} MiB",
                asked.div_ceil(1 << 20),
                limit >> 20
            ),
            Self::OutOfOperations { limit } => {
                write!(
                    f,
                    "out of operations: asked for more than {limit} on parameters"
                )
            }
            Self::OutOfHandles { limit } => {
                write!(f, "out of handles: asked for more than {limit} at once")
            }
            Self::BadOutput { cause } => write!(f, "bad answer: {cause}"),
        }
    }
}

impl std::error::Error for PluginError {}

/// Whether `interface@version` is later than the host's contract.
fn newer(interface: &str, host: &str) -> bool {
    let parts = |version: &str| -> Vec<u32> {
        let digits = version.split('.').map(|part| part.parse().unwrap_or(0));
        digits.collect()
    };
    let version = interface.rsplit('@').next().unwrap_or_default();
    parts(version) > parts(host)
}
