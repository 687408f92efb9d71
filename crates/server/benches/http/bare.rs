//! The plain limit: the same HTTP library, and an answer of the same size that costs nothing.

use std::io::Read as _;

use axum::Router;
use axum::routing::post;
use serde_json::json;

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", json!({"address": listener.local_addr().unwrap().to_string()}));
        let answer = json!({"secrets": [{
            "key": "FREE_TOKEN", "version": 1, "ciphertext": "x".repeat(400), "recipients": ["y".repeat(62)],
        }]});
        let router = Router::new().route("/v1/fetch", post(async move || axum::Json(answer)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
            .await
            .unwrap()
            .unwrap();
    });
}
