//! Which servers are wanted: `target_session_attrs`, with the meaning that libpq gives it.

use crate::backend::url::parameter;
use crate::Error;

/// The parameter of the URL.
pub const PARAMETER: &str = "target_session_attrs";

/// Which servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// What a session says of its server.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    pub in_recovery: bool,
    /// Whether its transactions are read-only unless they say otherwise.
    pub read_only: bool,
}

/// Whether a server will do.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit {
    Well,
    /// Where no other does.
    AtNeed,
    /// Not, and why.
    Not(String),
}

impl Wanted {
    const ALL: [Wanted; 6] = [
        Wanted::Any,
        Wanted::ReadWrite,
        Wanted::ReadOnly,
        Wanted::Primary,
        Wanted::Standby,
        Wanted::PreferStandby,
    ];

    /// What a URL asks for.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where it asks for what there is not. What it asks for is not shown: it may be the rest of
    /// a password.
    pub fn of(query: Option<&str>) -> Result<Self, Error> {
        let Some(given) = parameter(query, PARAMETER) else {
            return Ok(Wanted::Any);
        };
        let known = Self::ALL.into_iter().find(|wanted| wanted.as_str() == given);
        known.ok_or_else(|| {
            Error::Configuration(format!(
                "{PARAMETER} in the URL takes {}, and was given something else",
                Self::ALL.map(Wanted::as_str).join(", ")
            ))
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Wanted::Any => "any",
            Wanted::ReadWrite => "read-write",
            Wanted::ReadOnly => "read-only",
            Wanted::Primary => "primary",
            Wanted::Standby => "standby",
            Wanted::PreferStandby => "prefer-standby",
        }
    }

    /// Whether a server with this role will do.
    pub fn fit(self, role: Role) -> Fit {
        let writes = !role.in_recovery && !role.read_only;
        let fits = match self {
            Wanted::Any => true,
            Wanted::ReadWrite => writes,
            Wanted::ReadOnly => !writes,
            Wanted::Primary => !role.in_recovery,
            Wanted::Standby | Wanted::PreferStandby => role.in_recovery,
        };
        match self {
            _ if fits => Fit::Well,
            Wanted::PreferStandby => Fit::AtNeed,
            _ => Fit::Not(format!(
                "{}, and {} is wanted ({PARAMETER})",
                role.words(),
                self.as_str()
            )),
        }
    }
}

impl Role {
    fn words(self) -> &'static str {
        match (self.in_recovery, self.read_only) {
            (true, _) => "it is a standby",
            (false, true) => "it is a primary whose default_transaction_read_only is on",
            (false, false) => "it is a primary that takes writes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: Role = Role {
        in_recovery: false,
        read_only: false,
    };
    const READ_ONLY: Role = Role {
        in_recovery: false,
        read_only: true,
    };
    const STANDBY: Role = Role {
        in_recovery: true,
        read_only: false,
    };

    #[test]
    fn what_is_wanted_has_the_meaning_of_libpq() {
        for (wanted, fits) in [
            (Wanted::Any, [true, true, true]),
            (Wanted::ReadWrite, [true, false, false]),
            (Wanted::ReadOnly, [false, true, true]),
            (Wanted::Primary, [true, true, false]),
            (Wanted::Standby, [false, false, true]),
        ] {
            let found = [PRIMARY, READ_ONLY, STANDBY].map(|role| wanted.fit(role) == Fit::Well);
            assert_eq!(found, fits, "{wanted:?}");
        }
        assert_eq!(Wanted::PreferStandby.fit(PRIMARY), Fit::AtNeed);
        assert_eq!(Wanted::PreferStandby.fit(STANDBY), Fit::Well);
    }

    #[test]
    fn a_refusal_says_what_the_server_is_and_what_is_wanted() {
        let Fit::Not(why) = Wanted::ReadWrite.fit(STANDBY) else {
            panic!("a standby takes no writes");
        };
        assert_eq!(why, "it is a standby, and read-write is wanted (target_session_attrs)");
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is_and_not_shown() {
        let asked = |query| Wanted::of(query).map_err(|error| error.to_string());
        assert_eq!(asked(None), Ok(Wanted::Any));
        assert_eq!(
            asked(Some("target_session_attrs=prefer-standby")),
            Ok(Wanted::PreferStandby)
        );
        assert_eq!(
            asked(Some("target_session_attrs=any&target_session_attrs=standby")),
            Ok(Wanted::Standby)
        );
        let error = asked(Some("target_session_attrs=hush")).unwrap_err();
        assert!(
            error.contains("any, read-write, read-only, primary, standby, prefer-standby"),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
}
