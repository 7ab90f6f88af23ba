//! `Poolkeeper::Mirror`: who holds which connection. Pools, connections, owners and fibers are numbers here.

use std::time::Instant;

use magnus::{function, Error, IntoValue, Module, Object, RArray, RHash, RModule, Ruby, Value};
use poolkeeper_core::observed::{Description, Held, Lease, Look, Mirror, Pool};
use poolkeeper_core::owner::Job;
use poolkeeper_core::process;
use poolkeeper_core::stats::{Counter, Counters};

use crate::guard::guarded;

fn pool(
    ruby: &Ruby,
    number: u64,
    name: String,
    role: String,
    shard: String,
    address: String,
    replica: bool,
) -> Result<(), Error> {
    guarded(ruby, || {
        let description = Description {
            name,
            role,
            shard,
            address,
            replica,
        };
        process::current().mirror(|mirror| mirror.pool(number, description));
        Ok(())
    })
}

fn enlist(ruby: &Ruby, pool: u64) -> Result<u64, Error> {
    guarded(ruby, || Ok(process::current().mirror(|mirror| mirror.enlist(pool))))
}

/// 0: use it; 1: drop it first; 2: look at its socket first; 3: enlist it first.
fn checkout(ruby: &Ruby, connection: u64, owner: u64, fiber: u64) -> Result<u8, Error> {
    guarded(ruby, || {
        Ok(match process::current().checkout(connection, owner, fiber) {
            Look::Fine => 0,
            Look::Condemned => 1,
            Look::Peek => 2,
            Look::Unknown => 3,
        })
    })
}

fn checkin(ruby: &Ruby, connection: u64, descriptor: i32) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().checkin(connection, descriptor);
        Ok(())
    })
}

/// The reason why the connection is condemned, or nil.
fn settle(ruby: &Ruby, connection: u64, descriptor: i32) -> Result<Option<&'static str>, Error> {
    guarded(ruby, || {
        let condemned = process::current().settle(connection, descriptor);
        Ok(condemned.map(|reason| reason.as_str()))
    })
}

fn condemned(ruby: &Ruby, connection: u64) -> Result<Option<&'static str>, Error> {
    guarded(ruby, || {
        let condemned = process::current().mirror(|mirror| mirror.condemned(connection));
        Ok(condemned.map(|reason| reason.as_str()))
    })
}

/// nil where the owner holds nothing, false where nothing is observed yet; else its connections, behind true where a full walk
/// is due.
fn held(ruby: &Ruby, owner: u64) -> Result<Value, Error> {
    guarded(ruby, || {
        let process = process::current();
        if !process.observing() {
            return Ok(false.into_value_with(ruby));
        }
        let held = process.mirror(|mirror| mirror.held(owner, Instant::now()));
        Ok(match held {
            Held::Nothing => ruby.qnil().into_value_with(ruby),
            Held::These(connections) => (false, connections).into_value_with(ruby),
            Held::Walk(connections) => (true, connections).into_value_with(ruby),
        })
    })
}

fn observe(ruby: &Ruby) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().observe();
        Ok(())
    })
}

fn leases(ruby: &Ruby, owner: u64) -> Result<Vec<u64>, Error> {
    guarded(ruby, || Ok(process::current().mirror(|mirror| mirror.leases(owner))))
}

/// The fiber that took it, whether that was before the owner's present work, and for how many seconds it is out.
fn lease(ruby: &Ruby, connection: u64) -> Result<Option<(u64, bool, f64)>, Error> {
    guarded(ruby, || {
        Ok(process::current().mirror(|mirror| {
            let lease = mirror.lease(connection)?;
            let (fiber, seconds) = (lease.fiber, lease.since.elapsed().as_secs_f64());
            Some((fiber, mirror.from_before(connection), seconds))
        }))
    })
}

fn released(ruby: &Ruby, owner: u64) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().mirror(|mirror| mirror.released(owner, Instant::now()));
        Ok(())
    })
}

