//! What a server does besides answering: it hears signals and reads a renewed certificate.

use std::time::Duration;

use fnox_server::service::Service;
use fnox_server::tls::Certificate;

use crate::vault::running::{Asked, Signals};

/// How often the certificate's files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits for the signal that ends the server. A hang-up reads policy and certificate again, which also happens by
/// itself a moment after they change.
pub(crate) async fn until_the_end(
    mut signals: Signals,
    service: Service,
    certificate: Option<Certificate>,
) {
    let mut look = tokio::time::interval(LOOK_AGAIN);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => {
                    tracing::info!("the server ends; requests that are under way are finished");
                    return;
                }
                Asked::Reload => {
                    service.reload_policy();
                    look_at(certificate.as_ref()).await;
                }
            },
            _ = look.tick(), if certificate.is_some() => look_at(certificate.as_ref()).await,
        }
    }
}

async fn look_at(certificate: Option<&Certificate>) {
    let Some(certificate) = certificate.cloned() else {
        return;
    };
    // The disk may be slow, and connections must not wait for it.
    let looked = tokio::task::spawn_blocking(move || certificate.reload_if_changed()).await;
    match looked {
        Ok(Some(Ok(()))) => tracing::info!("the certificate was read again"),
        Ok(Some(Err(error))) => {
            tracing::error!(%error, "the new certificate cannot be used; the one before it stays in use");
        }
        Ok(None) | Err(_) => {}
    }
}
