//! A project whose gateway reaches an upstream on loopback.

use std::path::Path;

use fnox_testkit::stand_in::Upstream;
use fnox_testkit::{Invocation, Sandbox};

use crate::support;

/// The value that the program must never see.
pub(crate) const VALUE: &str = "ghp_RealValueThatNobodyMaySee0123456789";

/// Most events of a tenth of a second each between the end of a right and the end of what is on its way with it.
pub(crate) const MOMENTS: usize = 20;

/// How many events of the upstream's `/drip/…` are in a file, which may not be there yet.
pub(crate) fn events_in(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.matches("data: ").count()
}

/// A project, and what its requests reach.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) sandbox: Sandbox,
    pub(crate) upstream: Upstream,
}

impl Project {
    /// With one rule for the upstream, to which `keys` are added.
    pub(crate) fn new(keys: &str) -> Self {
        Self::with("", keys)
    }

    /// With more keys of `[proxy]`.
    pub(crate) fn with(proxy: &str, keys: &str) -> Self {
        let sandbox = support::sandbox();
        let upstream = Upstream::start();
        let authority = upstream.write_authority(&sandbox.project());
        let port = upstream.port();
        let text = format!(
            "[secrets]\nTOKEN = {{ default = \"{VALUE}\" }}\n\n[proxy]\nallow_private = [\"127.0.0.1:{port}\"]\n{proxy}\n\n\
             [[proxy.rules]]\nsecret = \"TOKEN\"\ndomain = \"localhost\"\nport = {port}\nca_file = \"{}\"\n{keys}\n",
            authority.display()
        );
        sandbox.write("fnox.toml", text);
        Self { sandbox, upstream }
    }

    /// A shell script behind the gateway. `$URL` is the upstream.
    pub(crate) fn agent(&self, script: &str) -> Invocation {
        self.sandbox
            .run(["agent", "run", "--", "sh", "-euc", script])
            .env("URL", self.upstream.url(""))
    }

    /// What the script prints; it must succeed.
    #[track_caller]
    pub(crate) fn prints(&self, script: &str) -> String {
        self.agent(script).finish().succeeds().stdout
    }
}
