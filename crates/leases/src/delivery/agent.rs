//! An SSH agent of the program's own.
