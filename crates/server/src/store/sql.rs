//! A transaction as the server's statements see it, whichever database it is.
//!
//! The statements are written once, in the part of SQL that SQLite and PostgreSQL share: parameters are `$1`, `$2`, …;
//! numbers and flags are 64-bit integers, times are nanoseconds since 1970 in UTC, ids and digests are bytes, lists
//! are JSON texts. What is different, the tables' definition, stands with each store.

use async_trait::async_trait;
use fnox_core::TokenHash;
use jiff::Timestamp;
use uuid::Uuid;

/// One value of a parameter or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number, a flag or a time.
    Integer(i64),
    /// A text. Without NUL, which PostgreSQL does not take.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

/// Why a statement did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The database did not answer, is full or cannot be written. It may work later.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored is not what this program writes.
    #[error("{0}")]
    Corrupt(String),
    /// A value cannot be stored, such as a text with a NUL character.
    #[error("{0}")]
    Unfit(String),
}

/// A transaction. Its end is the store's business: it commits what returned `Ok`, together with the audit records.
///
/// Transactions are strictly one after the other, also between several servers on one database: what one has
/// read, nobody changes before it ends.
#[async_trait]
pub trait Transaction: Send {
    /// Carries a statement out and tells how many rows it changed.
    async fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, SqlError>;

    /// Asks for rows.
    async fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, SqlError>;
}

impl dyn Transaction + '_ {
    /// The first row, if there is one.
    pub(crate) async fn first(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Option<Row>, SqlError> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    /// The number in the first column of the only row.
    pub(crate) async fn number(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<i64, SqlError> {
        let row = self.first(sql, parameters).await?;
        row.ok_or_else(|| SqlError::Corrupt("a count has no row".to_owned()))?
            .integer(0)
    }
}

impl Row {
    fn at(&self, index: usize) -> Result<&Value, SqlError> {
        self.0
            .get(index)
            .ok_or_else(|| SqlError::Corrupt(format!("there is no column {index}")))
    }

    /// A number.
    pub fn integer(&self, index: usize) -> Result<i64, SqlError> {
        match self.at(index)? {
            Value::Integer(number) => Ok(*number),
            _ => Err(wrong(index)),
        }
    }

    /// A number that is never negative.
    pub fn count(&self, index: usize) -> Result<u64, SqlError> {
        u64::try_from(self.integer(index)?).map_err(|_| wrong(index))
    }

    /// A number, if there is one.
    pub fn optional_integer(&self, index: usize) -> Result<Option<i64>, SqlError> {
        match self.at(index)? {
            Value::Null => Ok(None),
            _ => self.integer(index).map(Some),
        }
    }

    /// A flag.
    pub fn flag(&self, index: usize) -> Result<bool, SqlError> {
        match self.integer(index)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(wrong(index)),
        }
    }

    /// A text.
    pub fn text(&self, index: usize) -> Result<String, SqlError> {
        match self.at(index)? {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(wrong(index)),
        }
    }

    /// A text, if there is one.
    pub fn optional_text(&self, index: usize) -> Result<Option<String>, SqlError> {
        match self.at(index)? {
            Value::Null => Ok(None),
            _ => self.text(index).map(Some),
        }
    }

    /// Bytes.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, SqlError> {
        match self.at(index)? {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            _ => Err(wrong(index)),
        }
    }

    /// A SHA-256 or a MAC.
    pub fn digest(&self, index: usize) -> Result<[u8; 32], SqlError> {
        self.bytes(index)?.try_into().map_err(|_| wrong(index))
    }

    /// An id.
    pub fn id(&self, index: usize) -> Result<Uuid, SqlError> {
        Uuid::from_slice(&self.bytes(index)?).map_err(|_| wrong(index))
    }

    /// A time.
    pub fn time(&self, index: usize) -> Result<Timestamp, SqlError> {
        Timestamp::from_nanosecond(self.integer(index)?.into()).map_err(|_| wrong(index))
    }

    /// What a JSON text says.
    pub fn json<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T, SqlError> {
        serde_json::from_str(&self.text(index)?).map_err(|_| wrong(index))
    }
}

fn wrong(index: usize) -> SqlError {
    SqlError::Corrupt(format!("column {index} holds something else"))
}

impl Value {
    /// A list or an object as JSON text.
    pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<Self, SqlError> {
        serde_json::to_string(value)
            .map(Self::from)
            .map_err(|error| SqlError::Unfit(error.to_string()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Integer(flag.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Bytes(id.as_bytes().to_vec())
    }
}

impl From<TokenHash> for Value {
    fn from(hash: TokenHash) -> Self {
        Self::Bytes(hash.0.to_vec())
    }
}

impl From<[u8; 32]> for Value {
    fn from(digest: [u8; 32]) -> Self {
        Self::Bytes(digest.to_vec())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Timestamp> for Value {
    /// Times that no 64-bit number of nanoseconds can say are as far away as can be said.
    fn from(time: Timestamp) -> Self {
        let nanoseconds = time.as_nanosecond();
        Self::Integer(i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 {
            i64::MIN
        } else {
            i64::MAX
        }))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
