//! The contract over the C ABI of `sdk/native/folkmoot_plugin.h`: the same types as in the sandbox, as handles into
//! the host's memory. The feature `native` chooses it; the `export_…!` macros then export the ABI's functions.

#![allow(
    missing_docs,
    reason = "the public face is documented in wit/ and in the header"
)]

pub mod abi;
pub mod data;
pub mod datum;
pub mod evaluation;
pub mod export;
pub mod params;
pub mod run;

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Once;

use abi::{Code, Function, Host, Value};
use datum::{Datum, Lowered, Taken};

thread_local! {
    /// The host of the call that runs on this thread.
    static HOST: Cell<*const Host> = const { Cell::new(std::ptr::null()) };
    /// What the last call on this thread answered, until the host frees it.
    static ANSWER: RefCell<Option<Lowered<'static>>> = const { RefCell::new(None) };
    /// What the last panic on this thread said.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a function of the host answered.
enum Said<T> {
    Done(T),
    /// In words that the plugin may pass on.
    Refused(String),
    /// The call is over.
    Failed,
    /// It answered what it cannot.
    Broken(String),
}

/// What unwinds when the host ends the call; it knows the reason itself.
struct Over;

/// Calls `function`, and gives to `read` what it answers.
#[allow(unsafe_code, reason = "the C ABI")]
fn ask<T>(
    function: Function,
    arguments: Vec<Datum>,
    read: impl FnOnce(Datum) -> Result<T, String>,
) -> Said<T> {
    let host = HOST.get();
    if host.is_null() {
        return Said::Failed;
    }
    let arguments = Lowered::new(arguments);
    let (values, mut result) = (arguments.values(), Value::NOTHING);
    // SAFETY: `answer` set the pointer for the time of this call, on this thread; arguments and result live until
    // the host returns.
    let code = unsafe {
        let host = &*host;
        (host.call)(
            host.context,
            function.number(),
            values.as_ptr(),
            values.len(),
            &raw mut result,
        )
    };
    // SAFETY: what the host answers holds until it is called again, and `read` keeps nothing of it.
    let datum = || unsafe { Datum::read(&result) };
    match u32::try_from(code).ok().and_then(Code::of) {
        Some(Code::Done) => match datum().and_then(read) {
            Ok(answer) => Said::Done(answer),
            Err(cause) => Said::Broken(format!("the host's answer to {function:?}: {cause}")),
        },
        Some(Code::Refused) => match datum().and_then(String::taken) {
            Ok(reason) => Said::Refused(reason),
            Err(cause) => Said::Broken(format!("the host's refusal of {function:?}: {cause}")),
        },
        Some(Code::Failed) | None => Said::Failed,
    }
}

/// A function that cannot be refused in words: where the host says no, the call is over.
fn call<T: Taken>(function: Function, arguments: Vec<Datum>) -> T {
    match ask(function, arguments, T::taken) {
        Said::Done(answer) => answer,
        Said::Refused(cause) | Said::Broken(cause) => panic!("{cause}"),
        Said::Failed => over(),
    }
}

/// A function whose refusal the plugin may pass on.
fn call_fallibly<T: Taken>(function: Function, arguments: Vec<Datum>) -> Result<T, String> {
    match ask(function, arguments, T::taken) {
        Said::Done(answer) => Ok(answer),
        Said::Refused(reason) => Err(reason),
        Said::Broken(cause) => panic!("{cause}"),
        Said::Failed => over(),
    }
}

fn over() -> ! {
    match HOST.get().is_null() {
        true => panic!(
            "the host is called on another thread than the plugin, or after its call has returned"
        ),
        // Says nothing on the way, unlike a panic.
        false => resume_unwind(Box::new(Over)),
    }
}

/// A handle into the host's memory, dropped with `drop` if it is this plugin's own.
#[derive(Debug)]
struct Handle {
    number: u32,
    own: Option<Function>,
    /// Handles stay on the thread of their call.
    _thread: PhantomData<*const ()>,
}

impl Handle {
    fn new(number: u32, own: Option<Function>) -> Self {
        Self {
            number,
            own,
            _thread: PhantomData,
        }
    }

    /// Its number, which is now the host's to drop.
    fn give(mut self) -> u32 {
        self.own = None;
        self.number
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(drop) = self.own {
            // After a failure the host drops what is left.
            ask(drop, vec![Datum::Handle(self.number)], <()>::taken);
        }
    }
}

/// A resource of the contract, and its methods: `name(arguments) -> type = function;`. Those behind `?` the host may
/// refuse in words.
macro_rules! resource {
    (
        $(#[$doc:meta])* $name:ident, $drop:ident;
        $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty = $function:ident;)*
        $(? $fallible:ident($($given:ident: $given_type:ty),*) -> $found:ty = $called:ident;)*
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(super::Handle);

        impl $name {
            /// One that the host lends for the time of a call.
            pub(crate) fn lent(datum: super::datum::Datum) -> Result<Self, String> {
                match datum {
                    super::datum::Datum::Handle(number) => Ok(Self(super::Handle::new(number, None))),
                    other => Err(format!("a handle is wanted where {:?} is given", other.tag())),
                }
            }

            $(pub fn $method(&self, $($argument: $type),*) -> $answer {
                super::call(
                    super::abi::Function::$function,
                    vec![self.into(), $($argument.into()),*],
                )
            })*

            $(pub fn $fallible(&self, $($given: $given_type),*) -> Result<$found, String> {
                super::call_fallibly(
                    super::abi::Function::$called,
                    vec![self.into(), $($given.into()),*],
                )
            })*
        }

        impl super::datum::Taken for $name {
            fn taken(datum: super::datum::Datum) -> Result<Self, String> {
                let mut lent = Self::lent(datum)?;
                lent.0.own = Some(super::abi::Function::$drop);
                Ok(lent)
            }
        }

        impl<'a> From<&$name> for super::datum::Datum<'a> {
            fn from(own: &$name) -> Self {
                Self::Handle(own.0.number)
            }
        }

        impl<'a> From<$name> for super::datum::Datum<'a> {
            fn from(own: $name) -> Self {
                Self::Handle(own.0.give())
            }
        }
    };
}
use resource;

/// Runs one call of the plugin: what `run` makes of `arguments` goes to `result`.
///
/// # Safety
/// As `folkmoot_call` in the header.
#[allow(unsafe_code, reason = "the C ABI")]
pub(crate) unsafe fn answer(
    host: *const Host,
    arguments: (*const Value, usize),
    result: *mut Value,
    run: impl FnOnce(Vec<Datum>) -> Result<Datum<'static>, String>,
) -> i32 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // A panic is told by the host, with the call's other errors, and not on standard error.
        std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    });
    let before = HOST.replace(host);
    let done = catch_unwind(AssertUnwindSafe(|| {
        let (values, count) = arguments;
        let values = match count {
            0 => &[],
            // SAFETY: the host's arguments hold until this returns.
            _ => unsafe { std::slice::from_raw_parts(values, count) },
        };
        // SAFETY: as above.
        let data = values.iter().map(|value| unsafe { Datum::read(value) });
        let data: Result<Vec<Datum>, String> = data.collect();
        match data {
            Ok(data) => run(data),
            Err(cause) => panic_any(format!("the host's arguments: {cause}")),
        }
    }));
    HOST.set(before);
    let (code, datum) = match done {
        Ok(Ok(datum)) => (Code::Done, datum),
        Ok(Err(reason)) => (Code::Refused, reason.into()),
        Err(payload) if payload.is::<Over>() => (Code::Failed, Datum::Nothing),
        Err(_) => (Code::Failed, PANIC.take().into()),
    };
    let lowered = Lowered::new(vec![datum]);
    // SAFETY: the host gives a place for the result.
    unsafe { *result = lowered.values()[0] };
    ANSWER.set(Some(lowered));
    code.number() as i32
}

