//! A cluster that takes encrypted connections only, and writes every statement down.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fnox_core::ExitStatus;
use fnox_testkit::wait;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{Server, psql, revoked, value, variable};
use crate::support::minted;

/// A private cluster. It ends with this value.
struct Cluster {
    folder: PathBuf,
    url: String,
}

impl Cluster {
    fn create() -> Self {
        let output = Command::new(variable("FNOX_TEST_POSTGRES_CTL"))
            .arg("create")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (folder, url) = text.trim().split_once('\n').unwrap();
        Self {
            folder: PathBuf::from(folder),
            url: url.to_owned(),
        }
    }

    /// A file for the server alone.
    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join("data").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let owner = std::fs::metadata(self.folder.join("data")).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(variable("FNOX_TEST_POSTGRES_CTL"))
            .arg("remove")
            .arg(&self.folder)
            .status();
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "test authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn write(folder: &Path, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, authority.pem()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn only_the_server_that_the_certificate_names_is_spoken_to() {
    let cluster = Cluster::create();
    let server = Server::at(&cluster.url).await;
    let (trusted, foreign) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    // For the address, not for the name `localhost`.
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &trusted)
        .unwrap();
    cluster.write("server.crt", &certificate.pem());
    cluster.write("server.key", &key.serialize_pem());
    cluster.write(
        "pg_hba.conf",
        "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
    );
    for sql in [
        "ALTER SYSTEM SET ssl = on",
        "ALTER SYSTEM SET log_statement = 'all'",
        "SELECT pg_reload_conf()",
    ] {
        server.superuser.simple_query(sql).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &trusted);
    let good = server.lease(&format!("ca_file = '{ca}'"));
    let clear = format!("{}?sslmode=disable", server.url);
    wait::until("encryption", Duration::from_secs(30), || {
        psql(&clear, "SELECT 1").is_err_and(|error| error.contains("no encryption"))
    });

    let project = server.project(&good);
    let held = minted(project.exec("x").await.unwrap());
    let url = value(&held, "DATABASE_URL");
    assert!(url.contains("?sslmode=verify-full&sslrootcert="), "{url}");
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(psql(url, sql), Ok("t".to_owned()));

    // No statement had the password, and all were written down.
    let log = std::fs::read_to_string(cluster.folder.join("log")).unwrap();
    assert!(log.contains("PASSWORD 'SCRAM-SHA-256$"), "{log}");
    assert!(!log.contains(value(&held, "DATABASE_PASSWORD")));
    revoked(&project.manager().revoke("x").await.unwrap());

    let other = write(folder.path(), "other.pem", &foreign);
    for lease in [
        server.lease(&format!("ca_file = '{other}'")),
        good.replace("'127.0.0.1'", "'localhost'"),
        server.lease("tls = 'require'"),
    ] {
        let error = server.project(&lease).exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(error.help().unwrap().contains("ca_file"));
    }
    // Without encryption the server takes nobody.
    let error = server
        .project(&server.lease(""))
        .exec("x")
        .await
        .unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
}
