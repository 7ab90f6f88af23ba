//! The steps between the states, in every order.

mod examples;
mod interleavings;
mod model;
mod random;

use std::cell::Cell;
use std::rc::Rc;

use super::Standing;
use crate::clock::Moment;

/// A connection without a server.
#[derive(Debug, Clone)]
struct Fake {
    id: u32,
    condemned: Rc<Cell<bool>>,
    dirty: bool,
    old: bool,
}

impl Fake {
    fn new(id: u32) -> Self {
        Fake {
            id,
            condemned: Rc::default(),
            dirty: false,
            old: false,
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

    fn is_old(&self, _now: Moment) -> bool {
        self.old
    }
}
