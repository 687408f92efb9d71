//! The shared statements' values as PostgreSQL's, both ways.
//!
//! A statement is prepared with the types of its values, so that `$1` never means a smaller number than it has to.

use std::error::Error;

use fnox_server::store::sql::Value;
use tokio_postgres::types::{FromSql, ToSql, Type};

/// A value as a column.
#[derive(Debug)]
pub(super) struct Column(pub(super) Value);

/// The type that a value has. PostgreSQL finds out by itself of which type a missing value would be.
pub(super) fn kind(value: &Value) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Integer(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}

/// A value as a parameter of this type, which PostgreSQL confirmed or, for a missing value, found out.
pub(super) fn parameter<'a>(value: &'a Value, kind: &Type) -> &'a (dyn ToSql + Sync) {
    match value {
        Value::Null => match *kind {
            Type::INT8 => &None::<i64>,
            Type::INT4 => &None::<i32>,
            Type::BYTEA => &None::<&[u8]>,
            _ => &None::<&str>,
        },
        Value::Integer(number) => number,
        Value::Text(text) => text,
        Value::Bytes(bytes) => bytes,
    }
}

impl<'a> FromSql<'a> for Column {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::BOOL => Value::from(bool::from_sql(kind, raw)?),
            Type::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::NUMERIC => Value::Integer(whole(raw).ok_or("not a whole number of 64 bits")?),
            Type::BYTEA | Type::UUID => Value::Bytes(raw.to_vec()),
            _ => Value::Text(String::from_sql(kind, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::NUMERIC
                | Type::BYTEA
                | Type::UUID
        ) || <String as FromSql>::accepts(kind)
    }
}

/// A `numeric`, which sums of numbers are, if it is a whole number: count of digits, weight of the first one, sign,
/// digits after the point, and the digits, which go from 0 to 9999 (`numeric_send` of PostgreSQL).
fn whole(raw: &[u8]) -> Option<i64> {
    let mut words = raw
        .chunks(2)
        .map(|word| word.try_into().ok().map(u16::from_be_bytes));
    let mut next = || words.next().flatten();
    let (count, weight, sign, _) = (next()?, next()?.cast_signed(), next()?, next()?);
    let mut number = 0_i128;
    for _ in 0..i32::from(count).max(i32::from(weight) + 1).min(10) {
        // Left out are zeros at the end.
        let digit = next().unwrap_or(0);
        number = number.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    let after_the_point = i32::from(count) - (i32::from(weight) + 1);
    for _ in 0..after_the_point.clamp(0, 10) {
        if number % 10_000 != 0 {
            return None;
        }
        number /= 10_000;
    }
    match sign {
        0 => i64::try_from(number).ok(),
        0x4000 => i64::try_from(-number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn whole_numerics_become_numbers_and_others_do_not() {
        for (words, number) in [
            (&[0, 0, 0, 0][..], Some(0)),
            (&[1, 0, 0, 0, 42], Some(42)),
            (&[1, 1, 0, 0, 3], Some(30_000)),
            (&[2, 1, 0x4000, 0, 1, 5], Some(-10_005)),
            // 7.5, 0.5, NaN
            (&[2, 0, 0, 1, 7, 5000], None),
            (&[1, 0xffff, 0, 1, 5000], None),
            (&[0, 0, 0xc000, 0], None),
            // 10 to the power of 32
            (&[1, 8, 0, 0, 1], None),
            (&[5, 4, 0, 0, 922, 3372, 368, 5477, 5807], Some(i64::MAX)),
            (&[5, 4, 0, 0, 922, 3372, 368, 5477, 5808], None),
        ] {
            assert_eq!(whole(&numeric(words)), number, "{words:?}");
        }
        assert_eq!(whole(&[1]), None);
    }
}
