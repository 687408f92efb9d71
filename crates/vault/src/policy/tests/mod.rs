//! The policy as a whole: reading, warning, deciding, explaining.

mod deciding;
mod explain;
mod reading;
mod reference;
mod warnings;
mod zerolease;
