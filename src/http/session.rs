//! What a login gives: a short-lived token (a JWT, RFC 7519, signed with HMAC-SHA256) that names its user.
//!
//! The key is made of a secret of this run and of the user's own line: a restart, another password or a user who is taken
//! out ends all their logins. Rights are looked up at each request, so that they change with the file.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::users::{User, Users};

/// `{"alg":"HS256","typ":"JWT"}`: the only head there is, so that nobody else chooses the algorithm.
const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Signs logins and knows them again.
pub(super) struct Sessions {
    secret: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: i64,
    exp: i64,
}

/// Why a token of a login is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is no such token, or not one of ours.
    Foreign,
    /// Its time is over.
    Expired,
}

impl Sessions {
    /// With a secret that nobody else has and that ends with the process.
    pub(super) fn new() -> Self {
        use sha2::Digest as _;
        let mut random = Sha256::new();
        for _ in 0..4 {
            random.update(uuid::Uuid::new_v4().as_bytes());
        }
        Self { secret: random.finalize().into() }
    }

    fn mac(&self, user: &User) -> Option<Hmac<Sha256>> {
        let mut key = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        key.update(user.hash.as_bytes());
        Hmac::new_from_slice(&key.finalize().into_bytes()).ok()
    }

    /// A token for `user`, good for `length` from `now` on.
    pub(super) fn open(&self, user: &User, length: Duration, now: Timestamp) -> Option<String> {
        let iat = now.as_second();
        let exp = iat.saturating_add(i64::try_from(length.as_secs()).ok()?);
        let claims = Claims { iss: "visor".to_owned(), sub: user.name.clone(), iat, exp };
        let signed = format!("{HEAD}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).ok()?));
        let mut mac = self.mac(user)?;
        mac.update(signed.as_bytes());
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
    }

    /// Whose token this is.
    pub(super) fn holder<'a>(&self, token: &str, users: &'a Users, now: Timestamp) -> Result<&'a User, Unfit> {
        let (user, claims) = self.read(token, users).ok_or(Unfit::Foreign)?;
        if now.as_second() < claims.exp { Ok(user) } else { Err(Unfit::Expired) }
    }

    fn read<'a>(&self, token: &str, users: &'a Users) -> Option<(&'a User, Claims)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let user = users.find(&claims.sub).filter(|_| head == HEAD)?;
        let mut mac = self.mac(user)?;
        mac.update(signed.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        Some((user, claims))
    }
}

#[cfg(test)]
mod tests {
    use super::super::users::tests::SESAME;
    use super::*;

    const LENGTH: Duration = Duration::from_secs(900);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_login_holds_for_its_time_and_for_its_user() {
        let sessions = Sessions::new();
        let users = Users::parse(&format!("ann:admin:{SESAME}\nben:viewer:{SESAME}")).unwrap();
        let token = sessions.open(users.find("ann").unwrap(), LENGTH, at(1000)).unwrap();
        let holder = |users: &Users, now: i64| sessions.holder(&token, users, at(now)).map(|user| user.name.clone());
        assert_eq!(holder(&users, 1000), Ok("ann".to_owned()));
        assert_eq!(holder(&users, 1899), Ok("ann".to_owned()));
        assert_eq!(holder(&users, 1900), Err(Unfit::Expired));
        let without = Users::parse(&format!("ben:viewer:{SESAME}")).unwrap();
        assert_eq!(holder(&without, 1000), Err(Unfit::Foreign), "who is taken out is out");
        let changed = Users::parse(&format!("ann:admin:{}", SESAME.replace("c29tZXNhbHQ", "b3RoZXJzYWx0"))).unwrap();
        assert_eq!(holder(&changed, 1000), Err(Unfit::Foreign), "another password ends logins");
        assert_eq!(Sessions::new().holder(&token, &users, at(1000)).err(), Some(Unfit::Foreign), "so does a restart");
    }

    #[test]
    fn what_is_not_signed_here_is_foreign() {
        let sessions = Sessions::new();
        let users = Users::parse(&format!("ann:admin:{SESAME}\nben:viewer:{SESAME}")).unwrap();
        let token = sessions.open(users.find("ben").unwrap(), LENGTH, at(1000)).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(br#"{"iss":"visor","sub":"ann","iat":1000,"exp":9999}"#);
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        for forged in [
            format!("{}.{claims}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], &parts[2][1..]),
            format!("{token}."),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(sessions.holder(&forged, &users, at(1000)).err(), Some(Unfit::Foreign), "{forged}");
        }
    }
}
