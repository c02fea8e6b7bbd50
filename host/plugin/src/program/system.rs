//! The functions of WASI, preview 1, over a [`World`]. The interpreter carries its library in its own memory, so
//! nothing here opens anything: every function that is not listed answers "bad file descriptor".

use std::fmt;

use rand_chacha::rand_core::Rng;
use wasmtime::{Caller, ExternType, Linker, Module, Result, Val};

use super::world::World;

const MODULE: &str = "wasi_snapshot_preview1";

/// More buffers or events than any C library hands over at once.
const MOST: u32 = 1024;

/// The kind of file that is nothing but a stream: no terminal, no place in it.
const STREAM: u8 = 6;

/// The error that ends a program which calls for its end.
#[derive(Debug)]
pub(super) struct Exit(pub(super) i32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exited with {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// WASI's number of an error.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Errno(i32);

const BAD_DESCRIPTOR: Errno = Errno(8);
const FAULT: Errno = Errno(21);
const INVALID: Errno = Errno(28);
const NO_PLACE: Errno = Errno(70);

type Answer<T = ()> = std::result::Result<T, Errno>;

macro_rules! provide {
    ($linker:ident: $($name:ident($($argument:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap(
            MODULE,
            stringify!($name),
            |mut caller: Caller<'_, World>, $($argument: $ty),*| {
                guest(&mut caller, |mut guest| guest.$name($($argument),*))
            },
        )?;
    )*};
}

/// Links all that `module` wants, or says what of it is not WASI's.
pub(super) fn link(linker: &mut Linker<World>, module: &Module) -> Result<Option<String>> {
    linker.allow_shadowing(true);
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let ty = import.ty();
        let function = match &ty {
            ExternType::Func(ty) if from == MODULE && ty.results().len() <= 1 => ty,
            _ => return Ok(Some(format!("it imports `{name}` of `{from}`"))),
        };
        linker.func_new(MODULE, name, function.clone(), |_, _, results| {
            results.fill(Val::I32(BAD_DESCRIPTOR.0));
            Ok(())
        })?;
    }
    provide! { linker:
        args_sizes_get(count: u32, bytes: u32);
        args_get(places: u32, text: u32);
        environ_sizes_get(count: u32, bytes: u32);
        environ_get(_places: u32, _text: u32);
        clock_res_get(_clock: u32, to: u32);
        clock_time_get(clock: u32, _precision: u64, to: u32);
        poll_oneoff(subscriptions: u32, events: u32, count: u32, occurred: u32);
        sched_yield();
        random_get(at: u32, length: u32);
        fd_read(fd: u32, buffers: u32, count: u32, read: u32);
        fd_write(fd: u32, buffers: u32, count: u32, written: u32);
        fd_close(fd: u32);
        fd_seek(fd: u32, _offset: i64, _whence: u32, _to: u32);
        fd_tell(fd: u32, _to: u32);
        fd_fdstat_get(fd: u32, to: u32);
        fd_filestat_get(fd: u32, to: u32);
    }
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> {
        Err(wasmtime::Error::new(Exit(code)))
    })?;
    Ok(None)
}

/// Calls `answer` with the memory of the caller.
fn guest(caller: &mut Caller<'_, World>, answer: impl FnOnce(Guest<'_>) -> Answer) -> i32 {
    let exported = caller.get_export("memory");
    let Some(memory) = exported.and_then(wasmtime::Extern::into_memory) else {
        return FAULT.0;
    };
    let (memory, world) = memory.data_and_store_mut(caller);
    match answer(Guest { memory, world }) {
        Ok(()) => 0,
        Err(errno) => errno.0,
    }
}

/// The guest's memory beside the world. Methods have WASI's names and arguments; `u32` are addresses, sizes,
/// and numbers of files.
struct Guest<'a> {
    memory: &'a mut [u8],
    world: &'a mut World,
}

