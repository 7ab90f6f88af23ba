//! The Ruby boundary: arguments in, results and exceptions out. What to do is decided in the core and in Ruby.

#![allow(missing_docs)]

mod core;
mod fault;
mod guard;
mod incidents;
mod mirror;
mod monitors;
mod notices;
mod pool;
mod sockets;
#[cfg(feature = "trip")]
mod trip;
mod value;

use magnus::{Error, Ruby};

#[magnus::init(name = "poolkeeper")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let module = ruby.define_module("Poolkeeper")?;
    guard::init(ruby)?;
    core::init(ruby, module)?;
    fault::init(ruby, module)?;
    incidents::init(ruby, module)?;
    mirror::init(ruby, module)?;
    monitors::init(ruby, module)?;
    notices::init(ruby, module)?;
    pool::init(ruby, module)?;
    #[cfg(feature = "trip")]
    trip::init(ruby, module)?;
    sockets::init(ruby, module)
}
