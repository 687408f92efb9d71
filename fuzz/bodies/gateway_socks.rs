//! What clients say in SOCKS.

use fnox_core::Host;
use fnox_gateway::socks;

use super::is_one_line;

/// A whole negotiation: a destination is one host with a port, and what follows it is not touched.
pub fn gateway_socks(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let mut sent = data;
        let methods = match socks::greeting(&mut sent).await {
            Ok(methods) => methods,
            Err(error) => return is_one_line(&error.to_string()),
        };
        if methods.password
            && let Err(error) = socks::login(&mut sent).await
        {
            return is_one_line(&error.to_string());
        }
        let mut answered = Vec::new();
        let before = sent.len();
        match socks::destination(&mut tokio::io::join(&mut sent, &mut answered)).await {
            Ok(host) => {
                assert!(host.port().is_some());
                assert_eq!(Host::parse(&host.to_string()).as_ref(), Ok(&host));
                assert_eq!(answered, b"");
                // Version, command, zero and kind, the address, and the port.
                let read = before - sent.len();
                let kind = data[data.len() - before + 3];
                let name = usize::from(data[data.len() - before + 4]);
                let expected = match kind {
                    1 => 10,
                    4 => 22,
                    _ => 7 + name,
                };
                assert_eq!(read, expected);
            }
            Err(error) => is_one_line(&error.to_string()),
        }
    });
}
