//! Each type of provider, and the tests that check what every backend must do alike.
//!
//! A test that stands here answers with what only the check of that type gives; a type that does not stand here fails the test below.

use fnox_config::spec::PROVIDERS;

use crate::conformance::{Checked, Kind};

macro_rules! kinds {
    ($($(#[$condition:meta])* $kind:ident $name:literal: $($test:path),+;)+) => {
        $(
            $(#[$condition])*
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $kind;

            $(#[$condition])*
            impl Kind for $kind {
                const NAME: &'static str = $name;
            }

            $(#[$condition])*
            const _: &[fn() -> Checked<$kind>] = &[$($test),+];
        )+

        const CHECKED: &[&str] = &[$($(#[$condition])* $name),+];
    };
}

kinds! {
    Age "age": crate::age::conforms_with_and_without_bound_names;
    Plain "plain": crate::plain::conforms;
    AwsKms "aws-kms": crate::aws::kms_conforms_and_binds_values_to_their_place;
    GcpKms "gcp-kms": crate::google::cloud_kms_conforms;
    AzureKms "azure-kms": crate::azure::keys_of_key_vault_conform;
    YubiKey "yubikey": crate::yubikey::conformance;
    Fido2 "fido2": crate::fido2::conformance, crate::hardware_keys::conformance;
    Keychain "keychain": crate::keychain::conforms;
    PasswordStore "password-store": crate::password_store::conforms;
    Gopass "gopass": crate::gopass::conforms;
    KeePass "keepass": crate::keepass::conforms;
    Enpass "enpass": crate::enpass::conforms_in_both_formats;
    OnePassword "1password": crate::onepassword::conforms;
    Bitwarden "bitwarden": crate::bitwarden::bw_conforms, crate::bitwarden::rbw_conforms;
    BitwardenSm "bitwarden-sm": crate::bitwarden_sm::it_conforms;
    ProtonPass "proton-pass": crate::proton_pass::conforms;
    Infisical "infisical":
        crate::infisical::it_conforms, crate::infisical::a_server_without_the_newest_api_conforms;
    Doppler "doppler": crate::doppler::it_conforms;
    Vault "vault":
        crate::vault::the_first_version_of_kv_conforms, crate::vault::the_second_version_of_kv_conforms;
    Passwordstate "passwordstate": crate::passwordstate::it_conforms;
    KeeperSm "keeper-sm": crate::keeper_sm::it_conforms;
    AwsSm "aws-sm": crate::aws::secrets_manager_conforms;
    AwsPs "aws-ps": crate::aws::parameter_store_conforms;
    AzureSm "azure-sm": crate::azure::secrets_of_key_vault_conform;
    AzureAc "azure-ac": crate::azure::app_configuration_conforms;
    GcpSm "gcp-sm": crate::google::secret_manager_conforms;
    Foks "foks": crate::foks::conforms;
    Kubernetes "kubernetes": crate::kubernetes::it_conforms;
    FnoxServer "fnox-server": crate::fnox_server::it_reads_as_every_provider_does;
    External "external": crate::external::the_example_does_what_every_backend_must;
    #[cfg(feature = "lua")]
    Lua "lua": crate::lua::the_example_does_what_every_backend_must;
}

/// Values that only a running vault lends: the tests of the command line have one, and read exact bytes from it.
const ELSEWHERE: &[&str] = &["vault-agent"];

#[test]
fn every_type_is_checked() {
    let is_left_out = |name: &str| name == "lua" && cfg!(not(feature = "lua"));
    for spec in PROVIDERS.iter().filter(|spec| !is_left_out(spec.name)) {
        let is_checked = CHECKED.contains(&spec.name);
        assert_ne!(is_checked, ELSEWHERE.contains(&spec.name), "{}", spec.name);
    }
}
