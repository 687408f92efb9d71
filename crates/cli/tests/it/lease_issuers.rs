//! For each type of lease: the issuer, and a lease in a sandbox that leads to it. Those whose issuer is not asked over HTTP, or
//! only by a person, are in `lease_others`.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use fnox_core::{Clock, SystemClock};
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::aws_sso::IdentityCenter;
use fnox_testkit::stand_in::azure::Azure;
use fnox_testkit::stand_in::cloudflare::Cloudflare;
use fnox_testkit::stand_in::gcp::Gcp;
use fnox_testkit::stand_in::github::GitHub;
use fnox_testkit::stand_in::gitlab::GitLab;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaving, Service};
use fnox_testkit::stand_in::jwt;
use fnox_testkit::stand_in::kubernetes::Kubernetes;
use fnox_testkit::stand_in::oauth2::OAuth2;
use fnox_testkit::stand_in::roles_anywhere::RolesAnywhere;
use fnox_testkit::stand_in::sts::Account;
use fnox_testkit::stand_in::tailscale::Tailscale;
use fnox_testkit::stand_in::vault::Vault;
use fnox_testkit::{Canary, Invocation, Run, Sandbox};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;

use crate::lease_others;
use crate::support::sandbox;
use crate::terminal;

/// The types whose issuer is asked over HTTP, in the order of their names.
pub(crate) const KINDS: [&str; 12] = [
    "aws-roles-anywhere",
    "aws-sso",
    "aws-sts",
    "azure-token",
    "cloudflare",
    "gcp-iam",
    "github-app",
    "gitlab",
    "kubernetes",
    "oauth2-client-credentials",
    "tailscale",
    "vault",
];

/// A sandbox with the lease `x` of one type, and its issuer.
pub(crate) struct Subject {
    pub(crate) sandbox: Sandbox,
    running: Option<Running>,
    /// Variables, masters included.
    variables: Vec<(&'static str, String)>,
    /// What nobody but fnox and the issuer may see.
    masters: Vec<String>,
    /// Files of the sandbox that the test wrote with masters in them.
    given: Vec<PathBuf>,
    /// Whether a person is at the terminal.
    is_attended: bool,
}

/// An issuer. It ends when this is dropped.
struct Running {
    issuer: Rc<dyn Misbehaving>,
    /// How many credentials it knows that work, if it can tell.
    live: Box<dyn Fn() -> usize>,
}

impl Subject {
    pub(crate) fn new(kind: &str) -> Self {
        Self::by_clock(kind, Arc::new(SystemClock))
    }

    /// One whose issuer has another clock.
    pub(crate) fn by_clock(kind: &str, clock: Arc<dyn Clock>) -> Self {
        match kind {
            "aws-roles-anywhere" => aws_roles_anywhere(clock),
            "aws-sso" => aws_sso(clock),
            "aws-sts" => aws_sts(clock),
            "azure-token" => azure_token(clock),
            "cloudflare" => cloudflare(clock),
            "gcp-iam" => gcp_iam(clock),
            "github-app" => github_app(clock),
            "gitlab" => gitlab(clock),
            "kubernetes" => kubernetes(clock),
            "oauth2-client-credentials" => oauth2(clock),
            "tailscale" => tailscale(clock),
            "vault" => vault(clock),
            "command" => lease_others::command(clock.as_ref()),
            "database" => lease_others::database(clock),
            "github-oauth" => lease_others::github_oauth(clock),
            other => panic!("no issuer for {other}"),
        }
    }

    pub(crate) fn of<S: Service + fmt::Debug>(
        issuer: &Rc<Issuer<S>>,
        lease: &str,
        live: impl Fn(&mut S) -> usize + 'static,
    ) -> Self {
        let counted = Rc::clone(issuer);
        Self::at(
            Rc::clone(issuer) as Rc<dyn Misbehaving>,
            lease,
            Box::new(move || counted.change(|service| live(service))),
        )
    }

    pub(crate) fn at(
        issuer: Rc<dyn Misbehaving>,
        lease: &str,
        live: Box<dyn Fn() -> usize>,
    ) -> Self {
        Self {
            running: Some(Running { issuer, live }),
            ..Self::without_issuer(lease)
        }
    }

