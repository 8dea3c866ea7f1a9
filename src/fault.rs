//! What went wrong, where, and what to do about it: the error that reaches a user.

use std::fmt;

/// The meaning of a fault, and the exit status it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The command line was wrong: exit status 2.
    Usage,
    /// The input given to a one-shot command cannot be used: exit status 1.
    Input,
    /// Something needed is not there (model, library, provider, device): exit status 69.
    Unavailable,
    /// A bug, or a model that hangs: exit status 70.
    Internal,
    /// The configuration is wrong: exit status 78.
    Config,
}

impl FaultKind {
    /// The process' exit status.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Input => 1,
            Self::Usage => 2,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Config => 78,
        }
    }
}

/// An error for people: what is wrong (with where), and what to do. Never holds a credential.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its meaning.
    pub kind: FaultKind,
    /// What is wrong and where; lower case, no full stop.
    pub what: String,
    /// What to do about it; empty where nothing is known to help.
    pub remedy: String,
}

impl Fault {
    /// A fault without a remedy.
    pub fn new(kind: FaultKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), remedy: String::new() }
    }

    /// The same fault with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same fault, found in what the command line said: what is wrong in a file is wrong usage there.
    #[must_use]
    pub fn from_command_line(mut self) -> Self {
        if self.kind == FaultKind::Config {
            self.kind = FaultKind::Usage;
        }
        self
    }

    /// A wrong command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Usage, what)
    }

    /// Something needed is not there.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Unavailable, what)
    }

    /// A bug, or something that hangs.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Internal, what)
    }

    /// A wrong setting.
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Config, what)
    }

    /// An input that cannot be used.
    pub fn input(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Input, what)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// One thing that is wrong with a configuration. Never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key's path, as `cameras.front.uri`; empty where the file as a whole is meant.
    pub key: String,
    /// Where it was written: `line 12`, or the name of an environment variable; empty where it was not.
    pub origin: String,
    /// What is wrong; lower case, no full stop.
    pub what: String,
    /// What to do about it; empty where nothing is known to help.
    pub remedy: String,
}

impl Problem {
    /// A problem at `key`, without a remedy.
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), origin: String::new(), what: what.into(), remedy: String::new() }
    }

    /// The same problem with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same problem as seen from outside the table `prefix`.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        self.key = match (prefix, self.key.as_str()) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}.{key}"),
        };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), self.origin.as_str()) {
            ("", "") => {}
            (key, "") => write!(f, "{key}: ")?,
            ("", origin) => write!(f, "{origin}: ")?,
            (key, origin) => write!(f, "{key} ({origin}): ")?,
        }
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}
