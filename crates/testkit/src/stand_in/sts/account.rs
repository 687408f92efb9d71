//! The account behind the stand-in: keys, roles, and who may assume them.

use base64::Engine as _;
use jiff::Timestamp;

/// An access key and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA…` or, temporary, `ASIA…`.
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// The token that must come with a temporary key.
    pub session_token: Option<String>,
    /// When a temporary key ends.
    pub expires: Option<Timestamp>,
    /// Whose it is.
    pub principal: Principal,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its ARN.
    pub arn: String,
    /// Its unique id.
    pub user_id: String,
}

impl Principal {
    /// Whether it is a role session. A role that such a session assumes is chained.
    #[must_use]
    pub fn is_role_session(&self) -> bool {
        self.arn.starts_with("arn:aws:sts::")
    }
}

/// A role and its trust policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// `MaxSessionDuration`, in seconds.
    pub max_session: u32,
    /// The external id that it asks for.
    pub external_id: Option<String>,
    /// The MFA device and the code that it asks for.
    pub mfa: Option<(String, String)>,
}

impl Role {
    /// A role that anybody with a valid key may assume, for up to 12 hours.
    #[must_use]
    pub fn open(arn: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            max_session: 43_200,
            external_id: None,
            mfa: None,
        }
    }
}

/// An AWS account.
#[derive(Debug, Default)]
pub struct Account {
    /// Keys of users, and the temporary ones that were issued.
    pub keys: Vec<AccessKey>,
    /// Roles.
    pub roles: Vec<Role>,
    /// OIDC tokens that are accepted, each with its subject.
    pub web_identities: Vec<(String, String)>,
}

impl Account {
    /// Number of the account in [`Account::example`].
    pub const NUMBER: &'static str = "123456789012";
    /// A role of [`Account::example`].
    pub const DEV_ROLE: &'static str = "arn:aws:iam::123456789012:role/dev-role";
    /// Another one.
    pub const OPS_ROLE: &'static str = "arn:aws:iam::123456789012:role/ops-role";

    /// An account with the users `alice` and `bob` and two open roles. The secret halves of the keys are
    /// random: they turn up nowhere by chance.
    #[must_use]
    pub fn example() -> Self {
        let user = |name: &str, id: &str| AccessKey {
            id: id.to_owned(),
            secret: random_text(30),
            session_token: None,
            expires: None,
            principal: Principal {
                arn: format!("arn:aws:iam::{}:user/{name}", Self::NUMBER),
                user_id: format!("AIDA{}", &id[4..]),
            },
        };
        Self {
            keys: vec![
                user("alice", "AKIAALICEALICEALICE1"),
                user("bob", "AKIABOBBOBBOBBOBBOB1"),
            ],
            roles: vec![Role::open(Self::DEV_ROLE), Role::open(Self::OPS_ROLE)],
            web_identities: Vec::new(),
        }
    }

    /// The key of a user, by the user's name.
    ///
    /// # Panics
    /// If there is no such user.
    #[must_use]
    pub fn user(&self, name: &str) -> &AccessKey {
        let suffix = format!(":user/{name}");
        let mut keys = self.keys.iter();
        keys.find(|key| key.principal.arn.ends_with(&suffix))
            .expect("a user of the account")
    }

    /// The temporary keys that were issued, oldest first.
    pub fn issued(&self) -> impl Iterator<Item = &AccessKey> {
        self.keys.iter().filter(|key| key.session_token.is_some())
    }

    pub(super) fn key(&self, id: &str) -> Option<&AccessKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Issues credentials for a session of a role.
    pub(super) fn issue(&mut self, role: &str, session: &str, expires: Timestamp) -> AccessKey {
        let assumed = role.replacen(":iam:", ":sts:", 1);
        // A role's path is not part of the session's ARN.
        let (account, path) = assumed.split_once(":role/").unwrap_or((&assumed, ""));
        let name = path.rsplit('/').next().unwrap_or(path);
        let key = AccessKey {
            id: format!("ASIA{}", random_capitals(16)),
            secret: random_text(30),
            session_token: Some(random_text(300)),
            expires: Some(expires),
            principal: Principal {
                arn: format!("{account}:assumed-role/{name}/{session}"),
                user_id: format!("AROAEXAMPLEEXAMPLE01:{session}"),
            },
        };
        self.keys.push(key.clone());
        key
    }
}

/// Random bytes as base64: like real secret keys, with `/` and `+` in them.
fn random_text(bytes: usize) -> String {
    let bytes: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn random_capitals(count: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..count)
        .map(|_| char::from(ALPHABET[usize::from(rand::random::<u8>() % 32)]))
        .collect()
}
