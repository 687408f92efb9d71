//! Tests of configuration files as a whole.

#[cfg(test)]
mod edits;
#[cfg(test)]
mod established;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod options;
