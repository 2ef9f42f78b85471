//! What the vault is measured against: the least an HTTP server can do on the same stack.
//!
//! `echo` is one POST route behind `axum::serve`, JSON in and out, no layers. `bulk` takes and
//! gives streams through AES-256-GCM in 64 KiB chunks and touches no disk, but for `/floor`, which
//! keeps what it takes. It must not know the vault.

mod floor;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as RoutePath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::BytesMut;
use clap::{Parser, Subcommand};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Bytes that are sealed at a time, the same as the vault's chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// The bare servers that the vault is compared with.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    server: Server,
    /// Gets the address as JSON, `{"api":"HOST:PORT"}`, once the server listens.
    #[arg(long, global = true)]
    ready_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Server {
    /// One POST route, JSON in and out.
    Echo,
    /// PUT /sink seals and forgets, PUT /floor seals and stores, GET /source/BYTES opens and sends.
    Bulk {
        /// The file that PUT /floor makes; it must not be there.
        #[arg(long)]
        floor: PathBuf,
    },
}

/// The body of a detokenize request, and of the echo's answer.
#[derive(Serialize, Deserialize)]
struct Echo {
    #[serde(rename = "tokenId")]
    token_id: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen")?;
    if let Some(path) = &arguments.ready_file {
        announce(
            path,
            &format!("{{\"api\":\"{}\"}}\n", listener.local_addr()?),
        )?;
    }
    let router = match arguments.server {
        Server::Echo => Router::new().route("/echo", post(echo)),
        Server::Bulk { floor } => Router::new()
            .route("/sink", put(sink))
            .route("/floor", put(store))
            .route("/source/{bytes}", get(source))
            .with_state(floor.into()),
    };
    axum::serve(listener, router)
        .await
        .context("the server stopped")
}

/// Written beside and renamed, so that a reader never sees half a file.
fn announce(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

async fn echo(body: Bytes) -> Response {
    let Ok(said) = serde_json::from_slice::<Echo>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match serde_json::to_vec(&said) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A fixed key: nothing here is secret, only the work counts.
fn key() -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, &[7; 32])
        .ok()
        .map(LessSafeKey::new)
}

fn nonce(chunk: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&chunk.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

async fn sink(body: Body) -> StatusCode {
    match seal_all(body).await {
        Some(_) => StatusCode::OK,
        None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn store(State(path): State<Arc<Path>>, body: Body) -> StatusCode {
    let stored = match key() {
        Some(key) => floor::store(&path, key, body).await,
        None => None,
    };
    match stored {
        Some(_) => StatusCode::OK,
        None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Seals the body chunk by chunk and counts the chunks.
async fn seal_all(body: Body) -> Option<u64> {
    let key = key()?;
    let mut frames = body.into_data_stream();
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    let mut sealed = 0;
    while let Some(frame) = frames.next().await {
        let mut rest = frame.ok()?;
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(CHUNK_BYTES - chunk.len()));
            chunk.extend_from_slice(&part);
            if chunk.len() == CHUNK_BYTES {
                seal(&key, &mut chunk, &mut sealed)?;
            }
        }
    }
    if !chunk.is_empty() {
        seal(&key, &mut chunk, &mut sealed)?;
    }
    Some(sealed)
}

fn seal(key: &LessSafeKey, chunk: &mut BytesMut, sealed: &mut u64) -> Option<()> {
    let tag = key
        .seal_in_place_separate_tag(nonce(*sealed), Aad::empty(), chunk)
        .ok()?;
    // Without a use of the result the compiler might drop the work.
    let _ = std::hint::black_box((tag, &chunk));
    chunk.clear();
    *sealed += 1;
    Some(())
}

async fn source(RoutePath(bytes): RoutePath<u64>) -> Response {
    let Some(key) = key() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut plain = vec![0; CHUNK_BYTES];
    if key
        .seal_in_place_append_tag(nonce(0), Aad::empty(), &mut plain)
        .is_err()
    {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let sealed = plain;
    let chunks = bytes.div_ceil(CHUNK_BYTES as u64);
    let parts = (0..chunks).map(move |index| {
        let left = bytes - index * CHUNK_BYTES as u64;
        Ok::<_, Infallible>(open(
            &key,
            &sealed,
            usize::try_from(left).unwrap_or(CHUNK_BYTES),
        ))
    });
    let headers = [(header::CONTENT_LENGTH, bytes)];
    (headers, Body::from_stream(stream::iter(parts))).into_response()
}

/// Opens a copy of the sealed chunk, as a server does that has just read it.
fn open(key: &LessSafeKey, sealed: &[u8], bytes_max: usize) -> Bytes {
    let mut copy = sealed.to_vec();
    let length = key
        .open_in_place(nonce(0), Aad::empty(), &mut copy)
        .map_or(0, |plain| plain.len());
    copy.truncate(length.min(bytes_max));
    copy.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sink_seals_every_byte_in_chunks_of_64_kib() {
        let body = Body::from(vec![1; 2 * CHUNK_BYTES + 1]);
        assert_eq!(seal_all(body).await, Some(3));
    }

    #[tokio::test]
    async fn source_sends_exactly_the_bytes_asked_for() {
        let answer = source(RoutePath(CHUNK_BYTES as u64 + 5)).await;
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
            .await
            .unwrap();
        assert_eq!(body.len(), CHUNK_BYTES + 5);
        assert!(body.iter().all(|byte| *byte == 0));
    }

    #[tokio::test]
    async fn echo_answers_what_was_said() {
        let answer = echo(Bytes::from_static(br#"{"tokenId":"a"}"#)).await;
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(&body[..], br#"{"tokenId":"a"}"#);
        let refused = echo(Bytes::from_static(b"no")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    }
}
