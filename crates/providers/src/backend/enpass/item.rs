//! The items of a vault: the tables `item` and `itemfield` of Enpass 6.
//!
//! Beside the database's own encryption, passwords are encrypted with their item's key: AES-256-GCM, the value in
//! hexadecimal, `item.key` = 32 bytes of key and 12 of nonce, authenticated with the item's UUID as 16 bytes. A value that
//! does not open that way is stored as it is, unless it is of the type `password`, which always is encrypted.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use fnox_core::{SecretBytes, SecretString};
use rusqlite::{Connection, MAIN_DB, Row, types::FromSql};
use uuid::Uuid;

use super::reference::Place;
use crate::error::ProviderError;

/// Bytes of a key, in `item.key` before the nonce.
const KEY: usize = 32;
/// Bytes of a nonce.
const NONCE: usize = 12;
const PASSWORD: &str = "password";

/// An item that is neither deleted nor in the trash nor archived.
#[derive(Debug)]
pub(super) struct Item {
    uuid: String,
    title: String,
    note: SecretString,
    key: SecretBytes,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    label: String,
    kind: String,
    /// As it is stored.
    value: SecretString,
}

/// All items of a plain database.
pub(super) fn read(image: &[u8]) -> Result<Vec<Item>, ProviderError> {
    load(image).map_err(|error| {
        ProviderError::misconfigured(format!(
            "the vault's tables are not those of Enpass 6: {error}"
        ))
        .at_key("vault")
    })
}

fn load(image: &[u8]) -> rusqlite::Result<Vec<Item>> {
    let mut database = Connection::open_in_memory()?;
    database.deserialize_read_exact(MAIN_DB, image, image.len(), true)?;
    let mut items = Vec::new();
    let mut statement = database.prepare("SELECT * FROM item ORDER BY title, uuid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if ["deleted", "trashed", "archived"]
            .iter()
            .any(|flag| is_set(row, flag))
        {
            continue;
        }
        items.push(Item {
            uuid: row.get("uuid")?,
            title: text(row, "title")?,
            note: SecretString::from(text(row, "note")?),
            key: SecretBytes::new(row.get::<_, Option<Vec<u8>>>("key")?.unwrap_or_default()),
            fields: Vec::new(),
        });
    }
    let mut statement =
        database.prepare("SELECT * FROM itemfield WHERE item_uuid = ?1 ORDER BY rowid")?;
    for item in &mut items {
        let mut rows = statement.query([&item.uuid])?;
        while let Some(row) = rows.next()? {
            if is_set(row, "deleted") {
                continue;
            }
            item.fields.push(Field {
                label: text(row, "label")?,
                kind: text(row, "type")?,
                value: SecretString::from(text(row, "value")?),
            });
        }
    }
    Ok(items)
}

fn text(row: &Row<'_>, column: &str) -> rusqlite::Result<String> {
    Ok(row.get::<_, Option<String>>(column)?.unwrap_or_default())
}

/// Whether a flag is set that not all versions have.
fn is_set(row: &Row<'_>, column: &str) -> bool {
    row.get_ref(column)
        .ok()
        .and_then(|value| i64::column_result(value).ok())
        .is_some_and(|flag| flag != 0)
}

/// The value under a reference.
pub(super) fn find(items: &[Item], reference: &str) -> Result<SecretString, ProviderError> {
    for place in Place::readings(reference)? {
        let called: Vec<&Item> = items
            .iter()
            .filter(|item| item.title == place.title)
            .collect();
        match called.as_slice() {
            [] => {}
            [item] => return item.value(reference, place.field.as_deref()),
            several => {
                return Err(ProviderError::misconfigured(format!(
                    "{} items are called `{}`",
                    several.len(),
                    place.title.escape_debug()
                ))
                .with_remedy("give each a title of its own in Enpass"));
            }
        }
    }
    Err(ProviderError::not_found(reference))
}

impl Item {
    fn value(&self, reference: &str, field: Option<&str>) -> Result<SecretString, ProviderError> {
        let Some(name) = field else {
            let field = self.only(reference, |field| field.kind == PASSWORD)?;
            let field = field.ok_or_else(|| ProviderError::not_found(reference))?;
            return self.open(reference, field);
        };
        let by_label = self.only(reference, |field| field.label == name)?;
        let by_label = match by_label {
            None => self.only(reference, |field| field.label.eq_ignore_ascii_case(name))?,
            found => found,
        };
        let found = match by_label {
            None => self.only(reference, |field| field.kind.eq_ignore_ascii_case(name))?,
            found => found,
        };
        match (found, name.to_ascii_lowercase().as_str()) {
            (Some(field), _) => self.open(reference, field),
            (None, "note" | "notes") if !self.note.is_empty() => Ok(self.note.clone()),
            (None, "title") => Ok(SecretString::from(self.title.as_str())),
            (None, _) => Err(ProviderError::not_found(reference)),
        }
    }

