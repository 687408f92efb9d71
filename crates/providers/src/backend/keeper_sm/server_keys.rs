//! The service's public keys, by their numbers. They are the same for everybody and part of every client that Keeper publishes; which
//! one is in use is the service's choice, and it says so to whoever takes another.

use super::crypto;

/// The key of a configuration that names none.
pub(super) const USUAL: &str = "10";

/// Points on P-256 (SEC 1, section 2.3.3), in base64url.
const PUBLISHED: &[(&str, &str)] = &[
    (
        "7",
        "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRM",
    ),
    (
        "8",
        "BKnhy0obglZJK-igwthNLdknoSXRrGB-mvFRzyb_L-DKKefWjYdFD2888qN1ROczz4n3keYSfKz9Koj90Z6w_tQ",
    ),
    (
        "9",
        "BAsPQdCpLIGXdWNLdAwx-3J5lNqUtKbaOMV56hUj8VzxE2USLHuHHuKDeno0ymJt-acxWV1xPlBfNUShhRTR77g",
    ),
    (
        "10",
        "BNYIh_Sv03nRZUUJveE8d2mxKLIDXv654UbshaItHrCJhd6cT7pdZ_XwbdyxAOCWMkBb9AZ4t1XRCsM8-wkEBRg",
    ),
    (
        "11",
        "BA6uNfeYSvqagwu4TOY6wFK4JyU5C200vJna0lH4PJ-SzGVXej8l9dElyQ58_ljfPs5Rq6zVVXpdDe8A7Y3WRhk",
    ),
    (
        "12",
        "BMjTIlXfohI8TDymsHxo0DqYysCy7yZGJ80WhgOBR4QUd6LBDA6-_318a-jCGW96zxXKMm8clDTKpE8w75KG-FY",
    ),
    (
        "13",
        "BJBDU1P1H21IwIdT2brKkPqbQR0Zl0TIHf7Bz_OO9jaNgIwydMkxt4GpBmkYoprZ_DHUGOrno2faB7pmTR7HhuI",
    ),
    (
        "14",
        "BJFF8j-dH7pDEw_U347w2CBM6xYM8Dk5fPPAktjib-opOqzvvbsER-WDHM4ONCSBf9O_obAHzCyygxmtpktDuiE",
    ),
    (
        "15",
        "BDKyWBvLbyZ-jMueORl3JwJnnEpCiZdN7yUvT0vOyjwpPBCDf6zfL4RWzvSkhAAFnwOni_1tQSl8dfXHbXqXsQ8",
    ),
    (
        "16",
        "BDXyZZnrl0tc2jdC5I61JjwkjK2kr7uet9tZjt8StTiJTAQQmnVOYBgbtP08PWDbecxnHghx3kJ8QXq1XE68y8c",
    ),
    (
        "17",
        "BFX68cb97m9_sweGdOVavFM3j5ot6gveg6xT4BtGahfGhKib-zdZyO9pwvv1cBda9ahkSzo1BQ4NVXp9qRyqVGU",
    ),
    (
        "18",
        "BNhngQqTT1bPKxGuB6FhbPTAeNVFl8PKGGSGo5W06xWIReutm6ix6JPivqnbvkydY-1uDQTr-5e6t70G01Bb5JA",
    ),
];

/// A key of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerKey {
    pub(super) id: String,
    pub(super) point: Vec<u8>,
    /// Whether the configuration has the key itself: then the service cannot ask for another.
    pub(super) is_own: bool,
}

impl ServerKey {
    /// `None` if nobody knows the number.
    pub(super) fn published(id: &str) -> Option<Self> {
        // The first seven numbers are of one key.
        let looked_up = match id {
            "1" | "2" | "3" | "4" | "5" | "6" => "7",
            other => other,
        };
        let (_, key) = PUBLISHED.iter().find(|(own, _)| *own == looked_up)?;
        Some(Self {
            id: id.to_owned(),
            point: crypto::decoded(key)?.to_vec(),
            is_own: false,
        })
    }

    /// A key that the configuration has itself.
    pub(super) fn own(id: &str, key: &str) -> Option<Self> {
        let point = crypto::decoded(key)?.to_vec();
        let is_point = p256::PublicKey::from_sec1_bytes(&point).is_ok() && point.len() == 65;
        is_point.then(|| Self {
            id: id.to_owned(),
            point,
            is_own: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_key_is_a_point_and_has_its_own_number() {
        let mut numbers = std::collections::BTreeSet::new();
        for (id, key) in PUBLISHED {
            assert!(ServerKey::own(id, key).is_some(), "{id}");
            assert!(numbers.insert(*id), "{id}");
        }
        assert!(ServerKey::published(USUAL).is_some());
        assert_eq!(ServerKey::published("0"), None);
        let first = ServerKey::published("1").unwrap();
        assert_eq!(first.id, "1");
        assert_eq!(first.point, ServerKey::published("7").unwrap().point);
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        for wrong in [
            "",
            "AAAA",
            "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRN",
        ] {
            assert_eq!(ServerKey::own("1", wrong), None, "{wrong}");
        }
    }
}
