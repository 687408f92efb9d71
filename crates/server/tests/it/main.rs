//! The team server as its callers see it.

#[cfg(test)]
mod access;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod release;
#[cfg(test)]
mod support;
