//! Networks on the command line and in settings.

use ipnet::IpNet;

/// A network, or one address.
pub(crate) fn parse(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| {
            format!(
                "`{}`, which is neither a network such as 10.0.0.0/8 nor an address",
                text.escape_debug()
            )
        })
}
