//! What went wrong between us and a database, without a word of what was sent.

use std::error::Error as _;

use crate::fault::{classify, Fault, Link};

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server has answered with an error.
    Answer,
    /// The socket failed, or could not be had.
    Lost,
    /// TLS could not be agreed on.
    Tls,
    /// The configuration cannot be used.
    Configuration,
    /// The peer does not speak this protocol.
    Protocol,
    /// A value does not fit where it was to go.
    Value,
    /// It took longer than it may.
    Late,
    /// The server answers, and is none of those that are wanted: `target_session_attrs`.
    Role,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// What the server, the system or the driver says.
    pub text: String,
    /// The server's SQLSTATE.
    pub sqlstate: Option<String>,
    /// The server's error number (MySQL, SQLite).
    pub number: Option<i64>,
    /// PostgreSQL's severity, where it ends the session.
    pub fatal: bool,
    /// Whether PostgreSQL has refused to begin, since a table has changed after the statement was prepared, or since the
    /// statement is gone.
    pub outdated: bool,
    /// Told by a library in this process, whose numbers are its own and say nothing of any server.
    pub local: bool,
    /// What the system says, where the socket failed or could not be had.
    pub io: Option<std::io::ErrorKind>,
}

impl Failure {
    /// A failure that no server has told.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Failure {
            kind,
            text: text.into(),
            sqlstate: None,
            number: None,
            fatal: false,
            outdated: false,
            local: false,
            io: None,
        }
    }

    /// The driver has panicked, which it does at many an answer that is no database's, or poolkeeper has.
    pub fn panicked() -> Self {
        let text =
            "what it sent makes no sense, or a bug of poolkeeper's; please report what standard error says of it";
        Failure::new(Kind::Protocol, text)
    }

    /// Too many parameters for a statement, or too few.
    pub fn wrong_count(wanted: usize, given: usize) -> Self {
        let plural = if wanted == 1 { "" } else { "s" };
        let text = format!("the statement has {wanted} parameter{plural}, and was given {given}");
        Failure::new(Kind::Value, text)
    }

    /// Whether it ends a statement that took too long, or was to end.
    pub fn cuts_off(&self) -> bool {
        match (self.local, self.number) {
            // SQLITE_INTERRUPT.
            (true, number) => number == Some(9),
            // MariaDB's max_statement_time, MySQL's max_execution_time.
            (false, Some(number)) => matches!(number, 1969 | 3024),
            (false, None) => self.sqlstate.as_deref() == Some("57014"),
        }
    }

    /// Whether it was this side that failed, for want of a descriptor or of a way: it says nothing of anybody else.
    pub fn is_our_own(&self) -> bool {
        use std::io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, NotFound, UnexpectedEof,
        };
        let theirs = [
            BrokenPipe,
            ConnectionAborted,
            ConnectionRefused,
            ConnectionReset,
            NotConnected,
            // A socket that no server has left in its place.
            NotFound,
            UnexpectedEof,
        ];
        self.kind == Kind::Lost && self.io.is_some_and(|kind| !theirs.contains(&kind))
    }

    /// Whether the session is beyond use.
    pub fn ends_session(&self) -> bool {
        match self.kind {
            Kind::Answer => self.fatal || self.fault() == Some(Fault::Dead),
            Kind::Lost | Kind::Tls | Kind::Protocol | Kind::Late | Kind::Role => true,
            Kind::Configuration | Kind::Value => false,
        }
    }

    /// What it says about a session that was in use.
    pub fn fault(&self) -> Option<Fault> {
        match self.kind {
            Kind::Answer => self.judged(),
            Kind::Lost | Kind::Protocol | Kind::Late => Some(Fault::Dead),
            Kind::Tls | Kind::Configuration | Kind::Value | Kind::Role => None,
        }
    }

    /// What it says about a server that was to be connected to.
    pub fn fault_of_connect(&self) -> Option<Fault> {
        match self.kind {
            Kind::Answer => self.judged().map(|fault| match fault {
                Fault::Dead => Fault::Unreachable,
                other => other,
            }),
            Kind::Lost | Kind::Late | Kind::Role => Some(Fault::Unreachable),
            Kind::Protocol | Kind::Tls | Kind::Configuration | Kind::Value => None,
        }
    }

    fn judged(&self) -> Option<Fault> {
        if self.local {
            return None;
        }
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        classify(&[Link {
            sqlstate: self.sqlstate.as_deref(),
            number: self.number,
            severity: Some(severity),
            text: &self.text,
            in_driver: true,
            ..Link::default()
        }])
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::Database(_) => Kind::Answer,
            // What the library of TLS has to say comes as an error of the socket's.
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Kind::Tls,
            // That a server closes a connection in the middle of a message is told as rubbish, and is none.
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => Kind::Lost,
            sqlx::Error::Tls(_) => Kind::Tls,
            sqlx::Error::Configuration(_) => Kind::Configuration,
            sqlx::Error::Encode(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::InvalidArgument(_) => Kind::Value,
            _ => Kind::Protocol,
        };
        let mut failure = Failure::new(kind, words(&error));
        if let sqlx::Error::Io(error) = &error {
            failure.io = Some(error.kind());
        }
        if let sqlx::Error::Database(answer) = &error {
            failure.sqlstate = answer.code().map(|code| code.into_owned());
            if let Some(postgres) = answer.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                use sqlx::postgres::PgSeverity::{Fatal, Panic};
                failure.fatal = matches!(postgres.severity(), Fatal | Panic);
                // By the driver's name for it: where it is the application's own EXECUTE that finds none, in a function
                // say, what stands before it has run.
                let missing = failure.sqlstate.as_deref() == Some("26000") && failure.text.contains("sqlx_s_");
                failure.outdated = missing || postgres.routine() == Some("RevalidateCachedQuery");
            } else if let Some(mysql) = answer.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                failure.number = Some(i64::from(mysql.number()));
            } else if answer.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                failure.number = failure.sqlstate.take().and_then(|code| code.parse().ok());
                failure.local = true;
            }
        }
        failure
    }
}

fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(answer) => answer.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => {
            let inner = other.source().map(ToString::to_string);
            let outer = other.to_string();
            // The wrapper's words are about the driver, the inner ones about the matter.
            inner.filter(|inner| outer.ends_with(inner.as_str())).unwrap_or(outer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sqlstate: &str, fatal: bool) -> Failure {
        Failure {
            sqlstate: Some(sqlstate.to_owned()),
            fatal,
            ..Failure::new(Kind::Answer, "")
        }
    }

    #[test]
    fn an_answer_leaves_the_session_in_order_and_a_lost_socket_does_not() {
        assert!(!answer("23505", false).ends_session());
        assert_eq!(answer("23505", false).fault(), None);
        assert!(answer("57P01", true).ends_session());
        assert_eq!(Failure::new(Kind::Lost, "reset").fault(), Some(Fault::Dead));
    }

    #[test]
    fn a_certificate_that_is_refused_is_no_server_that_is_down() {
        let io = |kind| Failure::from(sqlx::Error::Io(std::io::Error::new(kind, "as it may be")));
        let refused = io(std::io::ErrorKind::InvalidData);
        assert_eq!((refused.kind, refused.fault_of_connect()), (Kind::Tls, None));
        let closed = io(std::io::ErrorKind::UnexpectedEof);
        assert_eq!(closed.fault_of_connect(), Some(Fault::Unreachable));
    }

    #[test]
    fn a_way_that_there_is_not_is_our_own_failure_and_a_refusal_is_not() {
        use std::io::ErrorKind;
        let io = |kind| Failure::from(sqlx::Error::Io(std::io::Error::new(kind, "as it may be")));
        assert!(io(ErrorKind::HostUnreachable).is_our_own() && io(ErrorKind::Other).is_our_own());
        assert!(!io(ErrorKind::ConnectionRefused).is_our_own() && !io(ErrorKind::UnexpectedEof).is_our_own());
        assert!(!answer("57P03", true).is_our_own());
    }

    #[test]
    fn a_server_that_is_starting_is_unreachable_and_a_wrong_password_is_not() {
        assert_eq!(answer("57P03", true).fault_of_connect(), Some(Fault::Unreachable));
        assert_eq!(answer("28P01", true).fault_of_connect(), None);
        assert_eq!(answer("53300", true).fault_of_connect(), Some(Fault::Overloaded));
        assert_eq!(answer("25006", false).fault(), Some(Fault::Demoted));
    }

    #[test]
    fn a_number_of_sqlite_is_not_taken_for_one_of_mysql() {
        let numbered = |local| Failure {
            number: Some(1290),
            local,
            ..Failure::new(Kind::Answer, "--read-only")
        };
        assert_eq!(numbered(false).fault(), Some(Fault::Demoted));
        assert_eq!(numbered(true).fault(), None);
        assert!(!numbered(true).ends_session());
    }

    #[test]
    fn a_statement_that_was_cut_off_is_known_by_each_database_own_code() {
        let numbered = |number, local| Failure {
            number: Some(number),
            local,
            ..Failure::new(Kind::Answer, "")
        };
        assert!(answer("57014", false).cuts_off());
        assert!(numbered(1969, false).cuts_off() && numbered(3024, false).cuts_off() && numbered(9, true).cuts_off());
        assert!(
            !numbered(9, false).cuts_off() && !numbered(1969, true).cuts_off() && !answer("23505", false).cuts_off()
        );
    }
}
