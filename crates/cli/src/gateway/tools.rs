//! Programs that make HTTPS requests, and how each is made to make one. `fnox agent doctor` tries those that are there.

/// A program and a request of it.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name; of a program with several, what it is tried for.
    pub(crate) name: &'static str,
    /// The program and its arguments. `{host}` stands for the host that it must ask.
    pub(crate) command: &'static [&'static str],
    /// Variables that it needs in order to try.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// What helps if it does not use the gateway.
    pub(crate) remedy: &'static str,
}

/// What helps with most of them.
const OLD: &str =
    "It may be too old to read the variables, or its own configuration may name another proxy.";

const fn tool(name: &'static str, command: &'static [&'static str]) -> Tool {
    Tool {
        name,
        command,
        variables: &[],
        remedy: OLD,
    }
}

/// All that are known.
pub(crate) static TOOLS: &[Tool] = &[
    tool("curl", &["curl", "-sS", "-m", "10", "https://{host}/"]),
    Tool {
        remedy: "wget with GnuTLS reads no variable: put `ca_certificate = …` of $SSL_CERT_FILE into a file that $WGETRC names.",
        ..tool(
            "wget",
            &[
                "wget",
                "-q",
                "-t",
                "1",
                "-T",
                "10",
                "-O",
                "-",
                "https://{host}/",
            ],
        )
    },
    Tool {
        variables: &[("GIT_TERMINAL_PROMPT", "0"), ("GIT_CONFIG_NOSYSTEM", "1")],
        ..tool("git", &["git", "ls-remote", "https://{host}/doctor.git"])
    },
    tool(
        "python3",
        &[
            "python3",
            "-c",
            "import urllib.request; urllib.request.urlopen('https://{host}/', timeout=10)",
        ],
    ),
    Tool {
        variables: &[
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
            ("PIP_NO_INPUT", "1"),
        ],
        ..tool(
            "pip3",
            &[
                "pip3",
                "download",
                "--no-deps",
                "--no-cache-dir",
                "--retries",
                "0",
                "--timeout",
                "10",
                "--dest",
                "/nonexistent",
                "--index-url",
                "https://{host}/simple",
                "fnox-doctor",
            ],
        )
    },
    Tool {
        remedy: "Node.js reads the variables from 22.21 and 24.0 on; older ones need a library such as undici's ProxyAgent.",
        ..tool(
            "node",
            &["node", "-e", "fetch('https://{host}/').catch(() => {})"],
        )
    },
    tool(
        "npm",
        &[
            "npm",
            "view",
            "fnox-doctor",
            "--registry",
            "https://{host}/",
            "--fetch-retries",
            "0",
            "--update-notifier",
            "false",
        ],
    ),
    tool(
        "deno",
        &[
            "deno",
            "eval",
            "await fetch('https://{host}/').catch(() => {})",
        ],
    ),
    tool(
        "cargo",
        &[
            "cargo",
            "search",
            "--index",
            "sparse+https://{host}/",
            "fnox-doctor",
        ],
    ),
    Tool {
        variables: &[
            ("GOPROXY", "https://{host}"),
            ("GONOSUMDB", "*"),
            ("GOFLAGS", "-mod=mod"),
            ("GO111MODULE", "on"),
            ("GOTOOLCHAIN", "local"),
        ],
        ..tool("go", &["go", "list", "-m", "example.com/doctor@v1.0.0"])
    },
    Tool {
        variables: &[
            ("AWS_MAX_ATTEMPTS", "1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ],
        ..tool(
            "aws",
            &[
                "aws",
                "s3api",
                "list-objects",
                "--bucket",
                "doctor",
                "--no-sign-request",
                "--region",
                "us-east-1",
                "--endpoint-url",
                "https://{host}",
                "--cli-read-timeout",
                "10",
            ],
        )
    },
    Tool {
        variables: &[("GH_ENTERPRISE_TOKEN", "none"), ("GH_HOST", "{host}")],
        ..tool("gh", &["gh", "api", "--hostname", "{host}", "/doctor"])
    },
    Tool {
        // Its own program for certificates, as part of every Java, can fetch a list of those that were withdrawn.
        remedy: "Java takes no password of a proxy from outside: run it with `fnox agent run --sandbox`, where none is needed.",
        ..tool(
            "java",
            &[
                "java",
                "sun.security.tools.keytool.Main",
                "-printcrl",
                "-file",
                "https://{host}/doctor",
            ],
        )
    },
    Tool {
        variables: &[
            (
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE",
                "https://{host}/storage/v1/",
            ),
            ("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true"),
            ("CLOUDSDK_CORE_DISABLE_PROMPTS", "1"),
        ],
        ..tool("gcloud", &["gcloud", "storage", "ls", "gs://doctor"])
    },
    tool(
        "ruby",
        &[
            "ruby",
            "-rnet/http",
            "-e",
            "Net::HTTP.get(URI('https://{host}/'))",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_tool_has_its_own_name_and_asks_the_host_that_it_is_told() {
        let names: HashSet<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), TOOLS.len());
        for tool in TOOLS {
            let variables = tool.variables.iter().map(|(_, value)| *value);
            let mut texts = tool.command.iter().copied().chain(variables);
            assert!(texts.any(|text| text.contains("{host}")), "{tool:?}");
        }
    }
}
