//! What an error says about the connection it happened on.
//!
//! An error reaches us as a chain: the exception first, then its causes. Each link is judged by one table, in this
//! order: exclusions, then SQLSTATE or number, then text, then class. The chain is read from the latest link to the
//! oldest, by four rules.
//!
//! 1. A link that tells of its connection ends the reading: whatever caused it is older.
//! 2. So does a server's ordinary answer, a unique violation say: a server that answers is well, whatever broke
//!    before and was rescued.
//! 3. A wrapper (ActiveRecord's `ConnectionFailed`) only leans: the driver's error beneath it knows whether the server
//!    refused the password. Where the driver is at a loss too, the wrapper has its way.
//! 4. An application's error says nothing, and the reading goes on: raised in the rescue of a dead connection, it is
//!    about that connection.

mod table;
mod texts;

#[cfg(test)]
mod tests;

use table::Says;
use texts::Text;

/// How much of a text is looked at. What matters stands in front; what a user typed may stand behind.
pub const TEXT_LIMIT: usize = 2_000;

/// What an error says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection is gone or beyond use.
    Dead,
    /// The connection is gone, by the server's own limits: routine.
    Expired,
    /// The connection lives and leads to a server that no longer takes writes.
    Demoted,
    /// No connection could be had: the server is down, starting up or cannot be reached.
    Unreachable,
    /// No connection could be had: the server has as many as it allows.
    Overloaded,
}

impl Fault {
    /// Every fault there is.
    pub const ALL: [Self; 5] = [
        Self::Dead,
        Self::Expired,
        Self::Demoted,
        Self::Unreachable,
        Self::Overloaded,
    ];

    /// The name by which Ruby knows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Expired => "expired",
            Self::Demoted => "demoted",
            Self::Unreachable => "unreachable",
            Self::Overloaded => "overloaded",
        }
    }

    /// The fault of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name)
    }
}

/// One error of a chain. Where nothing is known, the default will do; codes are judged without a class, too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// Names of the class and all its ancestors, modules included, nearest first.
    pub classes: &'a [&'a str],
    /// The SQLSTATE that the driver read from the server's answer.
    pub sqlstate: Option<&'a str>,
    /// The driver's error number (MySQL); 0 means none.
    pub number: Option<i64>,
    /// PostgreSQL's severity, as it is not translated: "ERROR", "FATAL", "PANIC".
    pub severity: Option<&'a str>,
    /// The message.
    pub text: &'a str,
    /// Raised inside a driver or adapter, going by the backtrace.
    pub in_driver: bool,
}

/// How much of an error the table asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing: an error of these classes is passed over.
    Nothing,
    /// Codes and text.
    Words,
    /// Where it was raised as well.
    Origin,
}

/// Tells how much of an error with these classes the table asks for, so that nobody gathers the rest.
#[must_use]
pub fn interest(classes: &[&str]) -> Interest {
    let named = |rows: &[table::Class]| rows.iter().any(|row| classes.contains(&row.name));
    if Family::of(classes).is_some() || named(table::EXCLUSIONS) || named(table::CLASSES) {
        Interest::Words
    } else if named(table::BARE) {
        Interest::Origin
    } else {
        Interest::Nothing
    }
}

