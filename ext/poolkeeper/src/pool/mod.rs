//! `Poolkeeper::Pool`: connections that poolkeeper opens itself. Owners and slots are numbers here; Ruby gives them their
//! names.

mod statements;

use std::cell::{Cell, Ref, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use magnus::gc::Marker;
use magnus::typed_data::{DataTypeFunctions, Obj};
use magnus::value::{Opaque, ReprValue};
use magnus::{function, method, Class, Error, Module, Object, RArray, RHash, RModule, Ruby, TypedData, Value};
use poolkeeper_core::error::Error as CoreError;
use poolkeeper_core::pool::Options;
use poolkeeper_core::process::{self, Found, NativePool, Process};
use poolkeeper_gvl::{fork, owner, wait_for, Lent, Owner};

use crate::guard::{guarded, to_ruby};

/// How often whoever waits has those looked for that are gone.
const LOOK_FOR_GONE: Duration = Duration::from_millis(500);

/// A pool, and what it takes to make it anew in a forked child.
#[derive(TypedData)]
#[magnus(class = "Poolkeeper::Pool", free_immediately, size, mark)]
pub struct Pool {
    number: u64,
    url: String,
    /// As they are now: a child has a pool of the same size.
    options: RefCell<Options>,
    closed: Cell<bool>,
    /// Read and changed with the GVL held, and never across a call into Ruby.
    native: RefCell<(usize, Arc<NativePool>)>,
    /// What Ruby knows the slots by, in their order.
    connections: Cell<Option<Opaque<RArray>>>,
}

impl DataTypeFunctions for Pool {
    fn mark(&self, marker: &Marker) {
        if let Some(connections) = self.connections.get() {
            marker.mark(connections);
        }
    }
}

impl Pool {
    /// The pool of this process: a forked child starts with one of its own, and leaves its parent's alone.
    fn native(&self, ruby: &Ruby) -> Result<Arc<NativePool>, Error> {
        let process = process::current();
        if self.native.borrow().0 != address(process) {
            let own = process.native(self.number, &self.url, self.options.borrow().clone());
            let own = own.map_err(|error| to_ruby(ruby, &error))?;
            if self.closed.get() {
                own.close();
            }
            let inherited = self.native.replace((address(process), own));
            // Dropped here, it would speak to the server over its parent's sockets.
            std::mem::forget(inherited);
        }
        Ok(self.native.borrow().1.clone())
    }

    /// The same for what is as well left undone where this process has no such pool yet.
    fn known(&self) -> Option<Ref<'_, NativePool>> {
        let native = self.native.borrow();
        (native.0 == address(process::current())).then(|| Ref::map(native, |native| &*native.1))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let native = self.native.get_mut();
        // In a child that nobody has been told of, this process is still taken for its parent.
        if fork::untold() || native.0 != address(process::current()) {
            std::mem::forget(native.1.clone());
        }
    }
}

