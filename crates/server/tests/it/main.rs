//! The team server as its callers see it.

#[cfg(test)]
mod access;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod html;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod own_issuer;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod people;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod release;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terms;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod web_login;
#[cfg(test)]
mod webhooks;