impl Guest<'_> {
    fn args_sizes_get(&mut self, count: u32, bytes: u32) -> Answer {
        let words = &self.world.arguments;
        let size: usize = words.iter().map(Vec::len).sum();
        let words = u32::try_from(words.len()).map_err(|_| INVALID)?;
        self.put(count, &words.to_le_bytes())?;
        let size = u32::try_from(size).map_err(|_| INVALID)?;
        self.put(bytes, &size.to_le_bytes())
    }

    fn args_get(&mut self, places: u32, text: u32) -> Answer {
        let mut text = text;
        let words = std::mem::take(&mut self.world.arguments);
        for (place, word) in (places..).step_by(4).zip(&words) {
            self.put(place, &text.to_le_bytes())?;
            self.put(text, word)?;
            text = u32::try_from(word.len())
                .ok()
                .and_then(|length| text.checked_add(length))
                .ok_or(FAULT)?;
        }
        self.world.arguments = words;
        Ok(())
    }

    fn environ_sizes_get(&mut self, count: u32, bytes: u32) -> Answer {
        self.put(count, &[0; 4])?;
        self.put(bytes, &[0; 4])
    }

    fn environ_get(&mut self, _places: u32, _text: u32) -> Answer {
        Ok(())
    }

    fn clock_res_get(&mut self, _clock: u32, to: u32) -> Answer {
        self.put(to, &1000_u64.to_le_bytes())
    }

    fn clock_time_get(&mut self, clock: u32, _precision: u64, to: u32) -> Answer {
        let now = self.world.time(clock == 0);
        self.put(to, &now.to_le_bytes())
    }

    /// Streams are ready at once; who waits for a time has waited for it.
    fn poll_oneoff(
        &mut self,
        subscriptions: u32,
        events: u32,
        count: u32,
        occurred: u32,
    ) -> Answer {
        if count == 0 || count > MOST {
            return Err(INVALID);
        }
        let (mut ready, mut soonest) = (Vec::new(), None::<(u64, [u8; 8])>);
        for number in 0..count {
            let mut own = [0; 48];
            let at = subscriptions.checked_add(number * 48).ok_or(FAULT)?;
            own.copy_from_slice(self.bytes(at, 48)?);
            let long = |at: usize| std::array::from_fn(|i| own[at + i]);
            if own[8] != 0 {
                ready.push((long(0), own[8]));
                continue;
            }
            let mut wait = u64::from_le_bytes(long(24));
            if own[40] & 1 == 1 {
                wait = wait.saturating_sub(self.world.time(own[16] == 0));
            }
            if soonest.is_none_or(|(least, _)| wait < least) {
                soonest = Some((wait, long(0)));
            }
        }
        if let (true, Some((wait, user))) = (ready.is_empty(), soonest) {
            self.world.sleep(wait);
            ready.push((user, 0));
        }
        for (at, (user, kind)) in (events..).step_by(32).zip(&ready) {
            let mut event = [0; 32];
            event[..8].copy_from_slice(user);
            event[10] = *kind;
            self.put(at, &event)?;
        }
        let ready = u32::try_from(ready.len()).map_err(|_| INVALID)?;
        self.put(occurred, &ready.to_le_bytes())
    }

    fn sched_yield(&mut self) -> Answer {
        Ok(())
    }

    fn random_get(&mut self, at: u32, length: u32) -> Answer {
        let mut random = self.world.random.clone();
        random.fill_bytes(self.bytes(at, length)?);
        self.world.random = random;
        Ok(())
    }

    /// Standard input is at its end.
    fn fd_read(&mut self, fd: u32, _buffers: u32, _count: u32, read: u32) -> Answer {
        match fd {
            0 => self.put(read, &[0; 4]),
            _ => Err(BAD_DESCRIPTOR),
        }
    }

    fn fd_write(&mut self, fd: u32, buffers: u32, count: u32, written: u32) -> Answer {
        if fd != 1 && fd != 2 {
            return Err(BAD_DESCRIPTOR);
        }
        if count > MOST {
            return Err(INVALID);
        }
        let mut total = 0_u32;
        for number in 0..count {
            let buffer = buffers.checked_add(number * 8).ok_or(FAULT)?;
            let (at, length) = (self.number(buffer)?, self.number(buffer + 4)?);
            let end = (at as usize).saturating_add(length as usize);
            let bytes = self.memory.get(at as usize..end).ok_or(FAULT)?;
            self.world.write(bytes, fd == 2);
            total = total.checked_add(length).ok_or(INVALID)?;
        }
        self.put(written, &total.to_le_bytes())
    }

    fn fd_close(&mut self, fd: u32) -> Answer {
        is_stream(fd)
    }

    fn fd_seek(&mut self, fd: u32, _offset: i64, _whence: u32, _to: u32) -> Answer {
        is_stream(fd)?;
        Err(NO_PLACE)
    }

    fn fd_tell(&mut self, fd: u32, _to: u32) -> Answer {
        is_stream(fd)?;
        Err(NO_PLACE)
    }

    fn fd_fdstat_get(&mut self, fd: u32, to: u32) -> Answer {
        is_stream(fd)?;
        let mut stat = [0; 24];
        stat[0] = STREAM;
        // Rights to everything: what is not there cannot be done all the same.
        stat[8..].fill(0xff);
        self.put(to, &stat)
    }

    fn fd_filestat_get(&mut self, fd: u32, to: u32) -> Answer {
        is_stream(fd)?;
        let mut stat = [0; 64];
        stat[16] = STREAM;
        self.put(to, &stat)
    }

    fn bytes(&mut self, at: u32, length: u32) -> Answer<&mut [u8]> {
        let end = (at as usize).saturating_add(length as usize);
        self.memory.get_mut(at as usize..end).ok_or(FAULT)
    }

    fn number(&mut self, at: u32) -> Answer<u32> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.bytes(at, 4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Answer {
        let place = self.memory.get_mut(at as usize..).ok_or(FAULT)?;
        let place = place.get_mut(..bytes.len()).ok_or(FAULT)?;
        place.copy_from_slice(bytes);
        Ok(())
    }
}

fn is_stream(fd: u32) -> Answer {
    match fd {
        0..=2 => Ok(()),
        _ => Err(BAD_DESCRIPTOR),
    }
}
