//! How the process keeps memory.

/// Tells the C library's allocator to keep freed memory instead of giving it back to the system. A training step
/// frees and takes the same hundreds of MiB again and again; clearing fresh pages took a quarter of the time of a
/// step in bf16. For a program's start; does nothing where there is another allocator.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: i32 = 1 << 30;
        // SAFETY: mallopt takes two numbers and only changes the allocator's thresholds; both are known to it.
        #[allow(unsafe_code, reason = "a call to the C library")]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        }
    }
}
