//! What can be wrong with a native library before its first call.

use std::fmt;
use std::path::PathBuf;

/// What is wrong with it.
#[derive(Debug)]
pub enum NativeProblem {
    /// The user has not said that it may run.
    NotAllowed { path: PathBuf },
    /// The private copy that is loaded cannot be written.
    NoCopy { folder: PathBuf, cause: String },
    /// The system cannot load it.
    NoLibrary { cause: String },
    /// It lacks a function of the ABI.
    NoSymbol { name: &'static str },
    /// It speaks another ABI.
    Abi { found: u32, host: u32 },
    /// It exports no interface that this host knows.
    Interface { number: u32 },
}

/// What follows "plugin `name`".
impl fmt::Display for NativeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { path } => write!(
                f,
                "is a native library, which runs without a sandbox, with all rights of the user\n\nhint: if you trust \
                 it, add `--allow-native {}`",
                path.display()
            ),
            Self::NoCopy { folder, cause } => {
                write!(f, "cannot be copied to `{}`: {cause}", folder.display())
            }
            Self::NoLibrary { cause } => write!(
                f,
                "is no library that this machine can load: {cause}\n\nhint: `folkmoot plugin build FOLDER --native` \
                 builds one for this machine"
            ),
            Self::NoSymbol { name } => write!(
                f,
                "is no native plugin: it has no function `{name}`\n\nhint: `folkmoot plugin build FOLDER --native` \
                 builds one from a plugin's source, `folkmoot_plugin.h` says what others export"
            ),
            Self::Abi { found, host } => write!(
                f,
                "speaks version {found} of the native ABI, this folkmoot speaks version {host}\n\nhint: {}",
                match found > host {
                    true => "upgrade folkmoot, or rebuild the plugin with an older SDK",
                    false => "rebuild the plugin with the SDK of this folkmoot",
                }
            ),
            Self::Interface { number } => write!(
                f,
                "exports interface {number}, which this folkmoot does not know\n\nhint: upgrade folkmoot, or rebuild \
                 the plugin with its SDK"
            ),
        }
    }
}
