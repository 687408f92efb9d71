//! Approvals as rows: how they are stored, and read back.

use fnox_api::{ApprovalItem, ApprovalStatus, Decision, DecisionView};
use uuid::Uuid;

use super::super::sql::{Row, SqlError, Transaction, Value};
use super::super::{ApprovalRecord, QuestionRecord, secrets};
use super::{NewApproval, place_of};

pub(super) async fn insert(
    transaction: &mut (dyn Transaction + '_),
    new: &NewApproval,
) -> Result<(), SqlError> {
    let approval = &new.approval;
    transaction
        .execute(
            "INSERT INTO approvals (id, status, project, profile, command_hash, command_display, reason, requester, \
             principal, binding, request, quiet, session, address, created_at, expires_at, approvals_needed, \
             approvers, code_key, question, wrong_codes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
             $13, $14, $15, $16, $17, $18, $19, $20, 0)",
            &[
                approval.id.into(),
                approval.status.as_str().into(),
                approval.project.as_str().into(),
                approval.profile.as_str().into(),
                approval.command_hash.as_str().into(),
                approval.command_display.as_str().into(),
                approval.reason.clone().into(),
                Value::json(&approval.requester)?,
                approval.requester.principal.as_str().into(),
                approval.binding.into(),
                new.request.into(),
                new.quiet.into(),
                approval.session.into(),
                approval.address.clone().into(),
                approval.created_at.into(),
                approval.expires_at.into(),
                approval.approvals_needed.into(),
                Value::json(&approval.approvers)?,
                approval.code_key.as_slice().into(),
                match &approval.question {
                    Some(question) => Value::json(question)?,
                    None => Value::Null,
                },
            ],
        )
        .await?;
    for (position, item) in (0_u32..).zip(&approval.items) {
        insert_item(transaction, approval, position, item).await?;
    }
    for decision in &approval.decisions {
        insert_decision(transaction, approval.id, decision).await?;
    }
    Ok(())
}

async fn insert_item(
    transaction: &mut (dyn Transaction + '_),
    approval: &ApprovalRecord,
    position: u32,
    item: &ApprovalItem,
) -> Result<(), SqlError> {
    let [project, profile, key] = secrets::keys(&place_of(approval, item));
    let known = transaction
        .number(
            "SELECT count(*) FROM released WHERE principal = $1 AND project = $2 AND profile = $3 AND key = $4 \
             AND version = $5",
            &[
                approval.requester.principal.as_str().into(),
                project,
                profile,
                key,
                item.version.into(),
            ],
        )
        .await?;
    let digest = hex::decode(&item.ciphertext_sha256)
        .map_err(|_| SqlError::Unfit("a digest that is not hex".to_owned()))?;
    transaction
        .execute(
            "INSERT INTO approval_items (approval, position, key, version, sha256, needs_approval, is_new) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                approval.id.into(),
                position.into(),
                item.key.as_str().into(),
                item.version.into(),
                digest.as_slice().into(),
                item.needs_approval.into(),
                (known == 0).into(),
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn insert_decision(
    transaction: &mut (dyn Transaction + '_),
    approval: Uuid,
    decision: &DecisionView,
) -> Result<(), SqlError> {
    transaction
        .execute(
            "INSERT INTO decisions (approval, decided_by, decision, decided_at, reason) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (approval, decided_by) DO UPDATE SET \
             decision = excluded.decision, decided_at = excluded.decided_at, reason = excluded.reason",
            &[
                approval.into(),
                decision.by.as_str().into(),
                decision.decision.as_str().into(),
                decision.at.into(),
                decision.reason.clone().into(),
            ],
        )
        .await?;
    Ok(())
}

/// An approval with its items and decisions.
pub(in crate::store) async fn load(
    transaction: &mut (dyn Transaction + '_),
    id: Uuid,
) -> Result<Option<ApprovalRecord>, SqlError> {
    let row = transaction
        .first(
            "SELECT id, status, project, profile, command_hash, command_display, reason, requester, binding, session, \
             address, created_at, expires_at, approvals_needed, approvers, code_key, wrong_codes, question, lasting \
             FROM approvals WHERE id = $1",
            &[id.into()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let items = transaction
        .query(
            "SELECT key, version, sha256, needs_approval, is_new FROM approval_items WHERE approval = $1 \
             ORDER BY position",
            &[id.into()],
        )
        .await?;
    let decisions = transaction
        .query(
            "SELECT decided_by, decision, decided_at, reason FROM decisions WHERE approval = $1 \
             ORDER BY decided_at, decided_by",
            &[id.into()],
        )
        .await?;
    record(&row, &items, &decisions).map(Some)
}

fn record(row: &Row, items: &[Row], decisions: &[Row]) -> Result<ApprovalRecord, SqlError> {
    let status = row.text(1)?;
    let short = |index: usize| u32::try_from(row.count(index)?).map_err(|_| gone());
    Ok(ApprovalRecord {
        id: row.id(0)?,
        status: ApprovalStatus::parse(&status)
            .ok_or_else(|| SqlError::Corrupt("an approval has an unknown status".to_owned()))?,
        question: question(row)?,
        project: row.text(2)?,
        profile: row.text(3)?,
        items: items.iter().map(item).collect::<Result<_, _>>()?,
        command_hash: row.text(4)?,
        command_display: row.text(5)?,
        reason: row.optional_text(6)?,
        requester: row.json(7)?,
        binding: row.digest(8)?,
        session: row.id(9)?,
        address: row.optional_text(10)?,
        created_at: row.time(11)?,
        expires_at: row.time(12)?,
        approvals_needed: short(13)?,
        approvers: row.json(14)?,
        code_key: row.bytes(15)?.try_into().map_err(|_| gone())?,
        wrong_codes: short(16)?,
        decisions: decisions.iter().map(decision).collect::<Result<_, _>>()?,
    })
}

fn question(row: &Row) -> Result<Option<QuestionRecord>, SqlError> {
    if row.optional_text(17)?.is_none() {
        return Ok(None);
    }
    let lasting = row.optional_integer(18)?.map(u32::try_from).transpose();
    Ok(Some(QuestionRecord {
        lasting: lasting.map_err(|_| gone())?,
        ..row.json(17)?
    }))
}

fn item(row: &Row) -> Result<ApprovalItem, SqlError> {
    Ok(ApprovalItem {
        key: row.text(0)?,
        version: row.count(1)?,
        ciphertext_sha256: hex::encode(row.digest(2)?),
        needs_approval: row.flag(3)?,
        is_new: row.flag(4)?,
    })
}

fn decision(row: &Row) -> Result<DecisionView, SqlError> {
    let word = row.text(1)?;
    let decision = [Decision::Approve, Decision::Deny]
        .into_iter()
        .find(|decision| decision.as_str() == word);
    Ok(DecisionView {
        by: row.text(0)?,
        decision: decision.ok_or_else(gone)?,
        at: row.time(2)?,
        reason: row.optional_text(3)?,
    })
}

pub(super) fn gone() -> SqlError {
    SqlError::Corrupt("an approval is not as it was stored".to_owned())
}
