//! The gateway's parts, from outside and against real sockets.

#[cfg(test)]
mod aws;
#[cfg(test)]
mod binding;
#[cfg(test)]
mod canonical;
#[cfg(test)]
mod dial;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod injections;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod placeholders;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod proxy_aws;
#[cfg(test)]
mod proxy_binding;
#[cfg(test)]
mod proxy_capture;
#[cfg(test)]
mod proxy_framing;
#[cfg(test)]
mod proxy_hmac;
#[cfg(test)]
mod proxy_identities;
#[cfg(test)]
mod proxy_jwt;
#[cfg(test)]
mod proxy_limits;
#[cfg(test)]
mod proxy_methods;
#[cfg(test)]
mod proxy_reflection;
#[cfg(test)]
mod proxy_revocation;
#[cfg(test)]
mod proxy_streams;
#[cfg(test)]
mod proxy_support;
#[cfg(test)]
mod proxy_temporary;
#[cfg(test)]
mod proxy_trace;
#[cfg(test)]
mod proxy_uses;
#[cfg(test)]
mod support;
