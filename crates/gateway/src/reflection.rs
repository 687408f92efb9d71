//! Credentials that come back: what leaves the gateway towards an agent does not contain what the gateway added.
//!
//! An upstream may echo a request, show a token in an error, or answer with the token it was asked with. A
//! [`Scrubber`] finds the values of a [`Table`] in a stream and puts their placeholders there instead, so that
//! what the agent sends next with it is right again. It finds a value
//!
//! - as it is, with any of its bytes percent-encoded or escaped as in JSON;
//! - escaped as in JSON twice, with characters beyond ASCII as `\uXXXX`, and form-encoded;
//! - in hexadecimal, in lower or in upper case;
//! - in base64, with both alphabets, wherever in it the value begins;
//!
//! and writes the placeholder in the same encoding. **This is best effort.** Whoever controls the upstream, or
//! how much of an answer it sends, can encode or divide a value otherwise: reversed, in base32, encrypted, in
//! pieces, wrapped into lines, compressed within a file. A credential is safe only at a host that may have it.
//!
//! [`ResponseScrub`] does this to an answer: to its header fields, to its body, whose content codings it undoes, and
//! to its trailers. [`accept_scannable`] lets a request ask for answers that can be scanned as they come. All of it
//! takes bytes and gives bytes, and leaves reading and writing to its caller.
//!
//! Credentials that the gateway did not add, because the answer brings them, are taken out by the names of their members
//! (`capture` of a rule).

pub(crate) use credentials::{Fresh, NotTaken, take};
pub use decoding::Expansion;
pub use fields::accept_scannable;
pub(crate) use fields::{coding_names, of_scrubbed};
pub use response::{ResponseScrub, ScanPolicy, UNSCANNED, Unscannable};
pub use scrubber::{Scrubber, scrub};
pub use table::{SHORTEST_VALUE, Table, TableBuilder};

mod credentials;
mod decoding;
mod fields;
mod form;
mod response;
mod scrubber;
mod symbol;
mod table;

#[cfg(test)]
mod tests;
