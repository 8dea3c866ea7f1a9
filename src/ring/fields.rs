//! How fields of messages are written whose own form would lose something, or let something through, in bytes.

/// A rate, of which neither side has to expect that it is no number. One that is none is written as none at all.
pub(super) mod rate {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub fn serialize<S: Serializer>(rate: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        rate.filter(|rate| rate.is_finite()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let rate = Option::<f64>::deserialize(deserializer)?;
        if rate.is_some_and(|rate| !rate.is_finite()) {
            return Err(de::Error::custom("a rate that is no number"));
        }
        Ok(rate)
    }
}

/// An address as text: in bytes it would lose the interface that a link-local one belongs to.
pub(super) mod address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&address.to_string())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
