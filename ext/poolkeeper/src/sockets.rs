//! `Poolkeeper::Sockets`: sockets that drivers own, by the number of their descriptor.

use magnus::{function, Error, Module, Object, RModule, Ruby};
use poolkeeper_core::socket::{self, Identity};

use crate::guard::guarded;

fn hung_up(ruby: &Ruby, descriptor: i32) -> Result<bool, Error> {
    guarded(ruby, || Ok(socket::hung_up(descriptor)))
}

fn shut_down(ruby: &Ruby, descriptor: i32) -> Result<bool, Error> {
    guarded(ruby, || Ok(socket::shut_down(descriptor)))
}

/// A descriptor with the identity of the connection's socket that it leads to; nil where it leads to none.
fn identity(ruby: &Ruby, descriptor: i32) -> Result<Option<(i32, u64)>, Error> {
    guarded(ruby, || {
        Ok(socket::connection(descriptor).map(|identity| (descriptor, identity.0)))
    })
}

fn part(ruby: &Ruby, descriptor: i32, identity: u64) -> Result<bool, Error> {
    guarded(ruby, || Ok(socket::part(descriptor, Identity(identity))))
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let sockets = module.define_module("Sockets")?;
    sockets.define_singleton_method("_hung_up", function!(hung_up, 1))?;
    sockets.define_singleton_method("_shut_down", function!(shut_down, 1))?;
    sockets.define_singleton_method("_identity", function!(identity, 1))?;
    sockets.define_singleton_method("_part", function!(part, 2))?;
    Ok(())
}
