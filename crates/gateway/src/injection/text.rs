//! Injections as rules write them: `inject = "bearer"`.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::aws::AwsScope;
use super::hmac::HmacSigning;
use super::jwt::JwtSigning;
use super::{HeaderFormat, Injection};

/// A text names no injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it {problem}; {help}")]
pub struct InvalidInjection {
    /// What is wrong with it.
    pub problem: &'static str,
    /// What there is.
    pub help: &'static str,
}

const HELP: &str = "write `bearer`, `header:NAME`, `header:NAME:FORMAT` with `{}` for the credential, `basic`, \
    `basic:USER`, `query:NAME`, `path`, `cookie:NAME`, `json:/POINTER`, `form:NAME`, `aws-sigv4`, \
    `aws-sigv4:SERVICE/REGION`, `hmac-sha256:NAME`, `hmac-sha256:NAME:FORMAT`, `jwt`, `jwt:NAME`, `client-certificate`";

impl Injection {
    /// Reads `bearer`, `header:x-api-key`, `header:authorization:token {}`, `basic:robot`, `query:key`, `path`,
    /// `cookie:session`, `json:/auth/token`, `form:token`, `aws-sigv4`,
    /// `aws-sigv4:s3/eu-central-1`, `client-certificate`.
    ///
    /// ```
    /// # use fnox_gateway::injection::Injection;
    /// let injection = Injection::parse("header:x-api-key").unwrap();
    /// assert_eq!(injection.to_string(), "header:x-api-key");
    /// ```
    ///
    /// # Errors
    /// [`InvalidInjection`]
    pub fn parse(text: &str) -> Result<Self, InvalidInjection> {
        let fail = |problem| InvalidInjection {
            problem,
            help: HELP,
        };
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        let name = |rest: Option<&str>| match rest {
            Some(name) if !name.is_empty() && !name.chars().any(char::is_control) => {
                Ok(name.to_owned())
            }
            _ => Err(fail("does not say which")),
        };
        match (kind, rest) {
            ("bearer", None) => Ok(Self::Header {
                name: AUTHORIZATION,
                format: HeaderFormat::parse("Bearer {}").ok(),
            }),
            ("header", Some(rest)) => header(rest).map_err(fail),
            ("basic", None) => Ok(Self::Basic { username: None }),
            ("basic", rest) => match name(rest)? {
                user if user.contains(':') => Err(fail("has a colon in the user name")),
                user => Ok(Self::Basic {
                    username: Some(user),
                }),
            },
            ("query", rest) => Ok(Self::Query { name: name(rest)? }),
            ("path", None) => Ok(Self::Path),
            ("cookie", rest) => match name(rest)? {
                // A token, as names of fields are (RFC 6265, section 4.1.1).
                name if HeaderName::from_str(&name).is_ok() => Ok(Self::Cookie { name }),
                _ => Err(fail("has a name that no cookie can have")),
            },
            ("json", Some(pointer)) if pointer.starts_with('/') => Ok(Self::Json {
                pointer: pointer.to_owned(),
            }),
            ("json", _) => Err(fail("has no JSON pointer")),
            ("form", rest) => Ok(Self::Form { name: name(rest)? }),
            ("aws-sigv4", None) => Ok(Self::AwsSigV4(AwsScope::default())),
            ("aws-sigv4", Some(scope)) => AwsScope::parse(scope)
                .map(Self::AwsSigV4)
                .map_err(|_| fail("has no scope")),
            (kind, Some(rest)) if kind.starts_with("hmac-") => {
                let (field, format) = field(rest).map_err(fail)?;
                HmacSigning::of_kind(kind, field, format)
                    .map(Self::Hmac)
                    .ok_or_else(|| fail("is no kind of HMAC that there is"))
            }
            ("jwt", rest) => {
                let field = rest.map(field).transpose().map_err(fail)?;
                Ok(Self::Jwt(Box::new(JwtSigning::into_field(field))))
            }
            ("client-certificate", None) => Ok(Self::ClientCertificate),
            _ => Err(fail("is no injection")),
        }
    }
}

