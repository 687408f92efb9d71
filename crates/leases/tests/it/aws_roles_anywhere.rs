//! `aws-roles-anywhere` against a strict stand-in.