    /// The one field that is wanted and not empty: templates have many that nobody fills in.
    fn only<W>(&self, reference: &str, wanted: W) -> Result<Option<&Field>, ProviderError>
    where
        W: Fn(&Field) -> bool,
    {
        let mut fields = self
            .fields
            .iter()
            .filter(|field| !field.value.is_empty() && wanted(field));
        let first = fields.next();
        match fields.count() {
            0 => Ok(first),
            more => Err(ProviderError::misconfigured(format!(
                "`{}` could be any of {} fields",
                reference.escape_debug(),
                more + 1
            ))
            .with_remedy("write the field's label, or give each a label of its own in Enpass")),
        }
    }

    fn open(&self, reference: &str, field: &Field) -> Result<SecretString, ProviderError> {
        match self.decrypted(field.value.expose_secret()) {
            Some(value) => value
                .into_string()
                .map_err(|_| ProviderError::misconfigured("the value is not UTF-8 text")),
            None if field.kind == PASSWORD => Err(ProviderError::misconfigured(format!(
                "the password of `{}` does not open with its item's key",
                reference.escape_debug()
            ))
            .with_remedy("save the item again in Enpass")),
            None => Ok(field.value.clone()),
        }
    }

    fn decrypted(&self, stored: &str) -> Option<SecretBytes> {
        let stored = hex::decode(stored).ok()?;
        let (key, nonce) = self.key.expose_secret().split_at_checked(KEY)?;
        if nonce.len() != NONCE {
            return None;
        }
        let uuid = Uuid::parse_str(&self.uuid).ok()?;
        let payload = Payload {
            msg: &stored,
            aad: uuid.as_bytes(),
        };
        Aes256Gcm::new_from_slice(key)
            .ok()?
            .decrypt(Nonce::from_slice(nonce), payload)
            .ok()
            .map(SecretBytes::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two items of a vault that Enpass 6 wrote, as its owner published them to show how they open
    /// (github.com/hazcod/enpass-cli/issues/16).
    fn published() -> Vec<Item> {
        [
            (
                "a2ec30c0-aeed-41f7-aed7-cc50e69ff506",
                "e13fb959f5ccafbc94f02bbda2ef2f086a6942d818e1b1bd2ece182896712e788e10aaaf51e21c58b1758bfc",
                "a9279ed095d6c5f6624bb4863e8283bb501e6f15884209e86bfed86fda7bc28cc32d7476cc",
            ),
            (
                "d9a5c594-214c-4f24-8e82-981bb5643a30",
                "3537174f6ed41149421d45390334021acfc0c89286ed15fac397c2a38cb95aafb149848fca0538f032f802bf",
                "d19dde4390f74ab0598a779c09b3b093f4de26ce376f4ccce02cd6299efa6cb50dbf34",
            ),
        ]
        .map(|(uuid, key, value)| Item {
            uuid: uuid.to_owned(),
            title: uuid[..1].to_owned(),
            note: SecretString::from(""),
            key: SecretBytes::new(hex::decode(key).unwrap()),
            fields: vec![Field {
                label: "Password".to_owned(),
                kind: PASSWORD.to_owned(),
                value: SecretString::from(value),
            }],
        })
        .into()
    }

    #[test]
    fn what_enpass_wrote_opens() {
        let items = published();
        for (reference, value) in [("a", "Thank you, kissgyorgy"), ("d", "And you too, hazcod")] {
            let found = find(&items, reference).unwrap();
            assert_eq!(found.expose_secret(), value);
        }
    }

    #[test]
    fn a_value_of_another_item_does_not_open() {
        let mut items = published();
        let foreign = items[0].fields.pop().unwrap();
        items[1].fields = vec![foreign];
        let error = find(&items, "d").unwrap_err();
        assert!(error.message.contains("does not open"), "{error}");
        for key in [Vec::new(), vec![0; 43], vec![0; 45]] {
            items[1].key = SecretBytes::new(key);
            assert!(find(&items, "d").is_err());
        }
    }
}
