//! The stable codes of errors. `docs/reference/errors.md` is generated from this table.

use fnox_core::ExitStatus;

/// One code.
pub type Code = (&'static str, ExitStatus, &'static str, &'static str);

/// Every code: its name, the exit status, what it means, what to do.
pub const CODES: &[Code] = &[
    (
        "config::not_found",
        ExitStatus::Configuration,
        "No `fnox.toml` in this folder or any above it.",
        "Run `fnox init`, change the folder, or name a file with `-c PATH`.",
    ),
    (
        "config::io",
        ExitStatus::Configuration,
        "A configuration file cannot be read or written.",
        "Look at the file's and its folder's permissions and at the free space.",
    ),
    (
        "config::too_large",
        ExitStatus::Configuration,
        "A configuration file has more than 4 MiB.",
        "Keep large values in a provider.",
    ),
    (
        "config::syntax",
        ExitStatus::Configuration,
        "A configuration file is not valid TOML 1.1.",
        "Mend the underlined place.",
    ),
    (
        "config::unknown_key",
        ExitStatus::Configuration,
        "A table has a key that fnox does not know.",
        "Correct the key; the message names the nearest known one. See [configuration](configuration.md).",
    ),
    (
        "config::missing_key",
        ExitStatus::Configuration,
        "A table lacks a key that it needs.",
        "Add the key.",
    ),
    (
        "config::invalid_value",
        ExitStatus::Configuration,
        "A key has a value that it cannot have.",
        "Correct the underlined value.",
    ),
    (
        "config::unknown_name",
        ExitStatus::Configuration,
        "A provider, profile, secret, lease or type of that name does not exist.",
        "Correct the name; the message gives the nearest one or all of them.",
    ),
    (
        "config::already_exists",
        ExitStatus::Configuration,
        "The name is taken.",
        "Choose another one or remove the existing entry first.",
    ),
    (
        "config::cycle",
        ExitStatus::Configuration,
        "Profiles inherit from one another in a circle.",
        "Remove one of the links that the message prints.",
    ),
    (
        "config::missing_import",
        ExitStatus::Configuration,
        "A file in `import` does not exist.",
        "Create it or remove it from the list.",
    ),
    (
        "config::untrusted",
        ExitStatus::Configuration,
        "A configuration file belongs to another user, or everybody may write to it. It could run commands as you.",
        "Read it, then allow its present content with `fnox trust PATH`, or mend owner and mode.",
    ),
    (
        "config::folder_not_trusted",
        ExitStatus::Configuration,
        "An activated shell is in a folder whose configuration nobody has allowed it to load.",
        "Read the folder's `fnox.toml`, then run `fnox trust` there.",
    ),
    (
        "config::ambiguous_profile",
        ExitStatus::Configuration,
        "Several profiles are active and the command writes.",
        "Name one with `--write-profile`.",
    ),
    (
        "secret::missing",
        ExitStatus::SecretMissing,
        "A secret has no value in its provider, no default, and no environment variable of its name.",
        "Set it with `fnox set`, or allow it to be missing with `if_missing`.",
    ),
    (
        "secret::cycle",
        ExitStatus::Configuration,
        "Secrets need one another in a circle.",
        "Take one of them from another provider.",
    ),
    (
        "secret::unfit",
        ExitStatus::Configuration,
        "`json_path`, `line` or `${NAME}` does not fit the value.",
        "Correct the key, or the stored value.",
    ),
    (
        "secret::not_injectable",
        ExitStatus::Configuration,
        "A value cannot be an environment variable: it contains a NUL byte, or its `env` mode keeps it from programs.",
        "Use `as_file = true`, or change `env`.",
    ),
    (
        "provider::not_found",
        ExitStatus::SecretMissing,
        "The provider works, but has nothing under this reference.",
        "Correct the reference, or store the value with `fnox set`.",
    ),
    (
        "provider::authentication_needed",
        ExitStatus::AuthenticationNeeded,
        "Somebody must log in, unlock the store or present a key. The message lists what was tried.",
        "Do what the message says; on a terminal fnox offers to run the login command.",
    ),
    (
        "provider::denied",
        ExitStatus::Denied,
        "The provider's policy forbids it.",
        "Ask whoever keeps the policy; for an agents' vault, `fnox vault policy explain` tells which rule decides.",
    ),
    (
        "provider::approval_pending",
        ExitStatus::ApprovalPending,
        "A person has not decided yet, and `--no-wait` was given.",
        "Run the same command again with `--approval ID`; the message gives the id.",
    ),
    (
        "provider::interrupted",
        ExitStatus::Child(130),
        "The run was interrupted while a person was waited for. The request was taken back.",
        "Run it again.",
    ),
    (
        "provider::unavailable",
        ExitStatus::Unavailable,
        "A provider did not answer in time, or its program is not installed.",
        "Install or start it, or look at the network. `fnox doctor` tests all of them.",
    ),
    (
        "provider::misconfigured",
        ExitStatus::Configuration,
        "A provider's configuration is wrong, or this version cannot open its type.",
        "Correct the named key.",
    ),
    (
        "lease::misconfigured",
        ExitStatus::Configuration,
        "A key of a lease is wrong.",
        "Correct the key that the message names.",
    ),
    (
        "lease::not_configured",
        ExitStatus::Configuration,
        "A record belongs to a lease that is not in the configuration any more, so nothing can withdraw it.",
        "Put the lease back, revoke it, then remove it again.",
    ),
    (
        "lease::duration_out_of_range",
        ExitStatus::Configuration,
        "The lease would live shorter or longer than its type allows.",
        "Change `duration`, or `--duration`; the message names the limits.",
    ),
    (
        "lease::prerequisites_missing",
        ExitStatus::AuthenticationNeeded,
        "Nothing is configured or present to mint with, and the lease must be there (`required`, `--require-leases`, `fnox run`).",
        "Configure its master, or run `fnox lease create NAME -i`.",
    ),
    (
        "lease::masters",
        ExitStatus::AuthenticationNeeded,
        "A master is configured and could not be had. The exit code is that of the master's own failure.",
        "The message says what failed and what to do.",
    ),
    (
        "lease::authentication_needed",
        ExitStatus::AuthenticationNeeded,
        "The issuer does not accept the masters: missing, wrong or expired.",
        "Log in again, or set the masters anew.",
    ),
    (
        "lease::denied",
        ExitStatus::Denied,
        "The issuer refuses to mint for this master.",
        "Have the permission granted that the message names.",
    ),
    (
        "lease::unavailable",
        ExitStatus::Unavailable,
        "The issuer did not answer, or not with a credential. The program was not started.",
        "Try again; look at the network and at the issuer.",
    ),
    (
        "lease::not_recorded",
        ExitStatus::Failure,
        "A credential was issued, could not be put on record, and is therefore not used.",
        "Mend what the message names, then run `fnox lease cleanup`.",
    ),
    (
        "lease::unknown",
        ExitStatus::Failure,
        "No lease has this id, prefix or name.",
        "Look at `fnox lease list`.",
    ),
    (
        "lease::ambiguous",
        ExitStatus::Failure,
        "Several leases begin with this prefix.",
        "Give more of the id, or the whole of it.",
    ),
    (
        "ledger::io",
        ExitStatus::Failure,
        "The lease ledger cannot be read or written. The old one is as it was.",
        "Look at the state folder's permissions and free space.",
    ),
    (
        "ledger::locked",
        ExitStatus::Unavailable,
        "Another process holds a lock of the ledger, or mints the same lease, for too long.",
        "Wait for the process that the message names, or end it.",
    ),
    (
        "ledger::key_unavailable",
        ExitStatus::AuthenticationNeeded,
        "The key that opens the ledger is gone or locked. The ledger is left as it is.",
        "Restore or unlock the key.",
    ),
    (
        "ledger::malformed",
        ExitStatus::Failure,
        "The ledger is not one.",
        "Remove it: its leases are forgotten and only expire.",
    ),
    (
        "ledger::sealed",
        ExitStatus::Failure,
        "The ledger does not open: it was changed, or belongs to another folder or key.",
        "Remove it: its leases are forgotten and only expire.",
    ),
    (
        "ledger::unsafe",
        ExitStatus::AuthenticationNeeded,
        "Others could have read or written the ledger's files.",
        "Mend owner and mode as the message says.",
    ),
    (
        "vault::unreachable",
        ExitStatus::Unavailable,
        "No vault answers at the place that the message names.",
        "Start it with `fnox vault serve`, or say where it is with `--socket` or `FNOX_VAULT_SOCKET`.",
    ),
    (
        "vault::unavailable",
        ExitStatus::Unavailable,
        "The vault did not answer in time, is ending, has too much to do, or cannot write its store or audit log. If a change was asked for, it may have been made.",
        "Look at `fnox vault status` and at the vault's own messages, then try again.",
    ),
    (
        "vault::authentication",
        ExitStatus::AuthenticationNeeded,
        "The vault does not know the caller, or does not accept its token.",
        "Present a token with `--token-file`, `FNOX_VAULT_TOKEN_FILE` or `FNOX_VAULT_TOKEN`; an administrator makes one with `fnox vault token create`.",
    ),
    (
        "vault::token",
        ExitStatus::AuthenticationNeeded,
        "The file or descriptor that should hold a token cannot be read, or holds none.",
        "Look at the path and its permissions.",
    ),
    (
        "vault::denied",
        ExitStatus::Denied,
        "The policy, the caller's role, a lease's own host or a rate forbids it.",
        "`fnox vault policy explain` tells which rule decides; an administrator may change the policy.",
    ),
    (
        "vault::insecure",
        ExitStatus::Denied,
        "git asks for a credential for a server without TLS, to which it would be sent in clear.",
        "Use https. For a server on this machine there is `--allow-http`.",
    ),
    (
        "vault::secret_not_found",
        ExitStatus::SecretMissing,
        "The vault has no such secret.",
        "Look at `fnox vault secret list`; store it with `fnox vault secret set`.",
    ),
    (
        "vault::lease_over",
        ExitStatus::Failure,
        "The lease is unknown to the vault, belongs to somebody else, was withdrawn, is past its time, or all of its uses are spent.",
        "Ask for a new one.",
    ),
    (
        "vault::refused",
        ExitStatus::Failure,
        "The vault does not do what was asked, for the reason that the message gives.",
        "Correct the request.",
    ),
    (
        "vault::protocol",
        ExitStatus::Failure,
        "What answers is not a vault, or one that speaks another version.",
        "Look at what listens there.",
    ),
    (
        "vault::no_agent",
        ExitStatus::Usage,
        "A lease is asked for and nobody says in whose name.",
        "Name the agent with `--agent` or `FNOX_VAULT_AGENT`, or present an agent's token.",
    ),
    (
        "vault::policy",
        ExitStatus::Configuration,
        "A policy file is not one. A vault that runs keeps the policy that it has.",
        "Mend the lines that the message names; `fnox vault policy check FILE` shows all of them.",
    ),
    (
        "vault::audit_tampered",
        ExitStatus::Failure,
        "The audit log is not as the vault wrote it: records were changed, removed or moved.",
        "Keep the store as it is, and compare it with backups and checkpoints.",
    ),
    (
        "vault::settings",
        ExitStatus::Configuration,
        "The vault cannot start with these settings: there is no vault yet, something else is in its place, or a newer fnox wrote it.",
        "Run `fnox vault init`, or correct `vault.toml`.",
    ),
    (
        "vault::key",
        ExitStatus::AuthenticationNeeded,
        "The key source does not give the vault's key, or gives another one.",
        "Restore or unlock the key that the message names.",
    ),
    (
        "vault::store",
        ExitStatus::Unavailable,
        "The vault's store cannot be opened, or another vault has it.",
        "Look at what the message names.",
    ),
    (
        "vault::socket",
        ExitStatus::Unavailable,
        "The vault cannot listen at the place that the message names.",
        "Choose another place, or end what is there.",
    ),
    (
        "cli::usage",
        ExitStatus::Usage,
        "The command line asks for something that makes no sense.",
        "See `fnox COMMAND --help`.",
    ),
    (
        "cli::file",
        ExitStatus::Failure,
        "A file that the command line names cannot be read or written.",
        "Look at its path and permissions.",
    ),
    (
        "cli::input",
        ExitStatus::Failure,
        "An input is not what it should be.",
        "Correct the named line.",
    ),
    (
        "cli::not_started",
        ExitStatus::CommandNotFound,
        "The program does not exist (127) or cannot be run (126).",
        "Check its name and PATH.",
    ),
    (
        "cli::check_failed",
        ExitStatus::Failure,
        "`fnox check`, `doctor`, `provider test` or `reencrypt --check` found something.",
        "See what it printed.",
    ),
    (
        "cli::output",
        ExitStatus::Failure,
        "The output cannot be written.",
        "Look at the free space, or at whoever reads the output.",
    ),
    (
        "server::settings",
        ExitStatus::Configuration,
        "The team server cannot start with these settings: there is no server yet, something would not be safe, or a newer fnox wrote the database.",
        "Run `fnox serve init`, or correct `server.toml` or the flag that the message names.",
    ),
    (
        "server::key",
        ExitStatus::AuthenticationNeeded,
        "The signing key, or another secret that the team server needs, cannot be read from its file.",
        "Look at the path and its mode: nobody but the owner may write it, and not everybody read it.",
    ),
    (
        "server::database",
        ExitStatus::Unavailable,
        "The team server's database cannot be opened, or another process has it open.",
        "Look at what the message names.",
    ),
    (
        "server::address",
        ExitStatus::Unavailable,
        "The team server cannot listen at its address.",
        "End what listens there, or choose another address with `--listen`.",
    ),
    (
        "server::tls",
        ExitStatus::Configuration,
        "The certificate or its key cannot be used.",
        "Correct what the message names.",
    ),
    (
        "server::policy",
        ExitStatus::Configuration,
        "The team server's policy file is not one. A server that runs keeps the policy that it has.",
        "Mend the lines that the message names.",
    ),
    (
        "server::denied",
        ExitStatus::Denied,
        "`fnox serve policy test`: the policy says no.",
        "The output says for every rule which claim it wants and what is there.",
    ),
    (
        "server::audit_tampered",
        ExitStatus::Failure,
        "The audit log is not as the team server wrote it: records were changed, removed or moved.",
        "Keep the database as it is, and compare it with backups and with the heads in the server's own log.",
    ),
    (
        "server::notify",
        ExitStatus::Unavailable,
        "`fnox serve notify test`: a message did not get through.",
        "Correct the channel's table in `server.toml`; the message says what the other side answered.",
    ),
    (
        "team::settings",
        ExitStatus::Configuration,
        "It is not clear which team server or project is meant, or the server's address is wrong.",
        "Name them with `--server` and `--project`, or with `server_url` in the global file and `[project] name`.",
    ),
    (
        "team::not_logged_in",
        ExitStatus::AuthenticationNeeded,
        "The team server does not know who asks: there is no session, or it has ended.",
        "Run `fnox login`, or present a token: `FNOX_SERVER_TOKEN_FILE`.",
    ),
    (
        "team::login",
        ExitStatus::AuthenticationNeeded,
        "The OpenID provider did not let the person in, or its answer does not belong to this login.",
        "Log in again; the message gives the provider's words.",
    ),
    (
        "team::provider_unreachable",
        ExitStatus::Unavailable,
        "The OpenID provider does not answer.",
        "Look at the network, or log in with a token that you have already: `fnox login --token-file`.",
    ),
    (
        "team::denied",
        ExitStatus::Denied,
        "The team server's policy or a person said no.",
        "The message names the claim, role or key; `fnox serve policy test` explains it on the server.",
    ),
    (
        "team::not_found",
        ExitStatus::SecretMissing,
        "The team server has no such thing, or not for this caller.",
        "Look at `fnox secret list` and at the project and profile.",
    ),
    (
        "team::unavailable",
        ExitStatus::Unavailable,
        "The team server does not answer, or refuses everything at the moment.",
        "Look at the network and at the server's `/readyz`.",
    ),
    (
        "team::refused",
        ExitStatus::Failure,
        "The team server did not accept the request.",
        "The message says which part of it.",
    ),
    (
        "team::recipients",
        ExitStatus::Usage,
        "It is not clear whom to encrypt to, or a recipient is no recipient.",
        "Name them with `--recipients`, or add them with `fnox age add-recipient`.",
    ),
    (
        "team::writer",
        ExitStatus::AuthenticationNeeded,
        "The project wants signed values, and the writer key is missing or cannot be used.",
        "Make one with `fnox age keygen` and add its public key to `[project] writers`.",
    ),
    (
        "team::value",
        ExitStatus::Denied,
        "A stored value is not signed by a known writer, or was signed for another place or version.",
        "Find out who stored it with `fnox secret versions`, then store it anew.",
    ),
    (
        "team::no_identity",
        ExitStatus::AuthenticationNeeded,
        "No age identity here opens a stored value.",
        "Let somebody encrypt it anew who has one, or store the value again.",
    ),
    (
        "team::contended",
        ExitStatus::Failure,
        "Somebody else changed the same secret at the same time, several times.",
        "Try again.",
    ),
    (
        "team::some_failed",
        ExitStatus::Failure,
        "Some of several secrets failed; the messages before it say which. The exit code is that of the first failure.",
        "Do what the messages say, and run the command again.",
    ),
    (
        "team::nobody_decided",
        ExitStatus::Denied,
        "Nobody decided before `--timeout` was over. The request was taken back and nothing started.",
        "Ask again with more time, or with `--no-wait` and later `--approval ID`.",
    ),
    (
        "team::approval",
        ExitStatus::Usage,
        "What was given is no id of an approval, or there is no match code.",
        "`fnox approve list` shows the ids; the log of whoever asks shows the code.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::CODES;

    /// Collects `"area::reason"` from every source file.
    fn in_sources(folder: &Path, found: &mut BTreeSet<String>) {
        let pattern = regex::Regex::new(
            r#""((?:config|secret|provider|lease|ledger|vault|server|team|cli)::[a-z_]+)""#,
        )
        .unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                in_sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("codes.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(
                    pattern
                        .captures_iter(&text)
                        .map(|captures| captures[1].to_owned()),
                );
            }
        }
    }

    #[test]
    fn every_code_that_the_sources_name_is_documented_and_no_other() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found = BTreeSet::new();
        for name in ["config", "providers", "leases", "cli"] {
            in_sources(&crates.join(name).join("src"), &mut found);
        }
        let documented: BTreeSet<String> = CODES.iter().map(|code| code.0.to_owned()).collect();
        assert_eq!(documented, found);
        assert_eq!(documented.len(), CODES.len(), "a code stands twice");
    }
}
