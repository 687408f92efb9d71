//! Tests of the vault's engine and server through their public surface.

#[cfg(test)]
mod approvals;
#[cfg(test)]
mod caps;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod key_ring;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod minted;
#[cfg(test)]
mod model;
#[cfg(test)]
mod policy_changes;
#[cfg(test)]
mod press;
#[cfg(test)]
mod records;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod served;
#[cfg(test)]
mod server;
#[cfg(test)]
mod server_limits;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod unwritten;
