//! From a frame to an answer.
//!
//! The frame is read at once, while its bytes are there; what follows owns everything it needs, so that it can go on
//! when the connection is gone. The role is looked at before the parameters: whoever may not call a method
//! learns nothing about its parameters either.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fnox_vault_wire::envelope::{RequestRef, Response};
use fnox_vault_wire::frame;
use fnox_vault_wire::methods::{
    AccessSecret, Accessed, AskApproval, AuditCheckpoint, AuditQuery, AuditVerify, AwaitApproval,
    BackedUp, Backup, Call, CloseSession, CreateToken, DecideApproval, DeleteSecret, Done,
    GetMetadata, Health, KeyRewrap, KeyRotate, KeyStatus, ListApprovals, ListLeases, ListSecrets,
    ListTokens, Method, OpenSession, PolicyExplain, PolicyReload, PruneSecrets, Pruned,
    RecordRequests, RenewLease, RequestLease, ReturnUse, RevokeAllForAgent, RevokeLease,
    RevokeLeases, RevokeToken, RevokedCount, StoreSecret, Subscribe, TakeBackApproval, TokenList,
    TokenRevoked, UpdateSecret, Whoami,
};
use fnox_vault_wire::{Code, LeaseId, SecretValue, WireError};
use futures_util::future::BoxFuture;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroize as _;

use super::Shared;
use super::connection::Caller;
use crate::error::VaultError;

/// A whole frame, ready to be written. One with a secret is overwritten in the end.
pub(super) struct Reply {
    pub frame: Vec<u8>,
    /// Overwriting all others too would cost as much as making them.
    pub is_secret: bool,
    /// The lease whose use counts only if a byte of this is delivered.
    pub spends: Option<LeaseId>,
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.is_secret {
            self.frame.zeroize();
        }
    }
}

/// A request that was read.
pub(super) struct Job {
    pub id: Uuid,
    /// Whether it may take longer than a request usually may.
    pub is_long: bool,
    pub work: BoxFuture<'static, Reply>,
}

/// An answer before it is written down.
struct Answer<R> {
    result: R,
    spends: Option<LeaseId>,
}

impl<R> From<R> for Answer<R> {
    fn from(result: R) -> Self {
        Self {
            result,
            spends: None,
        }
    }
}

/// Reads a frame.
pub(super) fn read(shared: &Arc<Shared>, caller: &Arc<Caller>, frame: &[u8]) -> Job {
    let request = match RequestRef::parse(frame) {
        Ok(request) => request,
        Err(malformed) => {
            let text = format!("this is not a request with id, method and params: {malformed}");
            let reply = failure(Uuid::nil(), WireError::new(Code::InvalidRequest, text));
            return Job {
                id: Uuid::nil(),
                is_long: false,
                work: Box::pin(async { reply }),
            };
        }
    };
    let Some(method) = Method::parse(&request.method) else {
        let named: String = request.method.escape_debug().take(64).collect();
        let error = WireError::new(
            Code::InvalidRequest,
            format!("the method `{named}` is not known"),
        );
        let reply = failure(request.id, error);
        return Job {
            id: request.id,
            is_long: false,
            work: Box::pin(async { reply }),
        };
    };
    let is_long = matches!(
        method,
        Method::KeyRotate | Method::KeyRewrap | Method::AuditVerify | Method::Backup
    );
    Job {
        id: request.id,
        is_long,
        work: work(shared, caller, method, &request),
    }
}

fn work(
    shared: &Arc<Shared>,
    caller: &Arc<Caller>,
    method: Method,
    request: &RequestRef<'_>,
) -> BoxFuture<'static, Reply> {
    let of = Context {
        shared,
        caller,
        request,
    };
    match method {
        Method::RequestLease => of.call(|s, c, p: RequestLease| async move {
            s.engine
                .request_lease(&c.identity, &p)
                .await
                .map(Answer::from)
        }),
        Method::AccessSecret => of.call(|s, c, p: AccessSecret| async move {
            let delivered = s.engine.access_secret(&c.identity, &p).await?;
            c.spent.note(delivered.lease);
            Ok(Answer {
                result: Accessed {
                    secret: SecretValue(delivered.secret),
                },
                spends: Some(delivered.lease),
            })
        }),
        Method::RenewLease => of.call(|s, c, p: RenewLease| async move {
            s.engine
                .renew_lease(&c.identity, &p)
                .await
                .map(Answer::from)
        }),
        Method::RevokeLease => of.call(|s, c, p: RevokeLease| async move {
            s.engine
                .revoke_lease(&c.identity, &p)
                .await
                .map(|()| Done {}.into())
        }),
        Method::RevokeAllForAgent => of.call(|s, c, p: RevokeAllForAgent| async move {
            s.engine
                .revoke_all_for_agent(&c.identity, &p.agent)
                .await
                .map(revoked)
        }),
        Method::RevokeLeases => of.call(|s, c, p: RevokeLeases| async move {
            s.engine.revoke_leases(&c.identity, &p).await.map(revoked)
        }),
        Method::ListLeases => of.call(|s, c, p: ListLeases| async move {
            s.engine
                .list_leases(&c.identity, &p)
                .await
                .map(Answer::from)
        }),
        _ => keeping(&of, method),
    }
}

