//! `aws-roles-anywhere` against a stand-in that verifies each signature with the certificate.

use fnox_core::ExitStatus;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::roles_anywhere::RolesAnywhere;
use fnox_testkit::{Sandbox, services};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::matrix::{AWS_SESSION, Subject, fails_closed};
use crate::support::{Project, cached, minted};

/// Who issues certificates.
struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
}

fn parameters(name: &str, is_authority: bool) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    if is_authority {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    parameters
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

impl Authority {
    fn root() -> Self {
        let key = new_key();
        let parameters = parameters("root", true);
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    fn below(above: &Self) -> Self {
        let key = new_key();
        let parameters = parameters("between", true);
        let certificate = parameters.signed_by(&key, &above.issuer).unwrap();
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    fn certify(&self, key: &KeyPair) -> String {
        let certificate = parameters("workload", false).signed_by(key, &self.issuer);
        certificate.unwrap().pem()
    }
}

fn start(root: &Authority) -> Issuer<RolesAnywhere> {
    Issuer::start(RolesAnywhere::example(root.der.clone()))
}

fn keys(anywhere: &Issuer<RolesAnywhere>, more: &str) -> String {
    let arns = anywhere.change(|own| (own.trust_anchor_arn.clone(), own.profile_arn.clone()));
    format!(
        "type = 'aws-roles-anywhere'\nregion = 'us-east-1'\nendpoint = '{}'\ntrust_anchor_arn = '{}'\n\
         profile_arn = '{}'\nrole_arn = '{}'\nduration = '1h'\n{more}",
        anywhere.url(),
        arns.0,
        arns.1,
        RolesAnywhere::ROLE
    )
}

fn variables(certificate: &str, key: &str) -> [(&'static str, String); 2] {
    [
        ("FNOX_ROLES_ANYWHERE_CERTIFICATE", certificate.to_owned()),
        ("FNOX_ROLES_ANYWHERE_PRIVATE_KEY", key.to_owned()),
    ]
}

fn project(anywhere: &Issuer<RolesAnywhere>, more: &str, certificate: &str, key: &str) -> Project {
    let variables = variables(certificate, key);
    Project::with_env(
        &format!("[leases.x]\n{}\n", keys(anywhere, more)),
        &crate::support::borrowed(&variables),
    )
}

fn nothing_undocumented(anywhere: &Issuer<RolesAnywhere>) {
    assert_eq!(anywhere.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_of_every_form_and_kind_sign() {
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use rsa::pkcs8::EncodePrivateKey as _;
    let root = Authority::root();
    let anywhere = start(&root);
    let rsa = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let p256 = new_key();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let ending = rsa::pkcs8::LineEnding::LF;
    let rsa_pkcs8 = rsa.to_pkcs8_pem(ending).unwrap().to_string();
    let sec1 = {
        use p256::pkcs8::DecodePrivateKey as _;
        let key = p256::SecretKey::from_pkcs8_pem(&p256.serialize_pem()).unwrap();
        key.to_sec1_pem(ending).unwrap().to_string()
    };
    let sec1_p384 = {
        use p384::pkcs8::DecodePrivateKey as _;
        let key = p384::SecretKey::from_pkcs8_pem(&p384.serialize_pem()).unwrap();
        key.to_sec1_pem(ending).unwrap().to_string()
    };
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let of_rsa = KeyPair::from_pem(&rsa_pkcs8).unwrap();
    for (pair, text, algorithm) in [
        (&of_rsa, rsa_pkcs8.clone(), "AWS4-X509-RSA-SHA256"),
        (
            &of_rsa,
            rsa.to_pkcs1_pem(ending).unwrap().to_string(),
            "AWS4-X509-RSA-SHA256",
        ),
        (&p256, p256.serialize_pem(), "AWS4-X509-ECDSA-SHA256"),
        (
            &p256,
            format!("{parameters}{sec1}"),
            "AWS4-X509-ECDSA-SHA256",
        ),
        (&p384, p384.serialize_pem(), "AWS4-X509-ECDSA-SHA256"),
        (&p384, sec1_p384, "AWS4-X509-ECDSA-SHA256"),
    ] {
        let project = project(&anywhere, "", &root.certify(pair), &text);
        let outcome = project.exec("x").await;
        let kind = text.lines().next().unwrap();
        assert!(
            outcome.is_ok(),
            "{kind}: {outcome:?} {:?}",
            anywhere.complaints()
        );
        let used = anywhere.change(|own| own.algorithms.last().cloned());
        assert_eq!(used.as_deref(), Some(algorithm), "{kind}");
    }
    nothing_undocumented(&anywhere);
}

#[tokio::test]
async fn it_fails_closed() {
    let root = Authority::root();
    let anywhere = start(&root);
    let key = new_key();
    let [certificate, private] = variables(&root.certify(&key), &key.serialize_pem());
    fails_closed(&Subject {
        issuer: &anywhere,
        lease: keys(&anywhere, ""),
        masters: vec![private.1.clone()],
        env: [certificate, private]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        produces: AWS_SESSION.to_vec(),
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn files_and_a_chain_lead_to_the_trust_anchor() {
    let root = Authority::root();
    let between = Authority::below(&root);
    let anywhere = start(&root);
    let key = new_key();
    let certificate = between.certify(&key);
    let more = "certificate_file = 'own.pem'\nprivate_key_file = 'key.pem'\ncertificate_chain_file = 'chain.pem'";
    let project = Project::new(&format!("[leases.x]\n{}\n", keys(&anywhere, more)));
    let write = |name: &str, text: &str| {
        std::fs::write(project.root.join("project").join(name), text).unwrap();
    };
    write("own.pem", &certificate);
    write("key.pem", &key.serialize_pem());
    write("chain.pem", &between.pem);
    let held = minted(project.exec("x").await.unwrap());
    assert!(
        held.credential.id.starts_with("AROA"),
        "{}",
        held.credential.id
    );
    let request = anywhere.requests().pop().unwrap();
    assert!(request.header("x-amz-x509-chain").is_some());
    cached(project.exec("x").await.unwrap());

    // A new certificate in the file is somebody else; and the chain may follow it in one file.
    let key = new_key();
    write(
        "own.pem",
        &format!("{}{}", between.certify(&key), between.pem),
    );
    write("key.pem", &key.serialize_pem());
    write("chain.pem", "");
    minted(project.exec("x").await.unwrap());
    let [first, second] = anywhere.change(|own| {
        let serials: Vec<String> = own
            .issued
            .iter()
            .map(|(serial, _)| serial.clone())
            .collect();
        serials.try_into().unwrap()
    });
    assert_ne!(first, second);
    nothing_undocumented(&anywhere);
}

#[tokio::test]
async fn a_certificate_that_leads_nowhere_is_denied_with_its_serial_number() {
    let root = Authority::root();
    let anywhere = start(&root);
    let key = new_key();
    let stranger = Authority::root();
    let project = project(&anywhere, "", &stranger.certify(&key), &key.serialize_pem());
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    let text = error.to_string();
    for part in [
        "Untrusted certificate",
        RolesAnywhere::ROLE,
        "trust-anchor/",
        "profile/",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        error
            .help()
            .unwrap()
            .contains("rolesanywhere.amazonaws.com")
    );
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
    nothing_undocumented(&anywhere);
}

#[tokio::test]
async fn a_key_of_another_certificate_is_found_before_anybody_is_called() {
    let root = Authority::root();
    let anywhere = start(&root);
    let (key, other) = (new_key(), new_key());
    let certificate = root.certify(&key);
    for (text, wanted) in [
        (other.serialize_pem(), "is not that of the certificate"),
        ("nothing".to_owned(), "there is none in it"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
                .to_owned(),
            "it is encrypted",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
            "damaged",
        ),
    ] {
        let project = project(&anywhere, "", &certificate, &text);
        let error = project.exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
    assert_eq!(anywhere.requests().len(), 0);
}

/// By the time of AWS's answer, and by the time in its words where that header is dropped on the way.
#[tokio::test]
async fn a_clock_that_is_wrong_is_told_with_its_difference() {
    for (hides_date, off) in [(false, 17_i64), (false, -17), (true, 17), (true, -17)] {
        let root = Authority::root();
        let anywhere = start(&root);
        anywhere.change(|own| own.hides_date = hides_date);
        let key = new_key();
        let project = project(&anywhere, "", &root.certify(&key), &key.serialize_pem());
        // Half a minute more, for seconds that are cut off and pass meanwhile.
        let off = jiff::SignedDuration::from_secs(off * 60 + off.signum() * 30);
        let now = fnox_core::Clock::now(&*project.clock);
        project.clock.set_wall(now + off);
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Denied);
        let help = error.help().unwrap();
        assert!(
            help.contains("17 minutes off"),
            "{hides_date} {off}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_session_is_named_only_where_the_profile_accepts_it() {
    let root = Authority::root();
    let anywhere = start(&root);
    let key = new_key();
    let certificate = root.certify(&key);
    let project = project(
        &anywhere,
        "session_name = 'batch-7'",
        &certificate,
        &key.serialize_pem(),
    );
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.help().unwrap().contains("session_name"), "{error:?}");
    anywhere.change(|own| own.accepts_session_name = true);
    let held = minted(project.exec("x").await.unwrap());
    assert!(
        held.credential.id.contains("batch-7"),
        "{}",
        held.credential.id
    );
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_the_configuration_is_told() {
    let root = Authority::root();
    let anywhere = start(&root);
    let nothing = Project::new(&format!(
        "[leases.x]\nrequired = true\n{}\n",
        keys(&anywhere, "")
    ));
    let error = nothing.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(
        error
            .to_string()
            .contains("FNOX_ROLES_ANYWHERE_PRIVATE_KEY"),
        "{error}"
    );
    let good = keys(&anywhere, "");
    for (from, to, wanted) in [
        (
            "region = 'us-east-1'",
            "region = 'eu-west-1'",
            "is in region us-east-1",
        ),
        (":role/", ":user/", "the ARN of a role"),
        ("duration = '1h'", "session_name = 'a b'", "`session_name`"),
        (
            "duration = '1h'",
            "private_key_file = 'x'\nprivate_key_variable = 'Y'",
            "exclude each other",
        ),
        ("duration = '1h'", "duration = '13h'", "15m to 12h0m"),
        ("duration = '1h'", "duration = '10m'", "15m to 12h0m"),
    ] {
        let project = Project::new(&format!("[leases.x]\n{}\n", good.replace(from, to)));
        let error = project.exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert_eq!(error.exit_status(), ExitStatus::Configuration);
    }
    let explained = nothing
        .manager()
        .explain(&"x".parse().unwrap(), None, "fnox-lease")
        .await
        .unwrap();
    let call = &explained.calls[0];
    assert_eq!(call.action, "rolesanywhere:CreateSession");
    assert_eq!(call.target, format!("{}/sessions", anywhere.url()));
    assert_eq!(
        call.master,
        "the private key in FNOX_ROLES_ANYWHERE_PRIVATE_KEY"
    );
    assert_eq!(anywhere.requests().len(), 0);
}

/// AWS's own library speaks TLS only, so its signer signs and a plain client sends.
const SIGNER: &str = r"
import json, sys, urllib.request
from botocore.awsrequest import AWSRequest
from iam_rolesanywhere_session.iam_rolesanywhere_session import IAMRolesAnywhereSigner
url, anchor, profile, role = sys.argv[1:5]
signer = IAMRolesAnywhereSigner('own.pem', 'key.pem', certificate_chain='chain.pem', region='us-east-1')
body = json.dumps({'durationSeconds': 900, 'profileArn': profile, 'roleArn': role, 'trustAnchorArn': anchor})
request = AWSRequest(method='POST', url=url + '/sessions', data=body)
signer.add_auth(request)
sent = urllib.request.Request(request.url, data=body.encode(), headers=dict(request.headers.items()))
answer = json.load(urllib.request.urlopen(sent))
print(answer['credentialSet'][0]['credentials']['accessKeyId'])
";

#[tokio::test]
#[ignore = "needs iam-rolesanywhere-session"]
async fn awss_own_signer_is_understood_by_the_stand_in() {
    let root = Authority::root();
    let between = Authority::below(&root);
    let anywhere = start(&root);
    let key = new_key();
    let sandbox = Sandbox::new(services::rolesanywhere_python());
    for (name, text) in [
        ("own.pem", between.certify(&key)),
        ("key.pem", key.serialize_pem()),
        ("chain.pem", between.pem.clone()),
    ] {
        std::fs::write(sandbox.project().join(name), text).unwrap();
    }
    let arns = anywhere.change(|own| [own.trust_anchor_arn.clone(), own.profile_arn.clone()]);
    let run = sandbox
        .run([
            "-c",
            SIGNER,
            anywhere.url(),
            &arns[0],
            &arns[1],
            RolesAnywhere::ROLE,
        ])
        .env("no_proxy", "*")
        .finish()
        .succeeds();
    let issued = anywhere.change(|own| own.issued[0].1.clone());
    assert_eq!(run.stdout.trim(), issued);
    nothing_undocumented(&anywhere);
}
