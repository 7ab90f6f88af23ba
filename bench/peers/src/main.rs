//! The pools of Rust that poolkeeper is measured beside. Reads commands from its input, one a line, and answers each with
//! one line: `turns <pool> <count>` with nanoseconds of CPU and of time per acquire and release, `fill <pool>` with the
//! number of connections, `statements <pool> <rounds>` with how many failed.

use std::error::Error;
use std::io::{stdin, BufRead, Write};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, RecycleResult};
use rustix::time::{clock_gettime, ClockId};
use sqlx::postgres::{PgPool, PgPoolOptions};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Connections that need neither opening nor looking after: what is left is the pool's own cost.
struct Nothing;

impl Manager for Nothing {
    type Type = usize;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<usize, Self::Error> {
        Ok(0)
    }

    async fn recycle(&self, _: &mut usize, _: &Metrics) -> RecycleResult<Self::Error> {
        Ok(())
    }
}

struct Peers {
    size: usize,
    test_off: PgPool,
    test_on: PgPool,
    managed: deadpool::managed::Pool<Nothing>,
    unmanaged: deadpool::unmanaged::Pool<usize>,
}

impl Peers {
    fn new(url: &str, size: usize) -> Fallible<Self> {
        let sqlx = |test| {
            let options = PgPoolOptions::new()
                .max_connections(u32::try_from(size)?)
                .test_before_acquire(test);
            Ok::<_, Box<dyn Error>>(options.acquire_timeout(Duration::from_secs(10)).connect_lazy(url)?)
        };
        Ok(Peers {
            size,
            test_off: sqlx(false)?,
            test_on: sqlx(true)?,
            managed: deadpool::managed::Pool::builder(Nothing).max_size(size).build()?,
            unmanaged: deadpool::unmanaged::Pool::from(vec![0; size]),
        })
    }

    fn sqlx(&self, name: &str) -> Fallible<&PgPool> {
        match name {
            "sqlx-test-off" => Ok(&self.test_off),
            "sqlx-test-on" => Ok(&self.test_on),
            _ => Err(format!("no pool of sqlx is called {name}").into()),
        }
    }

    async fn turns(&self, name: &str, count: usize) -> Fallible<String> {
        let (cpu, time) = (cpu(), Instant::now());
        match name {
            "deadpool-managed" => {
                for _ in 0..count {
                    drop(std::hint::black_box(self.managed.get().await?));
                }
            }
            "deadpool-unmanaged" => {
                for _ in 0..count {
                    drop(std::hint::black_box(self.unmanaged.get().await?));
                }
            }
            _ => {
                let pool = self.sqlx(name)?;
                for _ in 0..count {
                    drop(std::hint::black_box(pool.acquire().await?));
                }
            }
        }
        let per_turn = |whole: Duration| whole.as_secs_f64() * 1e9 / count as f64;
        Ok(format!(
            "{:.1} {:.1}",
            per_turn(self::cpu() - cpu),
            per_turn(time.elapsed())
        ))
    }

    /// Opens all connections and uses each; they go back.
    async fn fill(&self, name: &str) -> Fallible<String> {
        let pool = self.sqlx(name)?;
        let failed = statements(pool, self.size).await;
        // They come back in the background.
        while pool.num_idle() < self.size && failed == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(pool.num_idle().to_string())
    }

    async fn statements(&self, name: &str, rounds: usize) -> Fallible<String> {
        let pool = self.sqlx(name)?;
        let mut failed = 0;
        for _ in 0..rounds {
            failed += statements(pool, self.size).await;
        }
        Ok(failed.to_string())
    }

    async fn answer(&self, line: &str) -> Fallible<String> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["turns", name, count] => self.turns(name, count.parse()?).await,
            ["fill", name] => self.fill(name).await,
            ["statements", name, rounds] => self.statements(name, rounds.parse()?).await,
            _ => Err(format!("unknown command: {line}").into()),
        }
    }
}

/// Takes all connections, runs one statement on each, and gives all back. Returns how many failed.
async fn statements(pool: &PgPool, size: usize) -> usize {
    let mut taken = Vec::with_capacity(size);
    for _ in 0..size {
        taken.push(pool.acquire().await);
    }
    let mut failed = 0;
    for connection in taken {
        failed += usize::from(match connection {
            Ok(mut connection) => sqlx::query("SELECT 1").execute(&mut *connection).await.is_err(),
            Err(_) => true,
        });
    }
    failed
}

/// What this process has used of the cores.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the first argument is the server's URL")?;
    let size = arguments
        .next()
        .ok_or("the second argument is the pools' size")?
        .parse()?;
    // The cheapest runtime there is: no thread but this one, so no switch between two.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let peers = runtime.block_on(async { Peers::new(&url, size) })?;
    let mut output = std::io::stdout();
    for line in stdin().lock().lines() {
        let line = line?;
        let answer = runtime.block_on(peers.answer(&line));
        writeln!(output, "{}", answer.unwrap_or_else(|error| format!("error: {error}")))?;
        output.flush()?;
    }
    Ok(())
}