fn keeping(of: &Context<'_>, method: Method) -> BoxFuture<'static, Reply> {
    match method {
        Method::StoreSecret => of.call(|s, c, p: StoreSecret| async move {
            s.engine
                .store_secret(&c.identity, p)
                .await
                .map(Answer::from)
        }),
        Method::UpdateSecret => of.call(|s, c, p: UpdateSecret| async move {
            s.engine
                .update_secret(&c.identity, p)
                .await
                .map(Answer::from)
        }),
        Method::DeleteSecret => of.call(|s, c, p: DeleteSecret| async move {
            s.engine
                .delete_secret(&c.identity, &p.name)
                .await
                .map(|()| Done {}.into())
        }),
        Method::ListSecrets => of.call(|s, c, p: ListSecrets| async move {
            s.engine
                .list_secrets(&c.identity, p.after.as_deref(), p.limit)
                .await
                .map(Answer::from)
        }),
        Method::SecretMetadataOf => of.call(|s, _, p: GetMetadata| async move {
            s.engine.secret_metadata(&p.name).await.map(Answer::from)
        }),
        Method::PruneSecrets => of.call(|s, c, p: PruneSecrets| async move {
            s.engine
                .prune_secrets(&c.identity, &p)
                .await
                .map(|versions| Pruned { versions }.into())
        }),
        _ => administration(of, method),
    }
}

fn administration(of: &Context<'_>, method: Method) -> BoxFuture<'static, Reply> {
    match method {
        Method::Whoami => of.call(|_, c, _: Whoami| async move { Ok(c.whoami().into()) }),
        Method::Health => {
            of.call(|s, c, _: Health| async move { Ok(s.engine.health(&c.identity).await.into()) })
        }
        Method::OpenSession => of.call(|s, c, p: OpenSession| async move {
            s.engine
                .open_session(&c.identity, p)
                .await
                .map(Answer::from)
        }),
        Method::CloseSession => of.call(|s, c, p: CloseSession| async move {
            s.engine.close_session(&c.identity, &p).await.map(revoked)
        }),
        Method::RecordRequests => of.call(|s, c, p: RecordRequests| async move {
            let recorded = s.engine.record_requests(&c.identity, p).await;
            recorded.map(|()| Done {}.into())
        }),
        Method::ReturnUse => of.call(|s, c, p: ReturnUse| async move {
            if !c.spent.take(p.lease_id) {
                let text = "this connection has spent no use of it that could be given back";
                return Err(VaultError::Invalid(text.to_owned()));
            }
            let returned = s.engine.unsent(&c.identity, p.lease_id).await;
            returned.map(|()| Done {}.into())
        }),
        Method::Subscribe => of.call(|_, c, _: Subscribe| async move {
            c.wants_events.store(true, Ordering::Release);
            Ok(Done {}.into())
        }),
        _ => asking(of, method),
    }
}

fn asking(of: &Context<'_>, method: Method) -> BoxFuture<'static, Reply> {
    match method {
        Method::AskApproval => of.call(|s, c, p: AskApproval| async move {
            s.engine
                .ask_approval(&c.identity, p)
                .await
                .map(Answer::from)
        }),
        Method::AwaitApproval => of.call(|s, c, p: AwaitApproval| async move {
            let mut stopping = s.stopping.clone();
            // A vault that ends waits for no person.
            let stops = async { drop(stopping.wait_for(|stops| *stops).await) };
            tokio::select! {
                state = s.engine.await_approval(&c.identity, p) => state.map(Answer::from),
                () = stops => Err(VaultError::ShuttingDown),
            }
        }),
        Method::TakeBackApproval => of.call(|s, c, p: TakeBackApproval| async move {
            let taken = s.engine.take_back_approval(&c.identity, p).await;
            taken.map(|()| Done {}.into())
        }),
        Method::ListApprovals => of.call(|s, _, p: ListApprovals| async move {
            s.engine.list_approvals(p).await.map(Answer::from)
        }),
        Method::DecideApproval => of.call(|s, c, p: DecideApproval| async move {
            let decided = s.engine.decide_approval(&c.identity, p).await;
            decided.map(|()| Done {}.into())
        }),
        _ => operation(of, method),
    }
}

fn operation(of: &Context<'_>, method: Method) -> BoxFuture<'static, Reply> {
    match method {
        Method::PolicyExplain => of.call(|s, c, p: PolicyExplain| async move {
            s.engine.policy_explain(&c.identity, &p).map(Answer::from)
        }),
        Method::PolicyReload => of.call(|s, c, _: PolicyReload| async move {
            s.engine.policy_reload(&c.identity).await.map(Answer::from)
        }),
        Method::AuditQuery => of.call(|s, c, p: AuditQuery| async move {
            s.engine.audit_query(&c.identity, p).await.map(Answer::from)
        }),
        Method::AuditVerify => of.call(|s, c, p: AuditVerify| async move {
            s.engine
                .audit_verify(&c.identity, &p.checkpoints)
                .await
                .map(Answer::from)
        }),
        Method::AuditCheckpoint => of.call(|s, _, _: AuditCheckpoint| async move {
            s.engine.audit_checkpoint().await.map(Answer::from)
        }),
        Method::CreateToken => of.call(|s, c, p: CreateToken| async move {
            s.engine
                .create_token(&c.identity, &p)
                .await
                .map(Answer::from)
        }),
        Method::ListTokens => of.call(|s, c, _: ListTokens| async move {
            s.engine
                .list_tokens(&c.identity)
                .await
                .map(|tokens| TokenList { tokens }.into())
        }),
        Method::RevokeToken => of.call(|s, c, p: RevokeToken| async move {
            let connections_closed = s.connections_of(p.id);
            let leases_revoked = s.engine.revoke_token(&c.identity, p.id).await?;
            Ok(TokenRevoked {
                leases_revoked,
                connections_closed,
            }
            .into())
        }),
        Method::KeyStatus => {
            of.call(
                |s, _, _: KeyStatus| async move { s.engine.key_status().await.map(Answer::from) },
            )
        }
        Method::KeyRotate => of.call(|s, c, p: KeyRotate| async move {
            s.engine.key_rotate(&c.identity, &p).await.map(Answer::from)
        }),
        Method::KeyRewrap => of.call(|s, c, p: KeyRewrap| async move {
            s.engine
                .key_rewrap(&c.identity, p.algorithm)
                .await
                .map(Answer::from)
        }),
        Method::Backup => of.call(|s, c, p: Backup| async move {
            backup(&s, &c, &p.path).await.map(|bytes| {
                BackedUp {
                    path: p.path,
                    bytes,
                }
                .into()
            })
        }),
        // Everything else was handled before.
        _ => {
            let error = WireError::new(Code::InvalidRequest, "the method is not known");
            let reply = failure(of.request.id, error);
            Box::pin(async { reply })
        }
    }
}

async fn backup(shared: &Shared, caller: &Caller, path: &str) -> Result<u64, VaultError> {
    let path = std::path::PathBuf::from(path);
    if !path.is_absolute() {
        return Err(VaultError::Invalid(
            "the backup's path must be absolute".to_owned(),
        ));
    }
    let Some(hook) = &shared.backup else {
        return Err(VaultError::Unsupported(
            "this store is not one file: back it up with its own tools (for PostgreSQL: pg_dump)"
                .to_owned(),
        ));
    };
    shared
        .engine
        .backup(&caller.identity, hook(path.clone()), &path)
        .await
}

fn revoked(revoked_count: u64) -> Answer<RevokedCount> {
    RevokedCount { revoked_count }.into()
}

/// What every call needs.
struct Context<'a> {
    shared: &'a Arc<Shared>,
    caller: &'a Arc<Caller>,
    request: &'a RequestRef<'a>,
}

impl Context<'_> {
    /// Reads the parameters now, and later checks the role, does the work and writes the answer down.
    fn call<P, F, W>(&self, handler: F) -> BoxFuture<'static, Reply>
    where
        P: Call + 'static,
        F: FnOnce(Arc<Shared>, Arc<Caller>, P) -> W + Send + 'static,
        W: Future<Output = Result<Answer<P::Result>, VaultError>> + Send + 'static,
    {
        let id = self.request.id;
        let params = self.request.params::<P>();
        let (shared, caller) = (Arc::clone(self.shared), Arc::clone(self.caller));
        Box::pin(async move {
            if let Err(error) = shared.engine.authorise(&caller.identity, P::METHOD).await {
                return failure(id, error.into());
            }
            let params = match params {
                Ok(params) => params,
                Err(error) => return failure(id, error),
            };
            match handler(shared, caller, params).await {
                Ok(answer) => written(id, P::METHOD, &answer),
                Err(error) => failure(id, error.into()),
            }
        })
    }
}

fn written<R: Serialize>(id: Uuid, method: Method, answer: &Answer<R>) -> Reply {
    let mut reply = Reply {
        frame: Vec::with_capacity(USUAL),
        is_secret: matches!(
            method,
            Method::AccessSecret | Method::CreateToken | Method::OpenSession
        ),
        spends: answer.spends,
    };
    let response = Response::new(id, Ok(&answer.result));
    if let Err(error) = frame::encode_into(&mut reply.frame, &response) {
        let text = format!("{error}; ask for less at once");
        return failure(id, WireError::new(Code::InvalidRequest, text));
    }
    reply
}

/// Most answers are no longer.
const USUAL: usize = 512;

/// A frame that says why not.
pub(super) fn failure(id: Uuid, error: WireError) -> Reply {
    let mut frame = Vec::with_capacity(USUAL);
    let response = Response::<()>::new(id, Err(error));
    if frame::encode_into(&mut frame, &response).is_err() {
        // invariant: an error's text is far shorter than a frame.
        frame.clear();
    }
    Reply {
        frame,
        is_secret: false,
        spends: None,
    }
}
