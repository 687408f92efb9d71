//! The chores as programs: their output and exit codes.

#[cfg(test)]
mod chores;
