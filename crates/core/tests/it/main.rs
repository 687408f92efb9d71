//! Published vectors.

#[cfg(test)]
mod age_vectors;
