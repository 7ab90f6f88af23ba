//! On whose behalf the present code runs.

/// A thread or a fiber, by its `object_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Its number, never used for another one.
    pub number: u64,
    /// Whether it is a fiber.
    pub is_fiber: bool,
}

/// The present owner: the fiber where a fiber scheduler runs it, or where `by_fiber` says so, else the thread.
///
/// In C, because Ruby's own way to ask costs twice what lending a connection does. To be asked for before anything is
/// held: where there is no memory left for a number, Ruby leaves from here.
pub fn owner(by_fiber: bool) -> Owner {
    // SAFETY: asked with the GVL held, as everything that Ruby calls; these take no argument that could be wrong, and
    // what they answer is used at once.
    unsafe {
        let is_fiber = by_fiber || rb_sys::rb_fiber_scheduler_current() != rb_sys::Qnil as rb_sys::VALUE;
        let object = if is_fiber {
            rb_sys::rb_fiber_current()
        } else {
            rb_sys::rb_thread_current()
        };
        // Numbers are small Integers, which Ruby keeps shifted by one bit.
        let number = (rb_sys::rb_obj_id(object) >> 1) as u64;
        Owner { number, is_fiber }
    }
}
