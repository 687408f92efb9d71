//! AWS Systems Manager Parameter Store: what a store of encrypted texts needs.

use serde::{Deserialize, Serialize};

use crate::client::{AwsClient, Operation, Repeat, Service};
use crate::error::AwsError;
use crate::text::Text;

/// The largest value of a parameter, in bytes: one of the advanced tier (Systems Manager User Guide,
/// "Managing parameter tiers").
pub const VALUE_LIMIT: usize = 8192;
/// The largest value of a parameter of the standard tier, in bytes.
pub const STANDARD_LIMIT: usize = 4096;
/// The longest name, in characters (`PSParameterName`).
pub const NAME_LIMIT: usize = 2048;
/// How many parameters one [`parameters`] may name (`ParameterNameList`).
pub const BATCH_LIMIT: usize = 10;

/// A parameter with its value.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its ARN.
    #[serde(default, rename = "ARN")]
    pub arn: String,
    /// What was asked for of it: `:3`, `:label`.
    #[serde(default)]
    pub selector: Option<String>,
    /// Its value, decrypted.
    pub value: Text,
}

/// What [`parameters`] found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameters {
    /// Those that are there.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The names that no parameter has.
    #[serde(default)]
    pub invalid_parameters: Vec<String>,
}

/// Reads at most [`BATCH_LIMIT`] different parameters, decrypted.
///
/// # Errors
/// [`AwsError`]; also if only one of them may not be read.
pub async fn parameters(client: &AwsClient, names: &[String]) -> Result<Parameters, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        names: &'a [String],
        with_decryption: bool,
    }
    let input = Input {
        names,
        with_decryption: true,
    };
    client.call(operation("GetParameters"), &input).await
}

/// Reads one parameter, decrypted.
///
/// # Errors
/// [`AwsError`]; `ParameterNotFound` or `ParameterVersionNotFound` if there is none.
pub async fn parameter(client: &AwsClient, name: &str) -> Result<Parameter, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        name: &'a str,
        with_decryption: bool,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        parameter: Parameter,
    }
    let input = Input {
        name,
        with_decryption: true,
    };
    let output: Output = client.call(operation("GetParameter"), &input).await?;
    Ok(output.parameter)
}

/// Stores an encrypted parameter (`SecureString`), over what is there. What does not fit into the standard tier
/// becomes one of the advanced tier.
///
/// # Errors
/// [`AwsError`].
pub async fn put_parameter(
    client: &AwsClient,
    name: &str,
    value: &Text,
    length: usize,
) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        name: &'a str,
        value: &'a Text,
        r#type: &'static str,
        overwrite: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        tier: Option<&'static str>,
    }
    let input = Input {
        name,
        value,
        r#type: "SecureString",
        overwrite: true,
        // Left out, the account's own setting decides, and an advanced parameter stays one.
        tier: (length > STANDARD_LIMIT).then_some("Advanced"),
    };
    let _: serde_json::Value = client.call(operation("PutParameter"), &input).await?;
    Ok(())
}

/// Deletes a parameter. Not repeated after a failure of which it is not known whether it came too late.
///
/// # Errors
/// [`AwsError`]; `ParameterNotFound` if there is none.
pub async fn delete_parameter(client: &AwsClient, name: &str) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        name: &'a str,
    }
    let operation = Operation {
        repeat: Repeat::OnlyUndone,
        ..operation("DeleteParameter")
    };
    let _: serde_json::Value = client.call(operation, &Input { name }).await?;
    Ok(())
}

fn operation(name: &'static str) -> Operation {
    Operation {
        service: Service::SystemsManager,
        name,
        repeat: Repeat::Safe,
    }
}