fn job(ruby: &Ruby, owner: u64, topic: Option<String>, partition: Option<i64>) -> Result<(), Error> {
    guarded(ruby, || {
        let job = Job { topic, partition };
        process::current().mirror(|mirror| mirror.job(owner, job, Instant::now()));
        Ok(())
    })
}

/// A piece of work begins that nobody announced as a job.
fn begin(ruby: &Ruby, owner: u64) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().mirror(|mirror| mirror.begin(owner, Instant::now()));
        Ok(())
    })
}

/// Takes over a lease from before observing began; whether the mirror had not known it.
fn seed(ruby: &Ruby, connection: u64, owner: u64) -> Result<bool, Error> {
    guarded(ruby, || Ok(process::current().seed(connection, Lease::seeded(owner))))
}

/// Takes over a lease that a walk has found; whether the mirror had missed it.
///
/// An interrupt has cut the checkout off before it was told. Nobody has its connection, so it is of the present piece
/// of work, and goes back with it.
fn missed(ruby: &Ruby, connection: u64, owner: u64) -> Result<bool, Error> {
    guarded(ruby, || Ok(process::current().seed(connection, Lease::new(owner, 0))))
}

fn lease_ended(ruby: &Ruby, connection: u64) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().mirror(|mirror| mirror.lease_ended(connection));
        Ok(())
    })
}

/// A walk has found the connection with this owner, under its pool's lock.
fn found_with(ruby: &Ruby, connection: u64, owner: u64) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().mirror(|mirror| mirror.found_with(connection, owner));
        Ok(())
    })
}

fn forget(ruby: &Ruby, connection: u64) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().mirror(|mirror| mirror.forget(connection));
        Ok(())
    })
}

/// To be asked for before a walk begins.
fn newest(ruby: &Ruby) -> Result<u64, Error> {
    guarded(ruby, || Ok(Mirror::newest()))
}

fn forget_pool(ruby: &Ruby, pool: u64) -> Result<(), Error> {
    guarded(ruby, || {
        let process = process::current();
        process.mirror(|mirror| mirror.forget_pool(pool));
        process.forget_credentials(pool);
        Ok(())
    })
}

fn retain(ruby: &Ruby, newest: u64, connections: Vec<u64>) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().mirror(|mirror| mirror.retain(newest, &connections));
        Ok(())
    })
}

fn dropped(ruby: &Ruby, connection: u64) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().dropped(connection);
        Ok(())
    })
}

/// Whether this lease is left alone for the first time.
fn keep(ruby: &Ruby, connection: u64) -> Result<bool, Error> {
    guarded(ruby, || Ok(process::current().mirror(|mirror| mirror.keep(connection))))
}

/// Whether a condemned connection is reported for the first time.
fn report(ruby: &Ruby, connection: u64) -> Result<bool, Error> {
    guarded(ruby, || {
        Ok(process::current().mirror(|mirror| mirror.report(connection)))
    })
}

fn count(ruby: &Ruby, pool: u64, counter: String, would: bool) -> Result<(), Error> {
    guarded(ruby, || {
        let counter = Counter::named(&counter)
            .ok_or_else(|| Error::new(ruby.exception_arg_error(), format!("nothing counts {counter}")))?;
        process::current().mirror(|mirror| mirror.count(pool, counter, would));
        Ok(())
    })
}

/// Every pool with its counts and leases, as an Array of Hashes.
fn stats(ruby: &Ruby) -> Result<RArray, Error> {
    guarded(ruby, || {
        // Copied out first: no lock is held while Ruby allocates.
        let pools: Vec<PoolStats> = process::current().mirror(|mirror| {
            let pools = mirror.pools();
            pools.map(|(number, pool)| pool_stats(number, pool, mirror)).collect()
        });
        let all = ruby.ary_new_capa(pools.len());
        for pool in &pools {
            all.push(pool.to_hash(ruby)?)?;
        }
        Ok(all)
    })
}

struct PoolStats {
    number: u64,
    description: Description,
    host: String,
    condemned: usize,
    leases: Vec<(u64, f64)>,
    counters: Counters,
    would: Counters,
}

