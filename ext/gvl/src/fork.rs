//! Whether this process is a child that nobody has been told of.
//!
//! Ruby's own forks are told by a hook. One that a library makes in C is not, and its child is known by a page that the
//! kernel empties in every child, however it came about. Looking there costs a load; asking for the pid would cost a
//! system call at each entry.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

/// The word in the page; none where the kernel empties no pages (before Linux 4.14, and elsewhere).
static WORD: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
/// The process that was told last: what is asked where there is no such page.
static TOLD: AtomicU32 = AtomicU32::new(0);

const KNOWN: u32 = 1;

/// Whether this is a child in which [`told`] has not been called yet.
pub fn untold() -> bool {
    match WORD.get() {
        Some(Some(word)) => word.load(Ordering::Relaxed) != KNOWN,
        _ => TOLD.load(Ordering::Relaxed) != std::process::id(),
    }
}

/// From now on this process is known. To be called at the start too, with the GVL held as ever.
pub fn told() {
    TOLD.store(std::process::id(), Ordering::Relaxed);
    if let Some(word) = WORD.get_or_init(page) {
        word.store(KNOWN, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
fn page() -> Option<&'static AtomicU32> {
    use rustix::mm::{madvise, mmap_anonymous, Advice, MapFlags, ProtFlags};

    const BYTES: usize = 4_096;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses a place where nothing is, and the mapping is never removed.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), BYTES, access, MapFlags::PRIVATE) }.ok()?;
    // SAFETY: the page is the one mapped above; that it is empty in a child is what is wanted.
    unsafe { madvise(page, BYTES, Advice::LinuxWipeOnFork) }.ok()?;
    // SAFETY: mapped for good, aligned to a page, zero to begin with, and only ever used as this atomic.
    Some(unsafe { &*page.cast::<AtomicU32>() })
}

#[cfg(not(target_os = "linux"))]
fn page() -> Option<&'static AtomicU32> {
    None
}