fn header(text: &str) -> Result<Injection, &'static str> {
    let (name, format) = field(text)?;
    Ok(Injection::Header { name, format })
}

fn field(text: &str) -> Result<(HeaderName, Option<HeaderFormat>), &'static str> {
    let (name, format) = match text.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (text, None),
    };
    let name = HeaderName::from_str(name).map_err(|_| "has a name that no field can have")?;
    // What is for one hop is taken away, and `Host` and the lengths are the gateway's own.
    let is_ours = name.as_str().starts_with("proxy-")
        || [
            "connection",
            "content-length",
            "host",
            "te",
            "transfer-encoding",
            "upgrade",
        ]
        .contains(&name.as_str());
    if is_ours {
        return Err("names a field that no credential goes into");
    }
    let format = format.map(HeaderFormat::parse).transpose();
    let format = format.map_err(|_| "has a format without `{}`, or with more than one")?;
    Ok((name, format))
}

impl FromStr for Injection {
    type Err = InvalidInjection;

    fn from_str(text: &str) -> Result<Self, InvalidInjection> {
        Self::parse(text)
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, format: None } => write!(formatter, "header:{name}"),
            Self::Header {
                name,
                format: Some(format),
            } => write!(formatter, "header:{name}:{format}"),
            Self::Basic { username: None } => formatter.write_str("basic"),
            Self::Basic {
                username: Some(user),
            } => write!(formatter, "basic:{user}"),
            Self::Query { name } => write!(formatter, "query:{name}"),
            Self::Path => formatter.write_str("path"),
            Self::Cookie { name } => write!(formatter, "cookie:{name}"),
            Self::Json { pointer } => write!(formatter, "json:{pointer}"),
            Self::Form { name } => write!(formatter, "form:{name}"),
            // Nobody writes it.
            Self::Member { names } => write!(formatter, "member:{}", names.join(",")),
            Self::AwsSigV4(scope) if scope.is_any() => formatter.write_str("aws-sigv4"),
            Self::AwsSigV4(scope) => write!(formatter, "aws-sigv4:{scope}"),
            Self::Hmac(signing) => write!(formatter, "{signing}"),
            Self::Jwt(signing) => write!(formatter, "{signing}"),
            Self::ClientCertificate => formatter.write_str("client-certificate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injection_is_written_as_it_is_read() {
        for text in [
            "header:x-api-key",
            "header:authorization:token {}",
            "header:x-auth:Key={}, v=1:2",
            "basic",
            "basic:robot",
            "query:key",
            "path",
            "cookie:session",
            "json:/auth/token",
            "form:token",
            "aws-sigv4",
            "aws-sigv4:s3",
            "aws-sigv4:*/eu-central-1",
            "hmac-sha256:x-signature",
            "hmac-sha512-base64:x-signature:v1={}",
            "jwt",
            "jwt:x-token",
            "jwt:authorization:Token {}",
        ] {
            assert_eq!(Injection::parse(text).unwrap().to_string(), text);
        }
        let bearer = Injection::parse("bearer").unwrap();
        assert_eq!(bearer.to_string(), "header:authorization:Bearer {}");
        assert_eq!(Injection::default().to_string(), "header:authorization");
    }

    #[test]
    fn what_goes_nowhere_is_refused_with_what_there_is() {
        for text in [
            "",
            "Bearer",
            "bearer:x",
            "header",
            "header:",
            "header:a b",
            "header:x:no",
            "header:host",
            "header:Proxy-Authorization",
            "header:transfer-encoding",
            "basic:",
            "basic:a:b",
            "query",
            "query:",
            "path:1",
            "cookie",
            "cookie:a=b",
            "json",
            "json:token",
            "form:",
            "hmac-sha256",
            "hmac-sha256:",
            "hmac-sha256:host",
            "hmac-md5:x-signature",
            "jwt:",
            "jwt:host",
            "aws-sigv4:",
            "aws-sigv4:s3/",
            "body",
        ] {
            let error = Injection::parse(text).unwrap_err();
            assert!(error.to_string().contains("write `bearer`"), "{text}");
        }
    }
}