fn address(process: &'static Process) -> usize {
    std::ptr::from_ref(process) as usize
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn at<T: magnus::TryConvert>(ruby: &Ruby, options: RHash, name: &str) -> Result<T, Error> {
    options.fetch(ruby.to_symbol(name))
}

fn time(ruby: &Ruby, options: RHash, name: &str) -> Result<Option<Duration>, Error> {
    Ok(at::<Option<f64>>(ruby, options, name)?.map(seconds))
}

fn read(ruby: &Ruby, options: RHash) -> Result<Options, Error> {
    Ok(Options {
        name: at(ruby, options, "name")?,
        size: at(ruby, options, "size")?,
        min: at(ruby, options, "min")?,
        checkout_timeout: seconds(at(ruby, options, "checkout_timeout")?),
        connect_timeout: seconds(at(ruby, options, "connect_timeout")?),
        check_idle_after: seconds(at(ruby, options, "check_idle_after")?),
        idle_timeout: time(ruby, options, "idle_timeout")?,
        max_lifetime: time(ruby, options, "max_lifetime")?,
        keepalive: time(ruby, options, "keepalive")?,
        statement_timeout: time(ruby, options, "statement_timeout")?,
        leak_threshold: time(ruby, options, "leak_threshold")?,
        application_name: at(ruby, options, "application_name")?,
    })
}

/// Makes a pool; the options are checked by Ruby.
fn open(ruby: &Ruby, number: u64, url: String, options: RHash) -> Result<Pool, Error> {
    guarded(ruby, || {
        let process = process::current();
        let options = read(ruby, options)?;
        let native = process.native(number, &url, options.clone());
        let native = native.map_err(|error| to_ruby(ruby, &error))?;
        Ok(Pool {
            number,
            url,
            options: RefCell::new(options),
            closed: Cell::new(false),
            native: RefCell::new((address(process), native)),
            connections: Cell::new(None),
        })
    })
}

/// Whether ActiveRecord has fibers own its connections, so that they own native ones too.
static FIBERS_OWN: AtomicBool = AtomicBool::new(false);

fn present_owner(ruby: &Ruby) -> Owner {
    owner(ruby, FIBERS_OWN.load(Ordering::Relaxed))
}

fn fibers_own(ruby: &Ruby, own: bool) -> Result<(), Error> {
    guarded(ruby, || {
        FIBERS_OWN.store(own, Ordering::Relaxed);
        Ok(())
    })
}

/// The number of the present owner, and whether it is a fiber.
fn present(ruby: &Ruby) -> Result<(u64, bool), Error> {
    guarded(ruby, || {
        let owner = present_owner(ruby);
        Ok((owner.number, owner.is_fiber))
    })
}

/// Takes the objects that stand for the slots; at least as many as there are slots.
fn connections(ruby: &Ruby, pool: &Pool, connections: RArray) -> Result<(), Error> {
    guarded(ruby, || {
        pool.connections.set(Some(connections.into()));
        Ok(())
    })
}

/// Lends an idle connection, or the one that is held already, to the present thread. Nil where it takes more: none is
/// idle, this is a fiber, whose end has to be watched for, or a child that has no pool yet.
fn lease(ruby: &Ruby, pool: &Pool) -> Result<Option<Value>, Error> {
    let owner = present_owner(ruby);
    let Some(connections) = pool.connections.get().filter(|_| !owner.is_fiber) else {
        return Ok(None);
    };
    guarded(ruby, || {
        let Some(native) = pool.known() else { return Ok(None) };
        match native.checkout(owner.number, false) {
            Ok(Found::New(slot) | Found::Held(slot)) => {
                let place = isize::try_from(slot).unwrap_or(isize::MAX);
                ruby.get_inner(connections).entry(place).map(Some)
            }
            Ok(Found::Nothing) => Ok(None),
            Err(error) => Err(to_ruby(ruby, &error)),
        }
    })
}

/// Takes back what the present owner has leased.
fn give_back(ruby: &Ruby, pool: &Pool) -> Result<bool, Error> {
    let owner = present_owner(ruby);
    guarded(ruby, || {
        Ok(pool.known().is_some_and(|native| native.release(owner.number, false)))
    })
}

/// Lends without waiting: the number of a slot; its complement where the owner had it already; nil where none is idle.
fn checkout(ruby: &Ruby, pool: &Pool, owner: u64, for_block: bool) -> Result<Option<i64>, Error> {
    guarded(ruby, || match pool.native(ruby)?.checkout(owner, for_block) {
        Ok(Found::New(slot)) => Ok(i64::try_from(slot).ok()),
        Ok(Found::Held(slot)) => Ok(i64::try_from(slot).ok().map(|slot| !slot)),
        Ok(Found::Nothing) => Ok(None),
        Err(error) => Err(to_ruby(ruby, &error)),
    })
}

/// Waits for a connection, at most so many seconds: the number of a slot, or nil.
///
/// Now and then it has those looked for that are gone: one of them may be ahead, or hold what is waited for.
fn queue(ruby: &Ruby, pool: Obj<Pool>, owner: u64, limit: f64, for_block: bool) -> Result<Option<usize>, Error> {
    guarded(ruby, || {
        let mut looked = Instant::now();
        let native = pool.native(ruby)?;
        let lent = lend(ruby)?;
        let waker = lent.signal().clone();
        let ticket = native.wait(owner, Arc::new(move || waker.post()));
        let ticket = ticket.map_err(|error| to_ruby(ruby, &error))?;
        let answer = || {
            if looked.elapsed() >= LOOK_FOR_GONE {
                looked = Instant::now();
                if let Err(interrupt) = pool.funcall::<_, _, Value>("reclaim", ()) {
                    return Some(Err(interrupt));
                }
            }
            let answer = here(&native, || native.answer(owner, ticket))?;
            Some(answer.map_err(|error| to_ruby(ruby, &error)))
        };
        match wait_for(ruby, lent.signal(), seconds(limit), answer)
            .map(Option::transpose)
            .and_then(|answer| answer)
        {
            Ok(Some(slot)) => {
                if for_block {
                    native.lend_to_block(owner);
                }
                Ok(Some(slot))
            }
            other => {
                if ours(&native) {
                    native.give_up(owner, ticket);
                }
                other
            }
        }
    })
}

/// What is waited for. In a child that a handler of signals has forked it will never come, and nothing there may be asked:
/// the locks are the parent's.
fn here<T>(native: &NativePool, answer: impl FnOnce() -> Option<Result<T, CoreError>>) -> Option<Result<T, CoreError>> {
    if ours(native) {
        answer()
    } else {
        Some(Err(native.left_behind()))
    }
}

/// Whether this process has made the pool.
fn ours(native: &NativePool) -> bool {
    !fork::untold() && native.is_of(process::current())
}

fn release(ruby: &Ruby, pool: &Pool, owner: u64, by_block: bool) -> Result<bool, Error> {
    guarded(ruby, || {
        Ok(pool.known().is_some_and(|native| native.release(owner, by_block)))
    })
}

fn lend(ruby: &Ruby) -> Result<Lent, Error> {
    Lent::new().map_err(|error| to_ruby(ruby, &CoreError::Watch(error.to_string())))
}

/// Ends the leases of owners that are gone.
fn reclaim(ruby: &Ruby, pool: &Pool, gone: Vec<u64>) -> Result<usize, Error> {
    guarded(ruby, || Ok(pool.native(ruby)?.reclaim(&gone)))
}

fn sweep(ruby: &Ruby, pool: &Pool) -> Result<usize, Error> {
    guarded(ruby, || Ok(pool.native(ruby)?.sweep()))
}

fn reload(ruby: &Ruby, pool: &Pool) -> Result<usize, Error> {
    guarded(ruby, || Ok(pool.native(ruby)?.reload()))
}

fn resize(ruby: &Ruby, pool: &Pool, size: usize) -> Result<(), Error> {
    guarded(ruby, || {
        pool.options.borrow_mut().size = size;
        pool.native(ruby)?.resize(size);
        Ok(())
    })
}

fn close(ruby: &Ruby, pool: &Pool) -> Result<(), Error> {
    guarded(ruby, || {
        pool.closed.set(true);
        pool.native(ruby)?.close();
        Ok(())
    })
}

fn close_idle(ruby: &Ruby, pool: &Pool) -> Result<usize, Error> {
    guarded(ruby, || Ok(pool.known().map_or(0, |native| native.close_idle())))
}

fn drained(ruby: &Ruby, pool: &Pool) -> Result<bool, Error> {
    guarded(ruby, || Ok(pool.native(ruby)?.is_drained()))
}

fn parted(ruby: &Ruby, pool: &Pool) -> Result<bool, Error> {
    guarded(ruby, || Ok(pool.known().is_none_or(|native| native.has_closed_files())))
}

/// Size, idle, leased, opening, away, waiting.
fn numbers(ruby: &Ruby, pool: &Pool) -> Result<(usize, usize, usize, usize, usize, usize), Error> {
    guarded(ruby, || {
        let numbers = pool.native(ruby)?.numbers();
        let (opening, away, waiting) = (numbers.opening, numbers.away, numbers.waiting);
        Ok((numbers.size, numbers.idle, numbers.leased, opening, away, waiting))
    })
}

/// Gives back what an owner holds in every native pool, blocks apart. Costs a look where nothing is held.
fn release_all(ruby: &Ruby, owner: u64) -> Result<usize, Error> {
    guarded(ruby, || {
        let pools = process::current().natives();
        Ok(pools.iter().filter(|native| native.release(owner, false)).count())
    })
}

fn released(ruby: &Ruby, pool: &Pool) -> Result<u64, Error> {
    guarded(ruby, || Ok(pool.known().map_or(0, |native| native.released())))
}

/// Who holds something, or waits.
fn owners(ruby: &Ruby, pool: &Pool) -> Result<Vec<u64>, Error> {
    guarded(ruby, || Ok(pool.native(ruby)?.owners()))
}

/// Owner and age of each lease.
fn leases(ruby: &Ruby, pool: &Pool) -> Result<RArray, Error> {
    guarded(ruby, || {
        let all = ruby.ary_new();
        for (owner, age) in pool.native(ruby)?.leases() {
            all.push((owner, age.as_secs_f64()))?;
        }
        Ok(all)
    })
}

pub fn init(ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let pool = module.define_class("Pool", ruby.class_object())?;
    pool.undef_default_alloc_func();
    pool.define_singleton_method("_open", function!(open, 3))?;
    pool.define_singleton_method("_release_all", function!(release_all, 1))?;
    pool.define_singleton_method("_fibers_own", function!(fibers_own, 1))?;
    pool.define_singleton_method("_present", function!(present, 0))?;
    pool.define_method("_connections", method!(connections, 1))?;
    pool.define_method("_lease", method!(lease, 0))?;
    pool.define_method("release", method!(give_back, 0))?;
    pool.define_method("_checkout", method!(checkout, 2))?;
    pool.define_method("_queue", method!(queue, 3))?;
    pool.define_method("_release", method!(release, 2))?;
    pool.define_method("_query", method!(statements::query, 5))?;
    pool.define_method("_begin", method!(statements::begin, 2))?;
    pool.define_method("_level", method!(statements::level, 2))?;
    pool.define_method("_commit", method!(statements::commit, 3))?;
    pool.define_method("_roll_back", method!(statements::roll_back, 4))?;
    pool.define_method("_ping", method!(statements::ping, 2))?;
    pool.define_method("_reclaim", method!(reclaim, 1))?;
    pool.define_method("_sweep", method!(sweep, 0))?;
    pool.define_method("_reload", method!(reload, 0))?;
    pool.define_method("_resize", method!(resize, 1))?;
    pool.define_method("_close", method!(close, 0))?;
    pool.define_method("_close_idle", method!(close_idle, 0))?;
    pool.define_method("_drained", method!(drained, 0))?;
    pool.define_method("_parted", method!(parted, 0))?;
    pool.define_method("_numbers", method!(numbers, 0))?;
    pool.define_method("_leases", method!(leases, 0))?;
    pool.define_method("_owners", method!(owners, 0))?;
    pool.define_method("_released", method!(released, 0))?;
    Ok(())
}
