//! The other modes of `aws-sts`: sessions of users and federated users, SAML, chains, allowed accounts.
