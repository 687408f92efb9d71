//! Passwordstate's API with keys, as far as it reads passwords.
//!
//! Checked against Click Studios' "Passwordstate API": "Authentication" (the header `APIKey`), "Retrieving a Password", "Searching for
//! Passwords", "Retrieving a Password List" and the form of its errors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};

/// A password.
#[derive(Debug, Clone, Default)]
pub struct Password {
    /// Its title.
    pub title: String,
    /// The password.
    pub password: String,
    /// Its other fields, as the API calls them.
    pub fields: BTreeMap<String, String>,
}

/// A server with one list.
#[derive(Debug)]
pub struct Passwordstate {
    /// The list's passwords by id.
    pub passwords: BTreeMap<u64, Password>,
    /// Whether the key may not read.
    pub is_forbidden: bool,
}

impl Default for Passwordstate {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwordstate {
    /// The list's key.
    pub const KEY: &str = "8f3b7c2a9d4e5f60718293a4b5c6d7e8";
    /// The list.
    pub const LIST: u64 = 915;

    /// A server with an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self {
            passwords: BTreeMap::new(),
            is_forbidden: false,
        }
    }

    /// Adds a password.
    pub fn add(&mut self, id: u64, title: &str, password: &str) {
        let password = Password {
            title: title.to_owned(),
            password: password.to_owned(),
            fields: BTreeMap::new(),
        };
        self.passwords.insert(id, password);
    }

    fn one(&self, id: &str) -> Reply {
        let found = id
            .parse()
            .ok()
            .and_then(|id| self.passwords.get_key_value(&id));
        match found {
            Some((id, password)) => Reply::json(200, &json!([shown(*id, password)])),
            None => failure(404, "Not Found", "No password found with the PasswordID"),
        }
    }

    /// "Title" is searched for in the list's titles, whatever is before and behind it, and in any case of letters.
    fn search(&self, list: &str, title: &str) -> Reply {
        if list != Self::LIST.to_string() {
            return failure(404, "Not Found", "The Password List does not exist");
        }
        let title = title.to_lowercase();
        let found: Vec<Value> = self
            .passwords
            .iter()
            .filter(|(_, password)| password.title.to_lowercase().contains(&title))
            .map(|(id, password)| shown(*id, password))
            .collect();
        if found.is_empty() {
            return failure(404, "Not Found", "Your search returned no results");
        }
        Reply::json(200, &Value::Array(found))
    }
}

impl Service for Passwordstate {
    fn answer(&mut self, request: &Request, _: Timestamp, _: bool) -> Reply {
        if request.method != "GET" || !request.body.is_empty() {
            return Reply::undocumented("reading is a GET without a body");
        }
        if request.header("authorization").is_some() {
            return Reply::undocumented("the key is not in `Authorization`");
        }
        match request.header("apikey") {
            Some(Self::KEY) if self.is_forbidden => {
                return failure(403, "Forbidden", "The API Key may not be used for this");
            }
            Some(Self::KEY) => {}
            Some(_) => {
                return failure(
                    403,
                    "Forbidden",
                    "An error has occurred trying to validate the API Key",
                );
            }
            None => return Reply::undocumented("there is no header `APIKey`"),
        }
        let query = request.query();
        let segments: Vec<&str> = request.path.split('/').collect();
        match (segments.as_slice(), query.as_slice()) {
            (["", "api", "passwords", id], []) => self.one(id),
            (["", "api", "searchpasswords", list], [(name, title)]) if name == "Title" => {
                self.search(list, title)
            }
            (["", "api", "passwordlists", list], []) if *list == Self::LIST.to_string() => {
                let list = json!({"PasswordListID": Self::LIST, "PasswordList": "Shop", "Description": ""});
                Reply::json(200, &json!([list]))
            }
            (["", "api", "passwordlists", _], []) => {
                failure(404, "Not Found", "The Password List does not exist")
            }
            _ => Reply::undocumented("there is no such path with such parameters"),
        }
    }
}

fn shown(id: u64, password: &Password) -> Value {
    let mut shown = json!({
        "PasswordID": id, "Title": password.title, "Domain": "", "HostName": "", "UserName": "", "Description": "",
        "GenericField1": "", "Notes": "", "URL": "", "Password": password.password, "ExpiryDate": "", "AllowExport": true,
    });
    for (name, value) in &password.fields {
        shown[name] = value.as_str().into();
    }
    shown
}

fn failure(status: u16, message: &str, phrase: &str) -> Reply {
    Reply::json(
        status,
        &json!([{"errors": [{"message": message}, {"phrase": phrase}]}]),
    )
}
