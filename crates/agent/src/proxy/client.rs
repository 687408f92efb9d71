//! One connection of a program.

use std::time::Duration;

use fnox_vault_wire::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::Gateway;
use super::head::{Head, LIMIT, end_of};
use super::tunnels::{Place, Tunnels};
use crate::report::note;

/// How long a program may take for the head of its request.
const HEAD: Duration = Duration::from_secs(30);

/// Serves a program until it goes away, or the gateway does, or the tunnel is ended.
pub(super) async fn serve(mut stream: TcpStream, gateway: &Gateway, tunnels: &Tunnels) {
    // Small requests and answers must not wait for each other's acknowledgements.
    let _without_it_slower = stream.set_nodelay(true);
    let read = tokio::time::timeout(HEAD, read_head(&mut stream)).await;
    let (head, rest) = match read {
        Ok(Ok(Some(read))) => read,
        // It said nothing, or went away.
        Ok(Ok(None)) => return,
        Ok(Err(reason)) => return refuse(&mut stream, "400 Bad Request", reason).await,
        Err(_) => {
            let reason = "the request's head did not come in time";
            return refuse(&mut stream, "408 Request Timeout", reason).await;
        }
    };
    // Before connecting: a withdrawal in between must not be missed.
    let mut place = tunnels.open(&head.authority);
    let mut upstream = match gateway.connect().await {
        Ok(upstream) => upstream,
        Err(error) => {
            note(&error.to_string());
            return refuse(&mut stream, "502 Bad Gateway", &error.to_string()).await;
        }
    };
    let opening = head.with_authorization(gateway.authorization());
    let sent = async {
        upstream.write_all(&opening).await?;
        upstream.write_all(&rest).await
    };
    if let Err(error) = sent.await {
        let reason = format!("the gateway broke the connection off: {error}");
        return refuse(&mut stream, "502 Bad Gateway", &reason).await;
    }
    drop((opening, rest));
    carry(stream, upstream, &mut place).await;
}

/// A head, and what came behind it. None if nothing comes.
async fn read_head(
    stream: &mut TcpStream,
) -> Result<Option<(Head, Zeroizing<Vec<u8>>)>, &'static str> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    loop {
        match stream.read_buf(&mut *bytes).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        if let Some(end) = end_of(&bytes) {
            let rest = Zeroizing::new(bytes[end..].to_vec());
            return Head::parse(&bytes[..end]).map(|head| Some((head, rest)));
        }
        if bytes.len() > LIMIT {
            return Err("the request's head is longer than 64 KiB");
        }
    }
}

/// Both directions, until the gateway's ends. A program that has said everything may still listen.
async fn carry(mut stream: TcpStream, upstream: Stream, place: &mut Place) {
    let (mut from_gateway, mut to_gateway) = upstream.into_split();
    let ended = {
        let (mut from_program, mut to_program) = stream.split();
        let up = async {
            if copy(&mut from_program, &mut to_gateway).await.is_ok() {
                let _its_end_is_told = to_gateway.shutdown().await;
                std::future::pending::<()>().await;
            }
        };
        let down = async {
            let _either_way_it_is_over = copy(&mut from_gateway, &mut to_program).await;
        };
        tokio::select! {
            biased;
            () = place.ended() => true,
            () = down => false,
            () = up => false,
        }
    };
    if ended {
        // A reset: an answer that is cut off must not look like one that has ended.
        let _closed_all_the_same = stream.set_zero_linger();
    } else {
        let _gone_already = stream.shutdown().await;
    }
}

async fn refuse(stream: &mut TcpStream, status: &str, reason: &str) {
    let text = format!("fnox-agent: {reason}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let _nobody_may_be_there = stream.write_all(answer.as_bytes()).await;
    let _nor_now = stream.shutdown().await;
}
