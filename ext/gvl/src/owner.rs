//! On whose behalf the present code runs.

use std::sync::OnceLock;

use magnus::Ruby;
use rb_sys::{rb_fiber_current, rb_fiber_scheduler_current, rb_intern2, rb_obj_id, rb_thread_current};
use rb_sys::{rb_thread_local_aref, rb_thread_local_aset, Qnil, ID, VALUE};

/// A thread or a fiber, by its `object_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Its number, never used for another one.
    pub number: u64,
    /// Whether it is a fiber.
    pub is_fiber: bool,
}

/// Where a fiber keeps the number of its thread, and its own: Ruby looks an object's number up under a lock of its own,
/// which costs as much as lending a connection does.
static THREAD: OnceLock<ID> = OnceLock::new();
static FIBER: OnceLock<ID> = OnceLock::new();

/// The present owner: the fiber where a fiber scheduler runs it, or where `by_fiber` says so, else the thread.
///
/// To be asked for before anything is held: where there is no memory left for a number, Ruby leaves from here.
pub fn owner(_ruby: &Ruby, by_fiber: bool) -> Owner {
    const NIL: VALUE = Qnil as VALUE;
    // SAFETY: asked with the GVL held, which `Ruby` stands for; what these answer is used at once, and a thread and a
    // fiber that run are alive. A name that is interned stays.
    let number = |is_fiber: bool| unsafe {
        let thread = rb_thread_current();
        let (place, name) = if is_fiber {
            (&FIBER, "poolkeeper_own")
        } else {
            (&THREAD, "poolkeeper_thread")
        };
        let key = *place.get_or_init(|| rb_intern2(name.as_ptr().cast(), name.len() as _));
        let mut number = rb_thread_local_aref(thread, key);
        if number == NIL {
            number = rb_obj_id(if is_fiber { rb_fiber_current() } else { thread });
            rb_thread_local_aset(thread, key, number);
        }
        number
    };
    // SAFETY: as above.
    let is_fiber = by_fiber || unsafe { rb_fiber_scheduler_current() } != NIL;
    Owner {
        // A small Integer, which Ruby keeps shifted by one bit.
        number: (number(is_fiber) >> 1) as u64,
        is_fiber,
    }
}
