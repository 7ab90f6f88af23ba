//! `Poolkeeper::Incidents`: what errors say about hosts.

use magnus::{function, Error, Module, Object, RModule, Ruby, Symbol};
use poolkeeper_core::fault::Fault;
use poolkeeper_core::process;

use crate::guard::guarded;

/// Acts on a fault; answers the pools it concerns and how many connections it condemned.
fn fault(ruby: &Ruby, fault: Symbol, pool: Option<u64>, owner: u64) -> Result<(Vec<u64>, usize), Error> {
    guarded(ruby, || {
        let name = fault.name()?;
        let fault = Fault::named(&name)
            .ok_or_else(|| Error::new(ruby.exception_arg_error(), format!("no fault is called {name}")))?;
        let repair = process::current().fault(fault, pool, owner);
        Ok((repair.pools, repair.condemned))
    })
}

fn healthy(ruby: &Ruby) -> Result<bool, Error> {
    guarded(ruby, || Ok(process::current().healthy()))
}

/// The pools of a role, or of all, that are not known to be up.
fn troubled(ruby: &Ruby, role: Option<String>, writing: bool) -> Result<Vec<u64>, Error> {
    guarded(ruby, || Ok(process::current().troubled(role.as_deref(), writing)))
}

/// An attempt has found whether the server of an owner's connection takes writes.
fn writes(ruby: &Ruby, pool: u64, owner: u64, taken: bool) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().writes(pool, owner, taken);
        Ok(())
    })
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let incidents = module.define_module("Incidents")?;
    incidents.define_singleton_method("_fault", function!(fault, 3))?;
    incidents.define_singleton_method("_healthy?", function!(healthy, 0))?;
    incidents.define_singleton_method("_troubled", function!(troubled, 2))?;
    incidents.define_singleton_method("_writes", function!(writes, 3))?;
    Ok(())
}