/// Frees what the last call on this thread answered.
pub fn free() {
    ANSWER.set(None);
}

/// Exports the C ABI for `$plugin`, whose trait has the wrapper `$export`.
#[doc(hidden)]
#[macro_export]
macro_rules! export_native {
    ($export:ident, $plugin:ty) => {
        const _: () = {
            use $crate::foreign::abi::{ABI, Host, Value};
            use $crate::foreign::export::{CONTRACT, Exported, call, $export};

            #[unsafe(no_mangle)]
            extern "C" fn folkmoot_abi() -> u32 {
                ABI
            }

            #[unsafe(no_mangle)]
            extern "C" fn folkmoot_contract() -> *const ::std::ffi::c_char {
                CONTRACT.as_ptr()
            }

            #[unsafe(no_mangle)]
            extern "C" fn folkmoot_kind() -> u32 {
                <$export<$plugin> as Exported>::INTERFACE.number()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn folkmoot_call(
                host: *const Host,
                hook: u32,
                arguments: *const Value,
                count: usize,
                result: *mut Value,
            ) -> i32 {
                // SAFETY: the host keeps to the header.
                unsafe { call::<$export<$plugin>>(host, hook, (arguments, count), result) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn folkmoot_free(_: *mut Value) {
                $crate::foreign::free();
            }
        };
    };
}
