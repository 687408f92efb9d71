//! What ends credentials that the person's own machine minted, which is not on any record here.

use fnox_config::LeaseConfig;
use jiff::Timestamp;

use super::documents::Item;
use super::person::Person;
use super::views::place;

/// Denies everything to sessions that began before now, as the IAM console's "Revoke sessions" does (IAM User Guide,
/// "Revoke IAM role temporary security credentials").
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"NOW"}}}]}"#;

/// Denies everything to one user of IAM Identity Center (IAM Identity Center User Guide, "Revoke active IAM role sessions
/// created by permission sets").
const DENY_USER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"identitystore:userId":"USER_ID"}}}]}"#;

/// What to do about the credentials of a lease.
pub(super) fn of(lease: &LeaseConfig, person: &Person, now: Timestamp) -> Item {
    let text = |key| lease.fields.text(key).unwrap_or_default();
    let (what, command) = match lease.spec.name {
        "aws-sts" | "aws-roles-anywhere" => {
            let role = text("role_arn").rsplit('/').next().unwrap_or("ROLE");
            let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let command = format!(
                "aws iam put-role-policy --role-name {} --policy-name DenySessionsBefore --policy-document '{}'",
                if role.is_empty() { "ROLE" } else { role },
                DENY.replace("NOW", &now)
            );
            (
                "sessions of the role outlive the person's access by up to 12 hours: deny those that have begun \
                 (everybody else gets a new one by itself)"
                    .to_owned(),
                Some(command),
            )
        }
        "aws-sso" => {
            let permission_set = match text("role_name") {
                "" => "ROLE",
                name => name,
            };
            (
                format!(
                    "role sessions that IAM Identity Center gave outlive the disabled user: deny the user in the \
                     permission set {permission_set}. USER_ID is the first command's answer, SET the permission set's \
                     ARN. The second replaces an inline policy that the set has already: put the statement into that"
                ),
                Some(format!(
                    "aws identitystore list-users --identity-store-id STORE --filters \
                     AttributePath=UserName,AttributeValue={}\n\
                     aws sso-admin put-inline-policy-to-permission-set --instance-arn INSTANCE --permission-set-arn \
                     SET --inline-policy '{DENY_USER}'\n\
                     aws sso-admin provision-permission-set --instance-arn INSTANCE --permission-set-arn SET \
                     --target-type ALL_PROVISIONED_ACCOUNTS",
                    person.email.as_deref().unwrap_or(&person.user)
                )),
            )
        }
        "gcp-iam" | "azure-token" => (
            "access tokens end within the hour; ending them earlier needs the cloud's own means"
                .to_owned(),
            None,
        ),
        "ssh" => (
            format!(
                "certificates end within {}; put their serial numbers on `RevokedKeys` to end them at once",
                lease
                    .duration
                    .map_or("15m".to_owned(), |life| life.to_string())
            ),
            None,
        ),
        "vault" => (
            "leases that the person's token made end with it".to_owned(),
            Some("vault token revoke -accessor ACCESSOR".to_owned()),
        ),
        _ => (
            "credentials can be withdrawn at their issuer".to_owned(),
            Some(format!("fnox lease revoke {}", lease.name)),
        ),
    };
    Item {
        what: format!("lease `{}` ({}): {what}", lease.name, lease.spec.name),
        place: Some(place(lease.fields.location())),
        command,
        problem: None,
    }
}
