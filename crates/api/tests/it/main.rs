//! The client against servers that answer as they should, and as they should not.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod tls;
