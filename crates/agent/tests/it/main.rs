//! The agent as a process, with a vault and a gateway that this test runs.

#[cfg(test)]
mod exec;
#[cfg(test)]
mod git;
#[cfg(test)]
mod provision;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod proxy_world;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod world;
