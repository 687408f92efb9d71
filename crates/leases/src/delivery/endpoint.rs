//! Addresses on loopback where SDKs fetch credentials as often as they like.
//!
//! One [`Endpoint`] belongs to one run. It never holds a credential: each question is answered with what
//! [`Current::current`] says at that moment, so a program that runs for a day has a valid credential without knowing
//! fnox. The protocol is described in `docs/reference/credential-endpoint.md`.
//!
//! What an SDK asks follows from what the lease makes ([`shape`]): AWS SDKs ask as in a container, Azure SDKs as in an
//! App Service, Google's libraries as for an `external_account`, and whoever knows fnox asks for any lease.
//!
//! Guarantees: only loopback addresses, a random port, a token of 256 bits for each lease and SDK in a file that only the user
//! can read, and, on Linux, only for processes of the same user ([`peer`]). No web page can ask, also not by a name that
//! it makes point to 127.0.0.1 ([`request`]). A program that is refused, or comes when there is nothing, finds no
//! other credential either: what SDKs would look at instead is taken from its environment. It ends when dropped, and
//! so do its files.

mod answer;
mod aws_config;
mod files;
mod peer;
mod request;
mod server;
mod shape;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use fnox_config::LeaseConfig;
use fnox_core::{Clock, Env, LeaseName, SecretString};

use self::files::Files;
use self::request::{Door, Route};
use self::server::Server;
pub use self::shape::Served;
use self::shape::Shape;
use super::Current;
use crate::manager::Held;

/// What an endpoint needs of the world around it.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// An existing folder of this user alone (0700), for files of tokens and configuration.
    pub folder: &'a Path,
    /// The environment that the program would get.
    pub env: &'a Env,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Changes to a program's environment. First `remove`, then `set`.
#[derive(Debug, Clone, Default)]
pub struct EndpointEnvironment {
    /// Variables that lead the program's SDK here.
    pub set: Vec<(String, SecretString)>,
    /// Variables that would lead it elsewhere.
    pub remove: Vec<String>,
}

/// The addresses of one run. Ends when dropped.
#[derive(Debug)]
pub struct Endpoint {
    environments: HashMap<LeaseName, EndpointEnvironment>,
    google_tokens: HashMap<LeaseName, files::Place>,
    server: Server,
    files: Files,
}

impl Endpoint {
    /// Starts serving leases on the current Tokio runtime.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidInput`] with a sentence for people if a lease cannot be served this
    /// way.
    pub fn start(leases: Vec<Served>, surroundings: &Surroundings<'_>) -> io::Result<Self> {
        let listeners = server::Listeners::bind()?;
        let base = listeners.base();
        let mut plan = Plan {
            files: Files::new(surroundings.folder),
            surroundings,
            routes: HashMap::new(),
            google_tokens: HashMap::new(),
            base,
        };
        let common = plan.common()?;
        let mut environments = HashMap::new();
        for (number, served) in leases.iter().enumerate() {
            let mut environment = common.clone();
            plan.serve(number, served, &mut environment)?;
            environments.insert(served.lease().clone(), environment);
        }
        let Plan {
            files,
            routes,
            google_tokens,
            ..
        } = plan;
        let state = request::State {
            leases: leases.into_iter().map(Served::into_current).collect(),
            routes,
            clock: Arc::clone(&surroundings.clock),
        };
        Ok(Self {
            environments,
            google_tokens,
            server: listeners.serve(state)?,
            files,
        })
    }

    /// What a program needs to find a lease here. Nothing for a lease that is not served.
    #[must_use]
    pub fn environment(&self, lease: &LeaseName) -> EndpointEnvironment {
        self.environments.get(lease).cloned().unwrap_or_default()
    }

    /// Writes the files anew that hold a credential itself: gcloud reads a token only from a file. To be called when a
    /// lease was renewed.
    ///
    /// # Errors
    /// What the system says. The file then holds the old token.
    pub fn renewed(&self, held: &Held) -> io::Result<()> {
        match self.google_tokens.get(&held.lease) {
            Some(place) => self.files.rewrite(place, &shape::google_token(held)?),
            None => Ok(()),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }
}

/// The routes, files and variables of an endpoint that is about to start.
struct Plan<'a> {
    files: Files,
    surroundings: &'a Surroundings<'a>,
    routes: HashMap<String, Route>,
    google_tokens: HashMap<LeaseName, files::Place>,
    base: String,
}

