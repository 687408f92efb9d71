//! Certificates: what of them the signature needs (RFC 5280 section 4.1, DER by X.690).
//!
//! AWS judges the certificate. Here it is only read: its serial number names the signer, its time tells why AWS would
//! refuse it, and its public key must be that of the private one, so that a mix-up is an error before anybody is called.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rsa::BigUint;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::mint::MintError;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`
const VERSION: u8 = 0xa0;

/// A certificate and those between it and the trust anchor.
#[derive(Debug)]
pub(super) struct Certificate {
    /// In DER.
    pub(super) der: Vec<u8>,
    /// Those between, in DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// Decimal, as the signature's credential has it.
    pub(super) serial: String,
    /// The bits of `subjectPublicKey`.
    pub(super) public_key: Vec<u8>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Certificate {
    /// The first certificate of a PEM text; the others of it and of `chain` are those between.
    pub(super) fn from_pem(text: &str, chain: Option<&str>, name: &str) -> Result<Self, MintError> {
        let unusable = |reason: &str| {
            MintError::authentication(format!("{name} is not a certificate in PEM: {reason}"))
                .with_remedy("it begins with `-----BEGIN CERTIFICATE-----`")
        };
        let all: Result<Vec<Vec<u8>>, _> = [Some(text), chain]
            .into_iter()
            .flatten()
            .flat_map(|text| CertificateDer::pem_slice_iter(text.as_bytes()))
            .map(|one| one.map(|der| der.to_vec()))
            .collect();
        let mut all = all
            .map_err(|_| unusable("it has a damaged block"))?
            .into_iter();
        let der = all.next().ok_or_else(|| unusable("there is none in it"))?;
        let facts = Facts::of(&der).ok_or_else(|| unusable("its content is not that of one"))?;
        Ok(Self {
            chain: all.collect(),
            serial: facts.serial,
            public_key: facts.public_key,
            not_before: facts.not_before,
            not_after: facts.not_after,
            der,
        })
    }

    /// Whether AWS would take it at a moment.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), MintError> {
        if now > self.not_after {
            return Err(MintError::authentication(format!(
                "the certificate {} expired at {}, and it is {now}",
                self.serial, self.not_after
            ))
            .with_remedy("renew the certificate; if it is a new one, set this machine's clock"));
        }
        if now < self.not_before {
            return Err(MintError::authentication(format!(
                "the certificate {} is good from {} on, and it is {now}",
                self.serial, self.not_before
            ))
            .with_remedy("set this machine's clock"));
        }
        Ok(())
    }
}

struct Facts {
    serial: String,
    public_key: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Facts {
    fn of(der: &[u8]) -> Option<Self> {
        let mut outer = Reader(der);
        let mut certificate = Reader(outer.expect(SEQUENCE)?);
        let mut signed = Reader(certificate.expect(SEQUENCE)?);
        if signed.0.first() == Some(&VERSION) {
            signed.expect(VERSION)?;
        }
        let serial = signed.expect(INTEGER)?;
        let _algorithm = signed.expect(SEQUENCE)?;
        let _issuer = signed.expect(SEQUENCE)?;
        let mut validity = Reader(signed.expect(SEQUENCE)?);
        let _subject = signed.expect(SEQUENCE)?;
        let mut key = Reader(signed.expect(SEQUENCE)?);
        let _algorithm = key.expect(SEQUENCE)?;
        let (unused, bits) = key.expect(BIT_STRING)?.split_first()?;
        // RFC 5280 section 4.1.2.2: serial numbers are positive.
        if *unused != 0 || serial.first().is_none_or(|byte| byte & 0x80 != 0) {
            return None;
        }
        Some(Self {
            serial: BigUint::from_bytes_be(serial).to_string(),
            public_key: bits.to_vec(),
            not_before: validity.time()?,
            not_after: validity.time()?,
        })
    }
}

/// Elements of DER one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, if it has this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (own, content) = self.next()?;
        (own == tag).then_some(content)
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 3 || rest.len() < count {
                return None;
            }
            let (bytes, rest) = rest.split_at(count);
            let length = bytes
                .iter()
                .fold(0_usize, |all, byte| (all << 8) | usize::from(*byte));
            (length, rest)
        };
        if rest.len() < length {
            return None;
        }
        let (content, rest) = rest.split_at(length);
        self.0 = rest;
        Some((tag, content))
    }

    /// RFC 5280 section 4.1.2.5: `YYMMDDHHMMSSZ` through 2049, `YYYYMMDDHHMMSSZ` from then on.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, content) = self.next()?;
        let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
        let text = match tag {
            UTC_TIME if text.len() == 12 => {
                let century = if *text >= *"50" { "19" } else { "20" };
                format!("{century}{text}")
            }
            GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
            _ => return None,
        };
        let moment = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
        Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("vector/certificate.pem");

    #[test]
    fn a_certificate_is_read_as_openssl_reads_it() {
        let certificate = Certificate::from_pem(PEM, Some(PEM), "x").unwrap();
        // openssl x509 -noout -serial -enddate
        assert_eq!(
            certificate.serial,
            "371208620826433858501793119321218187590226020873"
        );
        assert_eq!(certificate.not_after.to_string(), "2126-11-02T00:07:53Z");
        assert_eq!(certificate.chain, std::slice::from_ref(&certificate.der));
        let moment = |text: &str| text.parse().unwrap();
        assert!(
            certificate
                .check_time(moment("2100-01-01T00:00:00Z"))
                .is_ok()
        );
        let late = certificate.check_time(moment("2127-01-01T00:00:00Z"));
        assert!(late.unwrap_err().message.contains("expired at"));
        let early = certificate.check_time(moment("2020-01-01T00:00:00Z"));
        assert!(early.unwrap_err().message.contains("is good from"));
    }

    #[test]
    fn what_is_no_certificate_is_told_and_not_shown() {
        for wrong in [
            "",
            "secret-text",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        ] {
            let error = Certificate::from_pem(wrong, None, "the certificate in X").unwrap_err();
            assert!(
                error.message.starts_with("the certificate in X is not"),
                "{error}"
            );
            assert!(!error.message.contains("secret-text"));
        }
    }

    #[test]
    fn cut_off_certificates_are_refused() {
        let whole = Certificate::from_pem(PEM, None, "x").unwrap().der;
        assert!(Facts::of(&whole).is_some());
        for length in 0..whole.len() {
            assert!(Facts::of(&whole[..length]).is_none(), "{length}");
        }
    }
}
