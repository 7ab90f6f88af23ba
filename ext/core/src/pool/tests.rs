//! The steps between the states, in every order.

mod examples;
mod interleavings;
mod model;
mod random;

use std::cell::Cell;
use std::rc::Rc;

use super::Standing;

/// A connection without a server.
#[derive(Debug, Clone)]
struct Fake {
    id: u32,
    condemned: Rc<Cell<bool>>,
    dirty: bool,
}

impl Fake {
    fn new(id: u32) -> Self {
        Fake {
            id,
            condemned: Rc::default(),
            dirty: false,
        }
    }
}

impl Standing for Fake {
    fn is_condemned(&self) -> bool {
        self.condemned.get()
    }

    fn is_dirty(&self) -> bool {
        self.dirty
    }
}