    /// One that no server is needed for.
    pub(crate) fn without_issuer(lease: &str) -> Self {
        let sandbox = sandbox();
        sandbox.write("fnox.toml", format!("[leases.x]\n{lease}\n"));
        Self {
            sandbox,
            running: None,
            variables: Vec::new(),
            masters: Vec::new(),
            given: Vec::new(),
            is_attended: false,
        }
    }

    /// A person is at the terminal.
    pub(crate) fn attended(mut self) -> Self {
        self.is_attended = true;
        self
    }

    /// A variable that is a master.
    pub(crate) fn master(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self.secret(value)
    }

    /// A variable that is none.
    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// A part of a master.
    pub(crate) fn secret(mut self, value: &str) -> Self {
        self.masters.push(value.to_owned());
        self
    }

    /// A file of the home folder that the test writes, with masters in it.
    fn file(mut self, path: &str, text: &str) -> Self {
        let path = self.sandbox.home().join(path);
        self.given.push(self.sandbox.write_private(path, text));
        self
    }

    pub(crate) fn issuer(&self) -> &dyn Misbehaving {
        self.running.as_ref().unwrap().issuer.as_ref()
    }

    /// How many credentials the issuer knows that work.
    pub(crate) fn live(&self) -> usize {
        (self.running.as_ref().unwrap().live)()
    }

    /// From now on nobody listens at its address.
    pub(crate) fn end_issuer(&mut self) {
        self.running = None;
    }

    /// fnox with the lease's variables. If a person is there, all output is stdout.
    pub(crate) fn run(&self, arguments: &[&str]) -> Invocation {
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        let invocation = if self.is_attended {
            terminal::invocation(&self.sandbox, arguments)
        } else {
            self.sandbox.run(arguments)
        };
        invocation.envs(variables).env("FNOX_HTTP_TIMEOUT", "2s")
    }

    /// No master is in what was printed, nor in a file that the test did not write itself.
    #[track_caller]
    pub(crate) fn no_master_in(&self, run: &Run) {
        let outputs = [
            ("stdout", run.stdout.as_bytes()),
            ("stderr", run.stderr.as_bytes()),
        ];
        let folders = ["home", "run", "tmp", "seen"].map(|name| self.sandbox.root().join(name));
        for master in &self.masters {
            let found = Canary::new(master).sightings(&outputs, &folders.each_ref().map(|f| &**f));
            let places: Vec<String> = found
                .iter()
                .filter(|one| {
                    !self
                        .given
                        .iter()
                        .any(|file| one.place == *file.to_string_lossy())
                })
                .map(ToString::to_string)
                .collect();
            assert!(places.is_empty(), "a master leaked to {places:?}: {run}");
        }
    }

