//! Tokens: who shows one is let in with its rights.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Principal;
use crate::fault::Problem;

/// systemd's credential that is read where no file is named.
pub const CREDENTIAL: &str = "http-tokens";

/// A shorter token could be guessed.
const MIN_TOKEN_CHARS: usize = 16;

/// The tokens that let in, as hashes: the process keeps no token in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

#[derive(Clone, PartialEq, Eq)]
struct Token {
    hash: [u8; 32],
    holder: Principal,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} token{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })
    }
}

impl Tokens {
    /// Reads a file of tokens, one a line: `TOKEN [role] [camera,camera…]`, or `sha256:` with a token's hash in hex in the
    /// place of the token; `#` begins a comment line.
    ///
    /// # Errors
    /// The file cannot be read, has no token or a wrong line; the problem names the line, never its text.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let wrong = |what: String| Problem::new("tokens_file", format!("{}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| {
            wrong(e.to_string()).remedy("name a file that the daemon's user can read, with one token a line")
        })?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut tokens: Vec<Token> = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let token = token_of_line(line).map_err(|what| format!("line {}: {what}", index + 1))?;
            if tokens.iter().any(|known| known.hash == token.hash) {
                return Err(format!("line {}: this token stands further up already", index + 1));
            }
            tokens.push(token);
        }
        if tokens.is_empty() { Err("holds no token".to_owned()) } else { Ok(Self(tokens)) }
    }

    /// Whose `token` is, and their number. Takes the same time whichever token is tried: hashes are compared, and all of
    /// them.
    pub(super) fn holder(&self, token: &str) -> Option<(usize, &Principal)> {
        let tried = hash(token);
        let differing = |known: &[u8; 32]| known.iter().zip(tried).fold(0, |differs, (a, b)| differs | (a ^ b));
        self.0.iter().enumerate().fold(None, |found, (index, token)| {
            let same = std::hint::black_box(differing(&token.hash)) == 0;
            if same { Some((index, &token.holder)) } else { found }
        })
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn token_of_line(line: &str) -> Result<Token, &'static str> {
    let mut words = line.split_whitespace();
    let hash = hash_of_word(words.next().unwrap_or_default())?;
    let holder = Principal::parse(words.next(), words.next())?;
    match words.next() {
        None => Ok(Token { hash, holder }),
        Some(_) => Err("a line is a token, then a role, then cameras with commas and no blanks between them"),
    }
}

fn hash_of_word(word: &str) -> Result<[u8; 32], &'static str> {
    let Some(hex) = word.strip_prefix("sha256:") else {
        let long_enough = word.chars().count() >= MIN_TOKEN_CHARS;
        return if long_enough { Ok(hash(word)) } else { Err("a token has at least 16 characters and no blanks") };
    };
    let mut bytes = [0; 32];
    let digits = hex.as_bytes().iter().map(|b| char::from(*b).to_digit(16)).collect::<Option<Vec<_>>>();
    let digits = digits.filter(|d| d.len() == 64).ok_or("sha256: needs 64 hex digits")?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (pair[0] * 16 + pair[1]) as u8;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Role;

    #[test]
    fn tokens_are_lines_or_hashes_with_rights() {
        let text = "# home assistant\n\nsixteen-letters-x\n\
             sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 admin\n\
             a-token-for-the-gate\toperator  front,back\n";
        let tokens = Tokens::parse(text).unwrap();
        let rights = |token: &str| tokens.holder(token).map(|(_, holder)| holder.clone());
        assert_eq!(rights("sixteen-letters-x"), Some(Principal { role: Role::Viewer, cameras: None }));
        assert_eq!(rights("test"), Some(Principal { role: Role::Admin, cameras: None }));
        let gate = rights("a-token-for-the-gate").unwrap();
        assert_eq!((gate.role, gate.sees("front"), gate.sees("hall")), (Role::Operator, true, false));
        assert_eq!(rights("sixteen-letters-y"), None);
        assert_eq!(rights(""), None);
        assert_eq!(format!("{tokens:?}"), "3 tokens");
    }

    #[test]
    fn a_wrong_token_file_is_told_by_line_and_not_by_text() {
        for (text, expected) in [
            ("", "holds no token"),
            ("# only a comment\n", "holds no token"),
            ("a-good-long-token-1\nhunter2\n", "line 2: a token has at least 16 characters and no blanks"),
            ("two words of some length", "line 1: a token has at least 16 characters and no blanks"),
            ("a-good-long-token-1 boss", "line 1: a role is viewer, operator or admin"),
            ("a-good-long-token-1 admin a,,b", "line 1: cameras are ids with commas between them, such as front,back"),
            (
                "a-good-long-token-1 admin a b",
                "line 1: a line is a token, then a role, then cameras with commas and no blanks between them",
            ),
            ("a-good-long-token-1\na-good-long-token-1 admin", "line 2: this token stands further up already"),
            ("sha256:12ab", "line 1: sha256: needs 64 hex digits"),
        ] {
            assert_eq!(Tokens::parse(text), Err(expected.to_owned()));
        }
    }
}
