//! One call's way to its plugin: into an instance of a component, or into a native library. Who calls a hook says it
//! for both, and does not know which it is.

use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use crate::bindings::exports::folkmoot::plugin::{algorithm, block_kernel, metric, partitioner};
use crate::component::Indices;
use crate::host::Host;
use crate::native::Native;
use crate::native::abi::Hook;
use crate::native::datum::{Datum, Taken};

/// Where a call goes.
pub(crate) enum Session<'a> {
    Sandboxed {
        store: &'a mut Store<Host>,
        instance: Instance,
        indices: &'a Indices,
    },
    Native {
        library: &'a Native,
        host: &'a mut Host,
    },
}

/// A component's exports, found in an instance; none for a native library, whose hooks are numbers.
pub(crate) struct Exports<G>(Option<G>);

/// What is found.
pub(crate) trait Found: Sized {
    fn find(
        indices: &Indices,
        store: &mut Store<Host>,
        instance: &Instance,
    ) -> wasmtime::Result<Self>;
}

impl Session<'_> {
    /// What the plugin finds on the host's side.
    pub(crate) fn host(&mut self) -> &mut Host {
        match self {
            Self::Sandboxed { store, .. } => store.data_mut(),
            Self::Native { host, .. } => host,
        }
    }

    /// The exports that the calls to come need.
    pub(crate) fn exports<G: Found>(&mut self) -> wasmtime::Result<Exports<G>> {
        Ok(Exports(match self {
            Self::Sandboxed {
                store,
                instance,
                indices,
            } => Some(G::find(indices, store, instance)?),
            Self::Native { .. } => None,
        }))
    }

    /// Calls `hook` with `arguments`, which `sandboxed` says again in the component's own types.
    pub(crate) fn call<G, T: Taken>(
        &mut self,
        exports: &Exports<G>,
        hook: Hook,
        arguments: Vec<Datum>,
        sandboxed: impl FnOnce(&G, &mut Store<Host>) -> wasmtime::Result<Result<T, String>>,
    ) -> wasmtime::Result<Result<T, String>> {
        match (self, &exports.0) {
            (Self::Sandboxed { store, .. }, Some(exports)) => sandboxed(exports, store),
            (Self::Native { library, host }, _) => library.call(host, hook, arguments),
            (Self::Sandboxed { .. }, None) => {
                unreachable!("`exports` finds those of every component")
            }
        }
    }
}

/// `$guest` is found by the indices of `$kind`.
macro_rules! found {
    ($($guest:ty = $kind:ident;)*) => {$(
        impl Found for $guest {
            fn find(indices: &Indices, store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Self> {
                match indices {
                    Indices::$kind(own) => own.load(store, instance),
                    _ => unreachable!("`expect` let a plugin of this kind through"),
                }
            }
        }
    )*};
}

found! {
    algorithm::Guest = Algorithm;
    partitioner::Guest = Partitioner;
    metric::Guest = Metric;
}

/// What every interface has.
pub(crate) enum Describing {
    Algorithm(algorithm::Guest),
    BlockKernel(block_kernel::Guest),
    Partitioner(partitioner::Guest),
    Metric(metric::Guest),
}

impl Found for Describing {
    fn find(
        indices: &Indices,
        store: &mut Store<Host>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        match indices {
            Indices::Algorithm(own) => own.load(store, instance).map(Self::Algorithm),
            Indices::BlockKernel(own) => own.load(store, instance).map(Self::BlockKernel),
            Indices::Partitioner(own) => own.load(store, instance).map(Self::Partitioner),
            Indices::Metric(own) => own.load(store, instance).map(Self::Metric),
        }
    }
}

impl Describing {
    pub(crate) fn call_describe(&self, store: &mut Store<Host>) -> wasmtime::Result<String> {
        match self {
            Self::Algorithm(guest) => guest.call_describe(store),
            Self::BlockKernel(guest) => guest.call_describe(store),
            Self::Partitioner(guest) => guest.call_describe(store),
            Self::Metric(guest) => guest.call_describe(store),
        }
    }
}

/// A handle for the time of a call.
pub(crate) fn lent<T: 'static>(own: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(own.rep())
}