/// Judges a chain: the error first, then its causes.
#[must_use]
pub fn classify(chain: &[Link<'_>]) -> Option<Fault> {
    let mut opinion: Option<Option<Fault>> = None;
    for (index, link) in chain.iter().enumerate() {
        match link.reading() {
            Reading::Says(Says::Is(fault)) => return Some(fault),
            Reading::Says(Says::Aftermath) => return Some(death(&chain[index + 1..])),
            Reading::Says(Says::Innocent) => return None,
            Reading::Says(Says::AtLeast(fault)) => return opinion.unwrap_or(Some(fault)),
            // ActiveRecord saw the answer and still gave the connection up: it has its reasons (1046, for one).
            Reading::Answer => return opinion.flatten(),
            Reading::Says(Says::Leans(fault)) => opinion = opinion.or(Some(Some(fault))),
            Reading::Says(Says::LeansInnocent) => opinion = opinion.or(Some(None)),
            Reading::Says(Says::Nothing) | Reading::Silence => {}
        }
    }
    opinion.flatten()
}

/// How a connection died that is met dead: 6.1 and 7.0 report the failed ROLLBACK, with the reason beneath it.
fn death(older: &[Link<'_>]) -> Fault {
    if classify(older) == Some(Fault::Expired) {
        Fault::Expired
    } else {
        Fault::Dead
    }
}

/// What was made of one link.
enum Reading {
    /// A row of the table fits.
    Says(Says),
    /// A server's code that is not in the table.
    Answer,
    /// No row fits.
    Silence,
}

/// Who speaks, which tells where words may be looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Postgres,
    /// An error of the server that lost its SQLSTATE: its text may quote anything.
    PostgresAnswer,
    Mysql,
    ActiveRecord,
}

impl Family {
    fn of(classes: &[&str]) -> Option<Self> {
        classes.iter().find_map(|name| match *name {
            "PG::ServerError" => Some(Self::PostgresAnswer),
            "PG::Error" => Some(Self::Postgres),
            "Mysql2::Error" | "Trilogy::Error" => Some(Self::Mysql),
            "ActiveRecord::ConnectionNotEstablished" => Some(Self::ActiveRecord),
            _ => None,
        })
    }

    fn texts(self) -> &'static [Text] {
        match self {
            Self::Postgres => texts::POSTGRES,
            Self::Mysql => texts::MYSQL,
            Self::ActiveRecord => texts::ACTIVE_RECORD,
            Self::PostgresAnswer => &[],
        }
    }
}

impl Link<'_> {
    fn reading(&self) -> Reading {
        if let Some(says) = self.named(table::EXCLUSIONS) {
            return Reading::Says(says);
        }
        // The number first: MySQL's SQLSTATE are coarse, and "too many connections" has one of class 08.
        if let Some(number) = self.number.filter(|number| *number != 0) {
            return self.numbered(number);
        }
        if let Some(state) = self.sqlstate.filter(|state| tells(state)) {
            return self.stated(state);
        }
        let family = Family::of(self.classes);
        if family == Some(Family::PostgresAnswer) {
            return Reading::Answer;
        }
        let texts = family.map_or(&[][..], Family::texts);
        if !texts.is_empty() {
            let text = lowered(self.text);
            if let Some(row) = texts.iter().find(|row| has(&text, row.words)) {
                return Reading::Says(row.says);
            }
        }
        self.classed()
    }

    fn numbered(&self, number: i64) -> Reading {
        let text = lowered(self.text);
        let row = table::NUMBERS
            .iter()
            .find(|row| (row.from..=row.to).contains(&number) && has(&text, row.text));
        match row {
            Some(row) => Reading::Says(row.says),
            // The client's library speaks in these ranges (errmsg.h of MySQL and of MariaDB), not the server.
            None if (2_000..3_000).contains(&number) || (5_000..6_000).contains(&number) => self.classed(),
            None => Reading::Answer,
        }
    }

    fn stated(&self, state: &str) -> Reading {
        let alive = self.severity == Some("ERROR");
        let row = table::STATES
            .iter()
            .find(|row| state.starts_with(row.prefix) && !(row.fatal && alive));
        row.map_or(Reading::Answer, |row| Reading::Says(row.says))
    }

    fn classed(&self) -> Reading {
        let bare = if self.in_driver { table::BARE } else { &[] };
        self.named(table::CLASSES)
            .or_else(|| self.named(bare))
            .map_or(Reading::Silence, Reading::Says)
    }

    fn named(&self, rows: &[table::Class]) -> Option<Says> {
        rows.iter()
            .find(|row| self.classes.contains(&row.name))
            .map(|row| row.says)
    }
}

/// Whether an SQLSTATE says more than that there was an error.
fn tells(state: &str) -> bool {
    !matches!(state, "" | "00000" | "HY000")
}

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().all(|word| text.contains(word))
}

fn lowered(text: &str) -> String {
    let mut end = text.len().min(TEXT_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_ascii_lowercase()
}
