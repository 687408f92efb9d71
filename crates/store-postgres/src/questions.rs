//! Questions of gateways for people. As with leases, one statement both judges and changes, under the lock of the log's head.

use deadpool_postgres::ClientWrapper;
use fnox_core::AgentId;
use fnox_vault::store::{QuestionCaps, QuestionChange, QuestionRecord, Refusal, Said};
use fnox_vault_wire::ApprovalId;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::problem::{Failure, Trouble};
use crate::rows::{Unreadable, column, optional_word, word};
use crate::time;

/// All that are remembered, or the one that `$1` names. Those of a token that was withdrawn are not told.
pub(crate) const SELECT: &str = "
    SELECT id, agent, peer, request, asked_at, expires_at, decision, decided_by FROM fnox_vault.question AS question
    WHERE ($1::uuid IS NULL OR id = $1)
      AND NOT EXISTS (SELECT FROM fnox_vault.token WHERE revoked AND question.peer = 'token:' || token.id::text)
    ORDER BY id";

/// A row of it.
pub(crate) fn read(row: &Row) -> Result<QuestionRecord, Unreadable> {
    let decision = optional_word(row, "decision", |text| serde_json::from_str(text).ok())?;
    let by: Option<String> = column(row, "decided_by")?;
    Ok(QuestionRecord {
        id: ApprovalId(column::<Uuid>(row, "id")?),
        request: word(row, "request", |text| serde_json::from_str(text).ok())?,
        gateway: optional_word(row, "agent", |text| AgentId::parse(text).ok())?,
        peer: word(row, "peer", |text| text.parse().ok())?,
        asked_at: time::read(column(row, "asked_at")?),
        expires_at: time::read(column(row, "expires_at")?),
        said: decision.zip(by).map(|(decision, by)| Said { decision, by }),
    })
}

const ASK: &str = "
    WITH counted AS (
        SELECT (SELECT count(*) FROM fnox_vault.question WHERE decision IS NULL AND expires_at > $5
                AND peer = $3 AND agent IS NOT DISTINCT FROM $2) AS of_gateway,
               (SELECT count(*) FROM fnox_vault.question WHERE decision IS NULL AND expires_at > $5) AS in_all),
    dropped AS (DELETE FROM fnox_vault.question WHERE expires_at <= $5),
    made AS (
        INSERT INTO fnox_vault.question (id, agent, peer, request, asked_at, expires_at)
        SELECT $1, $2, $3, $4, $5, $6 FROM counted WHERE of_gateway < $7 AND in_all < $8
        RETURNING id)
    SELECT of_gateway, EXISTS (SELECT FROM made) AS made FROM counted";

/// Makes a change.
pub(crate) async fn apply(client: &ClientWrapper, change: &QuestionChange) -> Result<(), Trouble> {
    match change {
        QuestionChange::Ask { question, caps } => ask(client, question, *caps).await,
        QuestionChange::Answer { id, said, now } => {
            let sql = "UPDATE fnox_vault.question SET decision = $2, decided_by = $3
                       WHERE id = $1 AND decision IS NULL AND expires_at > $4";
            let decision = serde_json::to_string(&said.decision).map_err(no_json)?;
            let parameters: [&(dyn ToSql + Sync); 4] =
                [&id.0, &decision, &said.by, &time::stored(*now)];
            one(client, sql, &parameters, Refusal::Moved).await
        }
        QuestionChange::TakeBack { id } => {
            let sql = "DELETE FROM fnox_vault.question WHERE id = $1";
            one(client, sql, &[&id.0], Refusal::Missing).await
        }
    }
}

async fn ask(
    client: &ClientWrapper,
    question: &QuestionRecord,
    caps: QuestionCaps,
) -> Result<(), Trouble> {
    let statement = client.prepare_cached(ASK).await?;
    let request = serde_json::to_string(&question.request).map_err(no_json)?;
    let row = client
        .query_one(
            &statement,
            &[
                &question.id.0,
                &question.gateway.as_ref().map(AgentId::as_str),
                &question.peer.to_string(),
                &request,
                &time::stored(question.asked_at),
                &time::stored(question.expires_at),
                &i64::from(caps.per_gateway),
                &i64::from(caps.in_all),
            ],
        )
        .await?;
    if column(&row, "made")? {
        return Ok(());
    }
    let of_gateway: i64 = column(&row, "of_gateway")?;
    let (what, limit) = if of_gateway >= i64::from(caps.per_gateway) {
        (QuestionCaps::OF_GATEWAY, caps.per_gateway)
    } else {
        (QuestionCaps::IN_ALL, caps.in_all)
    };
    Err(Refusal::Cap { what, limit }.into())
}

/// A statement that changes one row or is refused.
async fn one(
    client: &ClientWrapper,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    otherwise: Refusal,
) -> Result<(), Trouble> {
    let statement = client.prepare_cached(sql).await?;
    if client.execute(&statement, parameters).await? == 0 {
        return Err(otherwise.into());
    }
    Ok(())
}

fn no_json(_: serde_json::Error) -> Failure {
    Failure::Corrupt("a question that is no JSON".to_owned())
}
