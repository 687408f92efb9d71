//! Tests of the store and of the key source, from outside.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod kms;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod others;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trouble;
