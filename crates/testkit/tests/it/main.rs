//! The stand-ins and launchers, tried with clients that others wrote.

#[cfg(test)]
mod ntfy;
#[cfg(test)]
mod sts;
