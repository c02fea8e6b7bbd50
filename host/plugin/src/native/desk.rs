//! The host's side of one native call: the one function that a library calls, and which handles are whose.

use std::any::Any;
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::abi::{self, ABI, Code, Function, Value};
use super::datum::{Datum, Lowered, Taken};
use super::{functions, said};
use crate::host::{Host, refuse};

/// Open while a hook runs.
pub(super) struct Desk<'a> {
    pub(super) host: &'a mut Host,
    /// Handles that belong to the plugin.
    own: BTreeSet<u32>,
    /// What the last call of the host answered; it holds until the next.
    answered: Option<Lowered<'static>>,
    /// Why the call is over.
    refused: Option<wasmtime::Error>,
    /// A panic of this program, which must not pass through the library.
    panicked: Option<Box<dyn Any + Send>>,
}

impl<'a> Desk<'a> {
    /// For a hook with these arguments: handles in lists are given, others are lent.
    pub(super) fn new(host: &'a mut Host, arguments: &[Datum]) -> Self {
        let lists = arguments.iter().flat_map(|argument| match argument {
            Datum::List(items) => items.as_slice(),
            _ => &[],
        });
        let own = lists.filter_map(|item| match item {
            Datum::Handle(handle) => Some(*handle),
            _ => None,
        });
        Self {
            own: own.collect(),
            host,
            answered: None,
            refused: None,
            panicked: None,
        }
    }

    /// Runs a hook that may call the host.
    pub(super) fn open(&mut self, hook: impl FnOnce(*const abi::Host) -> i32) -> i32 {
        let given = abi::Host {
            abi: ABI,
            context: (&raw mut *self).cast(),
            call: called,
        };
        hook(&raw const given)
    }

    /// What the hook answered, or why it did not. A handle that it answers is the host's from here on.
    pub(super) fn close<T: Taken>(
        mut self,
        code: i32,
        datum: Result<Datum, String>,
    ) -> wasmtime::Result<Result<T, String>> {
        if let Some(panicked) = self.panicked {
            resume_unwind(panicked);
        }
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        if let Ok(Datum::Handle(handle)) = datum
            && !self.own.remove(&handle)
        {
            return Err(refuse(format!(
                "its answer: handle {handle} is not its own"
            )));
        }
        said(code, datum)
    }

    /// Ends a handle of the plugin's.
    pub(super) fn disown(&mut self, handle: u32) -> Result<(), String> {
        match self.own.remove(&handle) {
            true => Ok(()),
            false => Err(format!("handle {handle} is not the plugin's own")),
        }
    }

    /// Calls a function of the host.
    fn call(&mut self, function: u32, arguments: Result<Vec<Datum>, String>) -> (Code, Value) {
        if self.refused.is_some() || self.panicked.is_some() {
            return (Code::Failed, Value::NOTHING);
        }
        let run = || -> wasmtime::Result<_> {
            let known = Function::of(function).ok_or_else(|| {
                refuse(format!("function {function:#x} is not of this folkmoot: the plugin was built for a later one"))
            })?;
            let arguments = arguments.map_err(|cause| refuse(format!("{known:?}: {cause}")))?;
            functions::call(self, known, arguments)
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(Ok(datum))) => {
                if let Datum::Handle(handle) = datum {
                    self.own.insert(handle);
                }
                (Code::Done, self.answer(datum))
            }
            Ok(Ok(Err(reason))) => (Code::Refused, self.answer(reason.into())),
            Ok(Err(error)) => {
                self.refused = Some(error);
                (Code::Failed, Value::NOTHING)
            }
            Err(panicked) => {
                self.panicked = Some(panicked);
                (Code::Failed, Value::NOTHING)
            }
        }
    }

    fn answer(&mut self, datum: Datum<'static>) -> Value {
        self.answered.insert(Lowered::new(vec![datum])).values()[0]
    }
}

/// `folkmoot_host.call`.
#[allow(unsafe_code, reason = "the C ABI")]
unsafe extern "C" fn called(
    context: *mut c_void,
    function: u32,
    arguments: *const Value,
    count: usize,
    result: *mut Value,
) -> i32 {
    // SAFETY: the context is the desk that is open, and the library calls from one thread, one call at a time.
    let desk = unsafe { &mut *context.cast::<Desk>() };
    let values = match count {
        0 => &[],
        // SAFETY: arguments hold until this returns.
        _ => unsafe { std::slice::from_raw_parts(arguments, count) },
    };
    // SAFETY: as above.
    let data = values.iter().map(|value| unsafe { Datum::read(value) });
    let (code, value) = desk.call(function, data.collect());
    if !result.is_null() {
        // SAFETY: a place for the result, unless it is null.
        unsafe { *result = value };
    }
    code.number() as i32
}
