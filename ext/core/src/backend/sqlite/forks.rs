//! Files that a parent has open at a fork.
//!
//! SQLite keeps, for a whole process, which locks it holds on which file. A forked child inherits the account and not the
//! locks: a connection that it opens to such a file counts on locks that nobody holds, by which files are corrupted
//! (<https://sqlite.org/howtocorrupt.html>, 2.6). So there is none.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use super::super::{Failure, Kind};

/// By process; of an entry of another process, nothing can be taken back here.
static OPEN: Mutex<Vec<(u32, PathBuf)>> = Mutex::new(Vec::new());

/// A file that is open, until this is dropped.
#[derive(Debug)]
pub struct Listed(u32, PathBuf);

impl Listed {
    /// Enters a file that is about to be opened.
    ///
    /// # Errors
    ///
    /// Where a parent of this process had it open at the fork.
    pub fn enter(file: &Path) -> Result<Self, Failure> {
        let file = known(file);
        let own = std::process::id();
        let mut open = locked().ok_or_else(|| inherited(&file))?;
        if open.iter().any(|(process, path)| *process != own && *path == file) {
            return Err(inherited(&file));
        }
        open.push((own, file.clone()));
        Ok(Listed(own, file))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(mut open) = locked() else { return };
        let own = open
            .iter()
            .position(|(process, path)| (process, path) == (&self.0, &self.1));
        own.map(|place| open.swap_remove(place));
    }
}

/// The same file by the same name, whether it is there already or not.
fn known(file: &Path) -> PathBuf {
    let whole = file.canonicalize().or_else(|_| {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
        Ok::<_, std::io::Error>(folder.join(file.file_name().unwrap_or_default()))
    });
    whole.unwrap_or_else(|_| file.to_owned())
}

/// A fork may have caught it locked, and then it is for ever.
fn locked() -> Option<MutexGuard<'static, Vec<(u32, PathBuf)>>> {
    for _ in 0..100 {
        match OPEN.try_lock() {
            Ok(open) => return Some(open),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

fn inherited(file: &Path) -> Failure {
    let text = format!(
        "{} was open when this process was forked, and SQLite cannot open it safely here; close the pool before the \
         fork, or open it in the child only",
        file.display()
    );
    Failure::new(Kind::Configuration, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_refused_while_it_is_listed_for_another_process() {
        let file = Path::new("nowhere/forks.db");
        let listed = Listed::enter(file);
        assert!(listed.is_ok() && Listed::enter(file).is_ok());
        drop(listed);
        let parent = std::process::id().wrapping_add(1);
        OPEN.lock().unwrap().push((parent, known(file)));
        let refused = Listed::enter(file).err().map(|failure| failure.kind);
        assert_eq!(refused, Some(Kind::Configuration));
        assert!(Listed::enter(Path::new("nowhere/other.db")).is_ok());
        OPEN.lock().unwrap().retain(|(process, _)| *process != parent);
    }
}