impl Plan<'_> {
    /// The address for whoever knows fnox: one token for all leases of the run, because one program has one variable.
    fn common(&mut self) -> io::Result<EndpointEnvironment> {
        let token = token();
        let file = self.files.write("credentials.token", &token)?;
        self.routes.insert(
            request::LEASES.to_owned(),
            Route {
                lease: None,
                door: Door::Leases,
                token,
            },
        );
        let mut environment = EndpointEnvironment::default();
        let url = format!("{}{}", self.base, request::LEASES);
        environment.put("FNOX_CREDENTIALS_URL", url);
        environment.put("FNOX_CREDENTIALS_TOKEN_FILE", file.text()?);
        for (name, value) in without_proxy(self.surroundings.env) {
            environment.put(name, value);
        }
        Ok(environment)
    }

    fn serve(
        &mut self,
        number: usize,
        served: &Served,
        environment: &mut EndpointEnvironment,
    ) -> io::Result<()> {
        let generic = self.routes.get(request::LEASES).map(|all| Route {
            lease: Some(number),
            door: Door::Lease,
            token: all.token.clone(),
        });
        if let Some(generic) = generic {
            let path = request::lease_path(served.lease());
            self.routes.insert(path, generic);
        }
        match served.shape() {
            Shape::Plain => Ok(()),
            Shape::Aws => self.aws(number, served, environment),
            Shape::Azure(identity) => {
                let door = Door::Azure(identity.clone());
                self.azure(number, door, environment);
                Ok(())
            }
            Shape::Google => self.google(number, served, environment),
        }
    }

    fn aws(
        &mut self,
        number: usize,
        served: &Served,
        environment: &mut EndpointEnvironment,
    ) -> io::Result<()> {
        let token = token();
        let token_file = self.files.write(&format!("aws-{number}.token"), &token)?;
        let settings = aws_config::without_credentials(self.surroundings.env);
        let config = self
            .files
            .write(&format!("aws-{number}.config"), &settings)?;
        let nothing = self
            .files
            .write("aws-credentials", &SecretString::from(""))?;
        let path = format!("/aws/{number}");
        environment.put(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}{path}", self.base),
        );
        environment.put("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file.text()?);
        // A `[default]` profile of the user's own files would win over the container (botocore/credentials.py,
        // `create_credential_resolver`), and an instance's role would be what is left if the endpoint fails.
        environment.put("AWS_CONFIG_FILE", config.text()?);
        environment.put("AWS_SHARED_CREDENTIALS_FILE", nothing.text()?);
        environment.put("AWS_EC2_METADATA_DISABLED", "true".to_owned());
        // The endpoint gives keys alone: where they are to be used stays a variable.
        environment.set.extend(served.aws_region());
        environment
            .remove
            .extend(shape::AWS_CONFLICTS.map(str::to_owned));
        self.route(path, number, Door::Aws, token);
        Ok(())
    }

    fn azure(&mut self, number: usize, door: Door, environment: &mut EndpointEnvironment) {
        let token = token();
        let path = format!("/azure/{number}");
        environment.put("IDENTITY_ENDPOINT", format!("{}{path}", self.base));
        environment
            .set
            .push(("IDENTITY_HEADER".to_owned(), token.clone()));
        // Without the developer's own login (`az`, an editor) at the end of the chain.
        environment.put("AZURE_TOKEN_CREDENTIALS", "prod".to_owned());
        environment
            .remove
            .extend(shape::AZURE_CONFLICTS.map(str::to_owned));
        self.route(path, number, door, token);
    }

    fn google(
        &mut self,
        number: usize,
        served: &Served,
        environment: &mut EndpointEnvironment,
    ) -> io::Result<()> {
        let (bearer, subject) = (token(), token());
        let [subject_path, exchange_path] =
            ["subject", "token"].map(|end| format!("/google/{number}/{end}"));
        let configuration = shape::external_account(
            number,
            &format!("{}{subject_path}", self.base),
            &format!("{}{exchange_path}", self.base),
            &bearer,
        );
        let name = format!("google-{number}.json");
        let file = self.files.write(&name, &configuration)?;
        let name = format!("google-{number}.token");
        let token_file = self.files.write(&name, &served.google_token()?)?;
        environment.put("GOOGLE_APPLICATION_CREDENTIALS", file.text()?);
        environment.put("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", token_file.text()?);
        environment
            .remove
            .extend(shape::GOOGLE_CONFLICTS.map(str::to_owned));
        let door = Door::GoogleSubject {
            subject: subject.clone(),
        };
        self.route(subject_path, number, door, bearer);
        self.route(exchange_path, number, Door::GoogleExchange, subject);
        self.google_tokens
            .insert(served.lease().clone(), token_file);
        Ok(())
    }

    fn route(&mut self, path: String, number: usize, door: Door, token: SecretString) {
        let route = Route {
            lease: Some(number),
            door,
            token,
        };
        self.routes.insert(path, route);
    }
}

impl EndpointEnvironment {
    fn put(&mut self, name: &str, value: String) {
        self.set.push((name.to_owned(), value.into()));
    }
}

/// 256 random bits that a header can hold.
fn token() -> SecretString {
    use base64::Engine as _;
    let bytes = zeroize::Zeroizing::new(rand::random::<[u8; 32]>());
    SecretString::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(*bytes))
}

/// A proxy for plain HTTP would be sent the tokens by clients that heed its variables.
fn without_proxy(env: &Env) -> Vec<(&'static str, String)> {
    const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    if env.first(&PROXIES).is_none() {
        return Vec::new();
    }
    // Some clients read the one, some the other, and where both are there they agree from now on.
    let known = env.first(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value);
    let value = match known {
        Some(known) => format!("{known},127.0.0.1,::1"),
        None => "127.0.0.1,::1".to_owned(),
    };
    vec![("no_proxy", value.clone()), ("NO_PROXY", value)]
}

impl Served {
    /// What a lease needs in order to be served: the credential as it is now says which SDK will ask.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] with a sentence for people if no SDK could fetch such a credential.
    pub fn new(current: Arc<dyn Current>, lease: &LeaseConfig, held: &Held) -> io::Result<Self> {
        let shape = Shape::of(lease, held)?;
        Ok(Self::with_shape(current, shape, held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_256_bits_and_never_come_twice() {
        let (one, other) = (token(), token());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
    }

    #[test]
    fn a_proxy_is_told_to_keep_out() {
        let env = |pairs: &[(&'static str, &'static str)]| pairs.iter().copied().collect::<Env>();
        assert!(without_proxy(&env(&[])).is_empty());
        assert!(without_proxy(&env(&[("https_proxy", "http://p")])).is_empty());
        let told = without_proxy(&env(&[
            ("HTTP_PROXY", "http://p"),
            ("NO_PROXY", "a.example"),
        ]));
        for (_, value) in told {
            assert_eq!(value, "a.example,127.0.0.1,::1");
        }
    }
}
