//! The wire from outside: frames, hello, transports, client.

#[cfg(test)]
mod client;
#[cfg(test)]
mod client_breaks;
#[cfg(test)]
mod events;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod script;
#[cfg(test)]
mod transports;
#[cfg(test)]
mod unix_sockets;
