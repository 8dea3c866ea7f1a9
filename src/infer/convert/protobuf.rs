//! Protocol Buffers' wire format, as far as ONNX needs it. Messages are read field by field and written in the order in
//! which fields are added, so that the same graph is the same bytes on every machine.

/// What is wrong with bytes that are not what they should be.
pub(in crate::infer) type Malformed = String;

/// A message after an edit.
pub(super) type Edited = Result<Vec<u8>, Malformed>;

/// What a field's payload becomes; `None` leaves it as it is.
pub(super) type Change = Result<Option<Vec<u8>>, Malformed>;

/// Wire types.
pub(super) const VARINT: u64 = 0;
const FIXED64: u64 = 1;
pub(super) const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// One field of a message.
pub(super) struct Field<'a> {
    pub number: u64,
    pub wire: u64,
    /// The value's bytes, without key and length.
    pub payload: &'a [u8],
    /// Key, length and value.
    whole: &'a [u8],
}

impl<'a> Field<'a> {
    pub fn read(rest: &mut &'a [u8]) -> Result<Self, Malformed> {
        let start = *rest;
        let key = varint(rest)?;
        let wire = key & 7;
        let length = match wire {
            VARINT => {
                let mut after = *rest;
                varint(&mut after)?;
                rest.len() - after.len()
            }
            FIXED64 => 8,
            FIXED32 => 4,
            BYTES => usize::try_from(varint(rest)?).map_err(|e| e.to_string())?,
            other => return Err(format!("unknown wire type {other}")),
        };
        let (payload, after) = rest.split_at_checked(length).ok_or("a field is longer than its message")?;
        *rest = after;
        Ok(Self { number: key >> 3, wire, payload, whole: &start[..start.len() - after.len()] })
    }
}

/// Takes a number off the front.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or("the message ends inside a number")?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number is longer than 64 bits".into())
}

/// The payloads of the fields of this number that are messages, texts or bytes.
pub(super) fn members(message: &[u8], number: u64) -> Result<Vec<&[u8]>, Malformed> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let field = Field::read(&mut rest)?;
        if field.number == number && field.wire == BYTES {
            found.push(field.payload);
        }
    }
    Ok(found)
}

/// A copy of a message in which `change` may replace the payload of each length-delimited field.
pub(super) fn edit(message: &[u8], change: &mut dyn FnMut(u64, &[u8]) -> Change) -> Edited {
    let mut result = Vec::with_capacity(message.len() + 64);
    let mut rest = message;
    while !rest.is_empty() {
        let field = Field::read(&mut rest)?;
        let changed = if field.wire == BYTES { change(field.number, field.payload)? } else { None };
        match changed {
            Some(payload) => result.extend(bytes_field(field.number, &payload)),
            None => result.extend_from_slice(field.whole),
        }
    }
    Ok(result)
}

/// Replaces each innermost message on the way `path`.
pub(super) fn edit_path(message: &[u8], path: &[u64], replace: &mut dyn FnMut(&[u8]) -> Edited) -> Edited {
    match path {
        [] => replace(message),
        [first, rest @ ..] => edit(message, &mut |field, payload| {
            if field == *first { edit_path(payload, rest, replace).map(Some) } else { Ok(None) }
        }),
    }
}

/// One length-delimited field.
pub(super) fn bytes_field(number: u64, payload: &[u8]) -> Vec<u8> {
    Message::default().bytes(number, payload).0
}

/// A message as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(pub Vec<u8>);

impl Message {
    /// Adds an integer.
    pub fn integer(mut self, number: u64, value: u64) -> Self {
        self.put(number << 3 | VARINT);
        self.put(value);
        self
    }

    /// Adds a 32-bit float.
    pub fn float(mut self, number: u64, value: f32) -> Self {
        self.put(number << 3 | FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds bytes, or a text.
    pub fn bytes(mut self, number: u64, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref();
        self.put(number << 3 | BYTES);
        self.put(payload.len() as u64);
        self.0.extend_from_slice(payload);
        self
    }

    /// Adds a message.
    pub fn message(self, number: u64, message: &Self) -> Self {
        self.bytes(number, &message.0)
    }

    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let inner = Message::default().integer(1, 300).float(2, 0.5);
        let written = Message::default().bytes(3, "name").message(4, &inner).0;
        assert_eq!(members(&written, 3).unwrap(), [b"name"]);
        let inner = members(&written, 4).unwrap()[0];
        let mut rest = inner;
        let first = Field::read(&mut rest).unwrap();
        assert_eq!((first.number, first.wire, varint(&mut &first.payload[..])), (1, VARINT, Ok(300)));
        assert_eq!(Field::read(&mut rest).unwrap().payload, 0.5f32.to_le_bytes());
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn an_edit_that_changes_nothing_copies(number in 0u64..100, payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let message = bytes_field(number, &payload);
            prop_assert_eq!(edit(&message, &mut |_, _| Ok(None)).unwrap(), message.clone());
            prop_assert_eq!(edit(&message, &mut |_, same| Ok(Some(same.to_vec()))).unwrap(), message);
        }
    }
}