fn pool_stats(number: u64, pool: &Pool, mirror: &Mirror) -> PoolStats {
    let leases = mirror
        .connections(number)
        .filter_map(|(_, connection)| connection.lease.as_ref());
    PoolStats {
        number,
        description: pool.description.clone(),
        host: pool.host.to_string(),
        condemned: mirror
            .connections(number)
            .filter(|(_, connection)| connection.condemned.is_some())
            .count(),
        leases: leases
            .map(|lease| (lease.owner, lease.since.elapsed().as_secs_f64()))
            .collect(),
        counters: pool.counters,
        would: pool.would,
    }
}

impl PoolStats {
    fn to_hash(&self, ruby: &Ruby) -> Result<RHash, Error> {
        let hash = ruby.hash_new();
        hash.aset(ruby.to_symbol("number"), self.number)?;
        hash.aset(ruby.to_symbol("name"), self.description.name.as_str())?;
        hash.aset(ruby.to_symbol("role"), ruby.to_symbol(&self.description.role))?;
        hash.aset(ruby.to_symbol("shard"), ruby.to_symbol(&self.description.shard))?;
        hash.aset(ruby.to_symbol("host"), self.host.as_str())?;
        hash.aset(ruby.to_symbol("condemned"), self.condemned)?;
        let leases = ruby.ary_new_capa(self.leases.len());
        for (owner, seconds) in &self.leases {
            let lease = ruby.hash_new();
            lease.aset(ruby.to_symbol("owner"), *owner)?;
            lease.aset(ruby.to_symbol("seconds"), *seconds)?;
            leases.push(lease)?;
        }
        hash.aset(ruby.to_symbol("leases"), leases)?;
        for (counter, value) in self.counters.values() {
            hash.aset(ruby.to_symbol(counter.as_str()), value)?;
        }
        hash.aset(ruby.to_symbol("would"), would(ruby, &self.would)?)?;
        Ok(hash)
    }
}

fn would(ruby: &Ruby, counters: &Counters) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    for (counter, value) in counters.values() {
        hash.aset(ruby.to_symbol(counter.as_str()), value)?;
    }
    Ok(hash)
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let mirror = module.define_module("Mirror")?;
    mirror.define_singleton_method("_pool", function!(pool, 6))?;
    mirror.define_singleton_method("_enlist", function!(enlist, 1))?;
    mirror.define_singleton_method("_checkout", function!(checkout, 3))?;
    mirror.define_singleton_method("_checkin", function!(checkin, 2))?;
    mirror.define_singleton_method("_settle", function!(settle, 2))?;
    mirror.define_singleton_method("_condemned", function!(condemned, 1))?;
    mirror.define_singleton_method("_held", function!(held, 1))?;
    mirror.define_singleton_method("_observe", function!(observe, 0))?;
    mirror.define_singleton_method("_leases", function!(leases, 1))?;
    mirror.define_singleton_method("_lease", function!(lease, 1))?;
    mirror.define_singleton_method("_released", function!(released, 1))?;
    mirror.define_singleton_method("_job", function!(job, 3))?;
    mirror.define_singleton_method("_begin", function!(begin, 1))?;
    mirror.define_singleton_method("_seed", function!(seed, 2))?;
    mirror.define_singleton_method("_missed", function!(missed, 2))?;
    mirror.define_singleton_method("_lease_ended", function!(lease_ended, 1))?;
    mirror.define_singleton_method("_found_with", function!(found_with, 2))?;
    mirror.define_singleton_method("_forget", function!(forget, 1))?;
    mirror.define_singleton_method("_newest", function!(newest, 0))?;
    mirror.define_singleton_method("_retain", function!(retain, 2))?;
    mirror.define_singleton_method("_forget_pool", function!(forget_pool, 1))?;
    mirror.define_singleton_method("_dropped", function!(dropped, 1))?;
    mirror.define_singleton_method("_keep", function!(keep, 1))?;
    mirror.define_singleton_method("_report", function!(report, 1))?;
    mirror.define_singleton_method("_count", function!(count, 3))?;
    mirror.define_singleton_method("_stats", function!(stats, 0))?;
    Ok(())
}
