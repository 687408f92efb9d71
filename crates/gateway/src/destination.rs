//! Where a connection may go, decided on the address that is dialled and not on the name that was asked for.
//!
//! A name proves nothing: whoever owns it may let it resolve to `127.0.0.1`, to a router, or to the metadata
//! service that hands out the machine's own credentials, and may answer the second look-up otherwise than the
//! first (DNS rebinding). So the check stands behind the resolver: [`Dialer::dial`] resolves once, judges every
//! answer with [`AddressPolicy::check`], and connects to these very addresses and to nothing else. A pooled
//! connection is asked for its [`Connected::address`] again when the policy has changed since.
//!
//! What is outside of the public address space is refused unless the configuration lists it; the addresses of
//! metadata services are refused unless they are listed one by one, with their port.

use std::net::{IpAddr, SocketAddr};

pub use dial::{Connected, Dialer, Limits, Resolver, SystemResolver};
pub use listed::{InvalidEntry, InvalidEntryReason};

use crate::{Reason, Refusal};

mod dial;
mod listed;
mod metadata;
mod ranges;

/// Which addresses may be dialled: all public ones, and of the others those that are listed.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    listed: Vec<listed::Entry>,
}

impl AddressPolicy {
    /// Reads `[proxy] allow_private`: addresses and networks, each with a port or for every port.
    ///
    /// ```
    /// # use fnox_gateway::destination::AddressPolicy;
    /// let policy = AddressPolicy::parse(["127.0.0.1:8443", "10.0.0.0/8", "[fd00::/8]:443"]).unwrap();
    /// assert!(policy.check("127.0.0.1:8443".parse().unwrap()).is_ok());
    /// assert!(policy.check("127.0.0.1:22".parse().unwrap()).is_err());
    /// ```
    ///
    /// # Errors
    /// [`InvalidEntry`] with the first entry that is none, and why.
    pub fn parse<Entry: AsRef<str>>(
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, InvalidEntry> {
        let listed = entries
            .into_iter()
            .map(|entry| listed::Entry::parse(entry.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { listed })
    }

    /// Whether `address` may be dialled.
    ///
    /// An address that carries an IPv4 address (IPv4-mapped, NAT64, 6to4, Teredo and so on) may be dialled only
    /// if both may: a translator on the way would reach the inner one.
    ///
    /// # Errors
    /// [`Reason::PrivateAddress`], with the range and the line of configuration that would allow it.
    pub fn check(&self, address: SocketAddr) -> Result<(), Refusal> {
        let ip = address.ip().to_canonical();
        self.check_reading(ip, address)?;
        for inner in ranges::carried(ip) {
            self.check_reading(IpAddr::V4(inner), address)?;
        }
        Ok(())
    }

    /// Judges one of the addresses that `dialled` can be read as.
    fn check_reading(&self, ip: IpAddr, dialled: SocketAddr) -> Result<(), Refusal> {
        let port = dialled.port();
        let (what, is_listed) = if let Some(service) = metadata::service_at(ip) {
            let is_listed = self.listed.iter().any(|entry| entry.is_exactly(ip, port));
            (format!("of the metadata service of {service}"), is_listed)
        } else if let Some(range) = ranges::special(ip) {
            let is_listed = self.listed.iter().any(|entry| entry.contains(ip, port));
            (range, is_listed)
        } else {
            return Ok(());
        };
        if is_listed {
            return Ok(());
        }
        let shown = match dialled.ip().to_canonical() {
            outer if outer == ip => ip.to_string(),
            outer => format!("{outer} stands for {ip}, which"),
        };
        Err(
            Refusal::new(Reason::PrivateAddress, format!("{shown} is {what}")).with_remedy(
                format!(
                    "If it is meant, add \"{}\" to `allow_private` in `[proxy]`.",
                    SocketAddr::new(ip, port)
                ),
            ),
        )
    }
}

#[cfg(test)]
mod tests;
