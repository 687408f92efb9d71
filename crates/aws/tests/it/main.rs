//! Tests of the AWS client, from outside.

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod moto;
#[cfg(test)]
mod support;
#[cfg(test)]
mod wire;
