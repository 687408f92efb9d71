//! CBOR as the model of a FIDO2 key reads and writes it: the canonical form alone (CTAP 2.1, section 8).

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cbor {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Cbor>),
    Map(Vec<(Cbor, Cbor)>),
    Bool(bool),
}

pub(crate) fn map<const N: usize>(entries: [(i64, Cbor); N]) -> Cbor {
    Cbor::Map(entries.map(|(key, value)| (Cbor::Int(key), value)).into())
}

pub(crate) fn array<const N: usize>(values: [Cbor; N]) -> Cbor {
    Cbor::Array(values.into())
}

impl Cbor {
    /// Reads one value, and fails unless it is in the canonical form: shortest numbers, definite lengths, keys in order.
    pub(crate) fn canonical(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Map(Vec::new());
        }
        let mut rest = bytes;
        let value = Self::read(&mut rest);
        assert!(rest.is_empty(), "nothing behind the parameters");
        let mut again = Vec::new();
        value.write(&mut again);
        assert_eq!(again, bytes, "canonical");
        value
    }

    fn read(rest: &mut &[u8]) -> Self {
        let first = rest[0];
        let (kind, short) = (first >> 5, first & 0x1f);
        *rest = &rest[1..];
        let more = match short {
            0..=23 => 0,
            24 => 1,
            25 => 2,
            26 => 4,
            other => panic!("length {other}"),
        };
        let number = if more == 0 {
            usize::from(short)
        } else {
            let (bytes, behind) = rest.split_at(more);
            *rest = behind;
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let bytes = |rest: &mut &[u8]| {
            let (bytes, behind) = rest.split_at(number);
            *rest = behind;
            bytes.to_vec()
        };
        match kind {
            0 => Self::Int(i64::try_from(number).unwrap()),
            1 => Self::Int(-1 - i64::try_from(number).unwrap()),
            2 => Self::Bytes(bytes(rest)),
            3 => Self::Text(String::from_utf8(bytes(rest)).unwrap()),
            4 => Self::Array((0..number).map(|_| Self::read(rest)).collect()),
            5 => Self::Map(
                (0..number)
                    .map(|_| (Self::read(rest), Self::read(rest)))
                    .collect(),
            ),
            7 => Self::Bool(number == 21),
            other => panic!("kind {other}"),
        }
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Int(number) if *number >= 0 => head(0, usize::try_from(*number).unwrap(), to),
            Self::Int(number) => head(1, usize::try_from(-1 - number).unwrap(), to),
            Self::Bytes(bytes) => {
                head(2, bytes.len(), to);
                to.extend(bytes);
            }
            Self::Text(text) => {
                head(3, text.len(), to);
                to.extend(text.as_bytes());
            }
            Self::Array(values) => {
                head(4, values.len(), to);
                for value in values {
                    value.write(to);
                }
            }
            Self::Map(entries) => {
                head(5, entries.len(), to);
                // The lower kind first, then the shorter key, then the lower bytes.
                let mut sorted: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| {
                        let mut bytes = Vec::new();
                        key.write(&mut bytes);
                        ((bytes[0] >> 5, bytes.len(), bytes), value)
                    })
                    .collect();
                sorted.sort_by(|one, other| one.0.cmp(&other.0));
                for ((_, _, key), value) in sorted {
                    to.extend(key);
                    value.write(to);
                }
            }
            Self::Bool(is_set) => to.push(if *is_set { 0xf5 } else { 0xf4 }),
        }
    }

    pub(crate) fn find(&self, wanted: i64) -> Option<&Self> {
        self.entry(&Self::Int(wanted))
    }

    pub(crate) fn under(&self, wanted: &str) -> Option<&Self> {
        self.entry(&Self::Text(wanted.to_owned()))
    }

    fn entry(&self, wanted: &Self) -> Option<&Self> {
        let Self::Map(entries) = self else {
            panic!("a map: {self:?}");
        };
        entries
            .iter()
            .find_map(|(key, value)| (key == wanted).then_some(value))
    }

    pub(crate) fn at(&self, wanted: i64) -> &Self {
        self.find(wanted)
            .unwrap_or_else(|| panic!("parameter {wanted}"))
    }

    pub(crate) fn bytes(&self, wanted: i64) -> &[u8] {
        self.at(wanted).as_bytes()
    }

    pub(crate) fn int(&self, wanted: i64) -> i64 {
        self.at(wanted).as_int()
    }

    pub(crate) fn text(&self, wanted: i64) -> &str {
        self.at(wanted).as_text()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("bytes: {other:?}"),
        }
    }

    pub(crate) fn as_int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("a number: {other:?}"),
        }
    }

    pub(crate) fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("a text: {other:?}"),
        }
    }
}

fn head(kind: u8, number: usize, to: &mut Vec<u8>) {
    let kind = kind << 5;
    match (u8::try_from(number), u16::try_from(number)) {
        (Ok(number @ 0..=23), _) => to.push(kind | number),
        (Ok(number), _) => to.extend([kind | 0x18, number]),
        (_, Ok(number)) => {
            to.push(kind | 0x19);
            to.extend(number.to_be_bytes());
        }
        _ => panic!("{number} is too large"),
    }
}
