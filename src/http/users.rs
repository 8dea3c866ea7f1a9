//! Users: who gives a name and its password is let in for a while.

use std::fmt;
use std::path::Path;

use argon2::password_hash::{PasswordHash, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params};
use zeroize::Zeroizing;

use super::Principal;
use crate::fault::Problem;

/// A hash that takes more memory than this would let whoever asks for logins take it all.
const MOST_KIBIBYTES: u32 = 256 << 10;

/// Those who may log in. Holds hashes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Users(Vec<User>);

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) principal: Principal,
    /// In PHC's form: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    pub(super) hash: String,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} user{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })
    }
}

impl Users {
    /// Reads a file of users, one a line: `name:role[:camera,camera…]:$argon2id$…`; `#` begins a comment line.
    ///
    /// # Errors
    /// The file cannot be read, has no user or a wrong line; the problem names the line, never its text.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let wrong = |what: String| Problem::new("users_file", format!("{}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| {
            wrong(e.to_string())
                .remedy("name a file that the daemon's user can read, with name:role:$argon2id$… a line")
        })?;
        Self::parse(&text).map_err(wrong)
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut users: Vec<User> = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let user = user_of_line(line).map_err(|what| format!("line {}: {what}", index + 1))?;
            if users.iter().any(|known| known.name == user.name) {
                return Err(format!("line {}: this user stands further up already", index + 1));
            }
            users.push(user);
        }
        if users.is_empty() { Err("holds no user".to_owned()) } else { Ok(Self(users)) }
    }

    /// The user of this name.
    pub(super) fn find(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }

    /// The user of this name and password. Takes as long for a name that nobody has. Slow and hungry by intention: not for
    /// a thread that has others to serve.
    pub(super) fn verify(&self, name: &str, password: &str) -> Option<&User> {
        let found = self.find(name);
        let tried = found.or(self.0.first())?;
        let hash = PasswordHash::new(&tried.hash).ok()?;
        let same = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        found.filter(|_| same)
    }
}

fn user_of_line(line: &str) -> Result<User, &'static str> {
    const FORM: &str = "a line is name:role:$argon2id$… or name:role:camera,camera:$argon2id$…";
    let (rights, hash) = line.find(":$").map(|colon| (&line[..colon], &line[colon + 1..])).ok_or(FORM)?;
    let mut parts = rights.split(':');
    let name = parts.next().map(str::trim).filter(|name| !name.is_empty()).ok_or(FORM)?;
    let role = parts.next().map(str::trim).ok_or(FORM)?;
    let principal = Principal::parse(Some(role), parts.next())?;
    if parts.next().is_some() {
        return Err(FORM);
    }
    check_hash(hash)?;
    Ok(User { name: name.to_owned(), principal, hash: hash.to_owned() })
}

fn check_hash(text: &str) -> Result<(), &'static str> {
    const FORM: &str = "the password's hash is not one of argon2id: make it by argon2 SALT -id -e";
    let hash = PasswordHash::new(text).map_err(|_| FORM)?;
    let params = Params::try_from(&hash).map_err(|_| FORM)?;
    if hash.algorithm != Algorithm::Argon2id.ident() || hash.hash.is_none() || hash.salt.is_none() {
        return Err(FORM);
    }
    if params.m_cost() > MOST_KIBIBYTES {
        return Err("the password's hash takes more than 256 MiB: make it with a smaller -m");
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::http::Role;

    /// printf 'open sesame' | argon2 somesalt -id -t 1 -k 64 -e
    pub(in crate::http) const SESAME: &str =
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$LZw8QEfBHW9tuI3M0fy1MTUbB4Uakofb4BnzuEdIrdI";

    #[test]
    fn users_have_rights_and_a_password() {
        let text = format!("# the family\nann:admin:{SESAME}\n\nben:viewer:front,back:{SESAME}\n");
        let users = Users::parse(&text).unwrap();
        assert_eq!(users.verify("ann", "open sesame").map(|user| user.principal.role), Some(Role::Admin));
        let ben = &users.verify("ben", "open sesame").unwrap().principal;
        assert_eq!((ben.role, ben.sees("back"), ben.sees("hall")), (Role::Viewer, true, false));
        for (name, password) in [("ann", "open barley"), ("ann", ""), ("eve", "open sesame"), ("", "open sesame")] {
            assert!(users.verify(name, password).is_none(), "{name} {password}");
        }
        assert_eq!(format!("{users:?}"), "2 users");
    }

    #[test]
    fn a_wrong_users_file_is_told_by_line_and_not_by_text() {
        let form = "line 1: a line is name:role:$argon2id$… or name:role:camera,camera:$argon2id$…";
        let hash = "line 1: the password's hash is not one of argon2id: make it by argon2 SALT -id -e";
        for (text, expected) in [
            (String::new(), "holds no user"),
            ("ann:open sesame".to_owned(), form),
            (format!("ann:{SESAME}"), form),
            (format!(":admin:{SESAME}"), form),
            (format!("ann:admin:a:b:{SESAME}"), form),
            (format!("ann:boss:{SESAME}"), "line 1: a role is viewer, operator or admin"),
            ("ann:admin:$apr1$abc$def".to_owned(), hash),
            ("ann:admin:$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ".to_owned(), hash),
            (format!("ann:admin:{}", SESAME.replace("argon2id", "argon2i")), hash),
            (
                format!("ann:admin:{}", SESAME.replace("m=64", "m=4194304")),
                "line 1: the password's hash takes more than 256 MiB: make it with a smaller -m",
            ),
            (format!("ann:admin:{SESAME}\nann:viewer:{SESAME}"), "line 2: this user stands further up already"),
        ] {
            assert_eq!(Users::parse(&text), Err(expected.to_owned()), "{text}");
        }
    }
}