    /// Names of files with masters, as they are below the sandbox's folder.
    pub(crate) fn given(&self) -> Vec<String> {
        let root = self.sandbox.root();
        let relative = |file: &PathBuf| file.strip_prefix(root).unwrap().display().to_string();
        self.given.iter().map(relative).collect()
    }
}

pub(crate) fn start<S: Service>(service: S, clock: Arc<dyn Clock>) -> Rc<Issuer<S>> {
    Rc::new(Issuer::with_clock(service, clock))
}

/// A line of a private key: what is left of it in any text that has it.
fn line_of(key: &str) -> &str {
    key.lines().nth(1).unwrap()
}

fn aws_sts(clock: Arc<dyn Clock>) -> Subject {
    let sts = Rc::new(Sts::start_with(Account::example(), clock));
    let key = sts.change(|account| account.user("alice").clone());
    let lease = format!(
        "type = 'aws-sts'\nregion = 'us-east-1'\nendpoint = '{}'\nrole_arn = '{}'",
        sts.url(),
        Account::DEV_ROLE
    );
    let counted = Rc::clone(&sts);
    let live = move || counted.change(|account| account.issued().count());
    Subject::at(sts, &lease, Box::new(live))
        .variable("AWS_ACCESS_KEY_ID", &key.id)
        .master("AWS_SECRET_ACCESS_KEY", &key.secret)
}

fn aws_sso(clock: Arc<dyn Clock>) -> Subject {
    let now = clock.now();
    let center = start(IdentityCenter::example(), clock);
    let (client, login) = center.change(|center| {
        let client = center.registered(now);
        let login = center.logged_in(&client, now);
        (client, login)
    });
    let lease = format!(
        "type = 'aws-sso'\nprofile = 'dev'\noidc_endpoint = '{0}'\nportal_endpoint = '{0}'",
        center.url()
    );
    let profile = format!(
        "[sso-session corp]\nsso_start_url = {}\nsso_region = us-east-1\n[profile dev]\nsso_session = corp\n\
         sso_account_id = {}\nsso_role_name = {}\n",
        IdentityCenter::START_URL,
        IdentityCenter::ACCOUNT,
        IdentityCenter::ROLE
    );
    let cached = json!({
        "startUrl": IdentityCenter::START_URL,
        "region": "us-east-1",
        "accessToken": login.access,
        "expiresAt": login.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "clientId": client.id,
        "clientSecret": client.secret,
        "registrationExpiresAt": client.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "refreshToken": login.refresh,
    });
    // The AWS CLI's name for the file of the session `corp`.
    let cache = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    Subject::of(&center, &lease, |_| 0)
        .file(".aws/config", &profile)
        .file(cache, &cached.to_string())
        .secret(&client.secret)
        .secret(&login.access)
        .secret(&login.refresh)
}

fn aws_roles_anywhere(clock: Arc<dyn Clock>) -> Subject {
    let new_key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let named = |name: &str| {
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        parameters
    };
    let mut root = named("root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = new_key();
    let der = root.self_signed(&root_key).unwrap().der().to_vec();
    let authority = rcgen::Issuer::new(root, root_key);
    let key = new_key();
    let certificate = named("workload").signed_by(&key, &authority).unwrap().pem();
    let anywhere = start(RolesAnywhere::example(der), clock);
    let arns = anywhere.change(|own| (own.trust_anchor_arn.clone(), own.profile_arn.clone()));
    let lease = format!(
        "type = 'aws-roles-anywhere'\nregion = 'us-east-1'\nendpoint = '{}'\ntrust_anchor_arn = '{}'\n\
         profile_arn = '{}'\nrole_arn = '{}'",
        anywhere.url(),
        arns.0,
        arns.1,
        RolesAnywhere::ROLE
    );
    let private = key.serialize_pem();
    Subject::of(&anywhere, &lease, |_| 0)
        .variable("FNOX_ROLES_ANYWHERE_CERTIFICATE", &certificate)
        .master("FNOX_ROLES_ANYWHERE_PRIVATE_KEY", &private)
        .secret(line_of(&private))
}

fn azure_token(clock: Arc<dyn Clock>) -> Subject {
    let (tenant, client) = (
        "4ecd6548-e33b-4b9d-9986-bd3c22986c6a",
        "af3110ba-0ba9-4412-b1a0-59f50b7e9273",
    );
    let entra = start(Azure::new(), clock);
    let secret = entra.change(|azure| azure.add_secret(tenant, client));
    let lease = format!(
        "type = 'azure-token'\nscope = '{}/.default'\ntenant_id = '{tenant}'\nclient_id = '{client}'\n\
         authority_host = '{}'",
        Azure::RESOURCE,
        entra.url()
    );
    Subject::of(&entra, &lease, |_| 0).master("AZURE_CLIENT_SECRET", &secret)
}

fn cloudflare(clock: Arc<dyn Clock>) -> Subject {
    let cloudflare = start(Cloudflare::new(), clock);
    let lease = format!(
        "type = 'cloudflare'\napi_base = '{}/client/v4'\n[[leases.x.policies]]\npermission_groups = ['{}']\n\
         resources = {{ 'com.cloudflare.api.account.zone.*' = '*' }}",
        cloudflare.url(),
        Cloudflare::DNS_WRITE
    );
    Subject::of(&cloudflare, &lease, |service| service.tokens().len())
        .master("CLOUDFLARE_API_TOKEN", Cloudflare::MASTER)
}

fn gcp_iam(clock: Arc<dyn Clock>) -> Subject {
    let ci = "ci@p.iam.gserviceaccount.com";
    let deploy = "deploy@p.iam.gserviceaccount.com";
    let google = start(Gcp::new(), clock);
    let key = google.change(|gcp| {
        gcp.grant(&format!("serviceAccount:{ci}"), deploy);
        gcp.add_key(ci, jwt::FIRST, "https://oauth2.googleapis.com/token")
    });
    let url = google.url();
    let lease = format!(
        "type = 'gcp-iam'\nservice_account_email = '{deploy}'\nendpoint = '{url}'\n\
         sts_endpoint = '{url}/v1/token'\ntoken_endpoint = '{url}/token'"
    );
    Subject::of(&google, &lease, |_| 0)
        .master("GCP_SERVICE_ACCOUNT_KEY", &key.to_string())
        .secret(line_of(jwt::FIRST.private))
}

fn github_app(clock: Arc<dyn Clock>) -> Subject {
    let github = start(GitHub::new(), clock);
    let lease = format!(
        "type = 'github-app'\napp_id = '{}'\napi_base = '{}'\ninstallation_id = '{}'",
        GitHub::APP,
        github.url(),
        GitHub::INSTALLATION
    );
    Subject::of(&github, &lease, |service| service.live_tokens())
        .master("FNOX_GITHUB_APP_PRIVATE_KEY", jwt::FIRST.private)
        .secret(line_of(jwt::FIRST.private))
}

fn gitlab(clock: Arc<dyn Clock>) -> Subject {
    let gitlab = start(GitLab::new(), clock);
    let lease = format!(
        "type = 'gitlab'\nurl = '{}'\nproject = 'platform/app'",
        gitlab.url()
    );
    Subject::of(&gitlab, &lease, |service| service.tokens().len())
        .master("GITLAB_TOKEN", GitLab::MASTER)
}

fn kubernetes(clock: Arc<dyn Clock>) -> Subject {
    let server = start(Kubernetes::new(), clock);
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters:\n- name: c\n  cluster:\n    server: {}\n\
         contexts:\n- name: here\n  context:\n    cluster: c\n    user: u\n    namespace: apps\n\
         users:\n- name: u\n  user:\n    token: {}\n",
        server.url(),
        Kubernetes::USER_TOKEN
    );
    let lease = "type = 'kubernetes'\nservice_account = 'deploy'";
    Subject::of(&server, lease, |service| service.issued().len())
        .file(".kube/config", &kubeconfig)
        .secret(Kubernetes::USER_TOKEN)
}

fn oauth2(clock: Arc<dyn Clock>) -> Subject {
    let server = start(OAuth2::new(), clock);
    let lease = format!(
        "type = 'oauth2-client-credentials'\ntoken_url = '{0}/token'\nrevocation_url = '{0}/revoke'\n\
         client_id = '{1}'",
        server.url(),
        OAuth2::CLIENT
    );
    Subject::of(&server, &lease, |service| service.live_tokens())
        .master("OAUTH2_CLIENT_SECRET", OAuth2::SECRET)
}

fn tailscale(clock: Arc<dyn Clock>) -> Subject {
    let tailscale = start(Tailscale::new(), clock);
    // A key that works once would be made anew for each run.
    let lease = format!(
        "type = 'tailscale'\napi_base = '{}'\nreusable = true",
        tailscale.url()
    );
    Subject::of(&tailscale, &lease, |service| service.live_keys())
        .master("TAILSCALE_API_KEY", Tailscale::API_KEY)
}

fn vault(clock: Arc<dyn Clock>) -> Subject {
    vault_with("", clock).master("VAULT_TOKEN", Vault::GIVEN)
}

/// A lease whose child of the given token asks.
pub(crate) fn vault_by_child() -> Subject {
    let subject = vault_with("child_token = true", Arc::new(SystemClock));
    subject.master("VAULT_TOKEN", Vault::GIVEN)
}

/// A lease that logs in for itself.
pub(crate) fn vault_by_login() -> Subject {
    let keys = format!("auth = 'approle'\nrole_id = '{}'", Vault::ROLE_ID);
    let subject = vault_with(&keys, Arc::new(SystemClock));
    subject.master("VAULT_SECRET_ID", Vault::SECRET_ID)
}

fn vault_with(keys: &str, clock: Arc<dyn Clock>) -> Subject {
    let vault = start(Vault::new(), clock);
    let lease = format!(
        "type = 'vault'\naddress = '{}'\nsecret_path = 'database/creds/app'\n{keys}\n\
         env_map = {{ username = 'DB_USER', password = 'DB_PASSWORD' }}",
        vault.url()
    );
    Subject::of(&vault, &lease, |service| service.leases().len())
}
