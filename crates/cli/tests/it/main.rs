//! Tests of the binary: each runs it in a sandbox of its own.

#[cfg(test)]
mod age_keys;
#[cfg(test)]
mod check;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod exec_child;
#[cfg(test)]
mod exec_files;
#[cfg(test)]
mod exec_harness;
#[cfg(test)]
mod exec_redact;
#[cfg(test)]
mod exec_signals;
#[cfg(test)]
mod export_import;
#[cfg(test)]
mod help;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod init;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod reencrypt;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
