//! Providers whose values a hardware key opens.
//!
//! With one key, what it is asked stands in the provider's own table, as the established CLI has it. With several, each
//! has a table in `keys`.

use super::super::{Field, Kind, Section};
use super::{BIND_NAMES, Capability, ProviderSpec, reference};

const NAME: Field = Field::required("name", Kind::Text, "What the key is called.");
const WRAPPED: Field = Field::required(
    "wrapped",
    Kind::Text,
    "The data key, encrypted with this key's answer.",
);
const CHALLENGE: &str = "Hexadecimal challenge.";
const SLOT: &str = "Slot, `1` or `2`.";
const CREDENTIAL: &str = "Hexadecimal credential id.";
const SALT: &str = "Hexadecimal salt of 32 bytes.";
const PARTY: &str = "Relying party id.";

const DATA_KEY: Field = Field::optional(
    "data_key",
    Kind::Text,
    "Which data key the values are encrypted with, if there are several keys.",
);
const FORMER_KEYS: Field = Field::optional(
    "former_keys",
    Kind::TextList,
    "Keys that older values were encrypted with, encrypted with the data key.",
);

/// One of a YubiKey provider's keys.
static YUBIKEY_KEY: Section = Section {
    heading: "[[providers.NAME.keys]]",
    doc: "One of several YubiKeys that open the provider's values.",
    fields: &[
        NAME,
        Field::required("challenge", Kind::Text, CHALLENGE),
        Field::required("slot", Kind::Text, SLOT),
        WRAPPED,
    ],
};

/// One of a FIDO2 provider's keys.
static FIDO2_KEY: Section = Section {
    heading: "[[providers.NAME.keys]]",
    doc: "One of several FIDO2 keys that open the provider's values.",
    fields: &[
        NAME,
        Field::required("credential_id", Kind::Text, CREDENTIAL),
        Field::required("salt", Kind::Text, SALT),
        Field::required("rp_id", Kind::Text, PARTY),
        WRAPPED,
    ],
};

pub(super) const YUBIKEY: ProviderSpec = ProviderSpec {
    name: "yubikey",
    label: "YubiKey",
    capability: Capability::EncryptsInConfig,
    fields: &[
        reference("challenge", CHALLENGE),
        reference("slot", SLOT),
        BIND_NAMES,
        DATA_KEY,
        FORMER_KEYS,
        Field::optional(
            "keys",
            Kind::Tables(&YUBIKEY_KEY),
            "Several keys, of which each opens the values.",
        ),
    ],
    auth_command: None,
    variables: &[],
};

pub(super) const FIDO2: ProviderSpec = ProviderSpec {
    name: "fido2",
    label: "FIDO2",
    capability: Capability::EncryptsInConfig,
    fields: &[
        reference("credential_id", CREDENTIAL),
        reference("salt", SALT),
        reference("rp_id", PARTY),
        reference("pin", "PIN of the key."),
        BIND_NAMES,
        DATA_KEY,
        FORMER_KEYS,
        Field::optional(
            "keys",
            Kind::Tables(&FIDO2_KEY),
            "Several keys, of which each opens the values.",
        ),
    ],
    auth_command: None,
    variables: &[],
};
