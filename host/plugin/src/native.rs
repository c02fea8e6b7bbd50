//! Native plugins: shared libraries behind the C ABI of `sdk/native/folkmoot_plugin.h`, loaded only where the user
//! allows it, since nothing keeps them from what the user may do.

#[path = "../../../sdk/rust/src/foreign/abi.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the SDK's file, which is public there"
)]
pub(crate) mod abi;
#[path = "../../../sdk/rust/src/foreign/datum.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the SDK's file, which is public there"
)]
pub(crate) mod datum;
mod desk;
mod functions;
mod handles;
mod problem;

use std::ffi::{CStr, c_char};
use std::fs;
use std::path::Path;

use libloading::Library;

use crate::host::{Host, refuse};
use abi::{ABI, Code, Hook, Interface, PluginCall, Value};
use datum::{Datum, Lowered, Taken};
use desk::Desk;

pub use problem::NativeProblem;

/// A library that was loaded and speaks this ABI.
pub(crate) struct Native {
    pub(crate) interface: Interface,
    /// The version of the contract that it was built for.
    pub(crate) contract: String,
    call: PluginCall,
    free: unsafe extern "C" fn(*mut Value),
}

impl Native {
    /// Loads the library that `bytes` are. It is loaded from a private copy in `folder`, which only this user can write
    /// to, so that what is loaded is what was read, whatever happens to the file meanwhile. Its initialisers run.
    pub(crate) fn load(bytes: &[u8], folder: &Path) -> Result<Self, NativeProblem> {
        let unusable = |error: std::io::Error| NativeProblem::NoCopy {
            folder: folder.to_owned(),
            cause: error.to_string(),
        };
        let copy = tempfile::Builder::new()
            .prefix("native-")
            .tempdir_in(folder);
        let copy = copy.map_err(unusable)?;
        let file = copy
            .path()
            .join(format!("plugin{}", std::env::consts::DLL_SUFFIX));
        fs::write(&file, bytes).map_err(unusable)?;
        let library = open(&file).map_err(|cause| NativeProblem::NoLibrary {
            // The copy's name says nothing to anyone.
            cause: cause.replace(&format!("{}: ", file.display()), ""),
        })?;
        // Never unloaded: it may have left destructors with threads. It goes with the process, a plugin or two.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: the header gives these functions these types, and `folkmoot_abi` has had the same since the first;
        // the others are called only after it has said that the library speaks this ABI.
        #[allow(unsafe_code, reason = "functions of a shared library")]
        unsafe {
            let abi: unsafe extern "C" fn() -> u32 = symbol(library, "folkmoot_abi")?;
            let found = abi();
            if found != ABI {
                return Err(NativeProblem::Abi { found, host: ABI });
            }
            let contract: unsafe extern "C" fn() -> *const c_char =
                symbol(library, "folkmoot_contract")?;
            let kind: unsafe extern "C" fn() -> u32 = symbol(library, "folkmoot_kind")?;
            let call = symbol(library, "folkmoot_call")?;
            let free = symbol(library, "folkmoot_free")?;
            let contract = contract();
            let contract = match contract.is_null() {
                true => String::new(),
                false => CStr::from_ptr(contract).to_string_lossy().into_owned(),
            };
            let number = kind();
            Ok(Self {
                interface: Interface::of(number).ok_or(NativeProblem::Interface { number })?,
                contract,
                call,
                free,
            })
        }
    }

    /// Calls `hook`; the inner error is the plugin's own refusal.
    pub(crate) fn call<T: Taken>(
        &self,
        host: &mut Host,
        hook: Hook,
        arguments: Vec<Datum>,
    ) -> wasmtime::Result<Result<T, String>> {
        let mut desk = Desk::new(host, &arguments);
        let arguments = Lowered::new(arguments);
        let (values, mut result) = (arguments.values(), Value::NOTHING);
        let code = desk.open(|given| {
            // SAFETY: the library said that it speaks this ABI; what it gets holds until it returns.
            #[allow(unsafe_code, reason = "a function of a shared library")]
            unsafe {
                (self.call)(
                    given,
                    hook.number(),
                    values.as_ptr(),
                    values.len(),
                    &raw mut result,
                )
            }
        });
        // SAFETY: a result holds until it is freed, below.
        #[allow(unsafe_code, reason = "memory of a shared library")]
        let datum = unsafe { Datum::read(&result) };
        let said = desk.close(code, datum);
        // SAFETY: once after every call, on its thread, as the header says; `said` owns what it holds.
        #[allow(unsafe_code, reason = "a function of a shared library")]
        unsafe {
            (self.free)(&raw mut result);
        }
        said
    }
}

/// The library in `file`, with all that it needs resolved, its symbols its own.
#[allow(unsafe_code, reason = "loading a shared library runs its initialisers")]
fn open(file: &Path) -> Result<Library, String> {
    let told = |error: libloading::Error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    };
    #[cfg(unix)]
    {
        use libloading::os::unix;
        // SAFETY: the user allowed this very library, with all that it does.
        let library = unsafe { unix::Library::open(Some(file), unix::RTLD_NOW | unix::RTLD_LOCAL) };
        library.map(Library::from).map_err(told)
    }
    #[cfg(not(unix))]
    {
        // SAFETY: the user allowed this very library, with all that it does.
        unsafe { Library::new(file) }.map_err(told)
    }
}

/// # Safety
/// `T` is the type that the header gives the function called `name`.
#[allow(unsafe_code, reason = "functions of a shared library")]
unsafe fn symbol<T: Copy>(
    library: &'static Library,
    name: &'static str,
) -> Result<T, NativeProblem> {
    // SAFETY: the caller's promise.
    let found = unsafe { library.get::<T>(name) };
    found
        .map(|own| *own)
        .map_err(|_| NativeProblem::NoSymbol { name })
}

/// What a hook answered, by its code.
fn said<T: Taken>(code: i32, datum: Result<Datum, String>) -> wasmtime::Result<Result<T, String>> {
    let text = |datum: Datum| match String::taken(datum) {
        Ok(text) if !text.is_empty() => text,
        _ => "it does not say why".into(),
    };
    let wrong = |cause: String| refuse(format!("its answer: {cause}"));
    match u32::try_from(code).ok().and_then(Code::of) {
        Some(Code::Done) => Ok(Ok(datum.and_then(T::taken).map_err(wrong)?)),
        Some(Code::Refused) => Ok(Err(datum.map(text).map_err(wrong)?)),
        Some(Code::Failed) => Err(refuse(datum.map_or_else(|cause| cause, text))),
        None => Err(refuse(format!(
            "it returned {code}, which is no code of the ABI"
        ))),
    }
}
