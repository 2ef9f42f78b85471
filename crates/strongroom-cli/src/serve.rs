//! `strongroom serve`: config → open → serve, readable in one function.

mod addresses;

pub(crate) use addresses::Urls;

use crate::admin::Admin;
use crate::backup::source::Source;
use crate::client::Surroundings;
use crate::config::{self, Config, SessionSection};
use crate::dev::DevVault;
use crate::listener::{self, Limits};
use crate::log_file::LogFile;
use crate::notify::Notify;
use crate::process::start_logging;
use crate::stores::{self, Stores};
use crate::{system_now, transport};
use addresses::{Bound, Listeners, write_ready_file};
use anyhow::Context;
use clap::Args;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use strongroom::{Rules, Vault};
use strongroom_api::{Api, ApiConfig, Origin};
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_session::{KeySourceConfig, PublicKey, Verifier};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// What a connection may hold before it is judged; values are read in larger pieces, which costs
/// fewer system calls.
const API_READ_AHEAD_BYTES: usize = 32 * 1024;
const S3_READ_AHEAD_BYTES: usize = 384 * 1024;
/// Longest time from the start to the first sweep.
const FIRST_SWEEP: Duration = Duration::from_mins(1);

/// Run the vault
#[derive(Args)]
pub(crate) struct Serve {
    /// Run a throw-away vault with example commands; everything is removed at exit
    #[arg(long)]
    dev: bool,
    /// Speak plain HTTP beyond loopback too, to a proxy that brings TLS; the proxy must set
    /// x-forwarded-proto, and nobody but it may be able to reach the listeners
    #[arg(long, conflicts_with = "dev")]
    behind_proxy: bool,
    /// Write the listeners' addresses to this file, as JSON, once requests are served
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Serve {
    pub(crate) async fn run(
        self,
        find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
        overrides: &[(String, String)],
        around: &Surroundings,
    ) -> anyhow::Result<()> {
        // Before anything is made that a stop must remove.
        let mut stop = StopSignal::new()?;
        let hangup = signal(SignalKind::hangup())?;
        let dev = self.dev.then(|| DevVault::create(around)).transpose()?;
        let path = match &dev {
            Some(dev) => dev.config_file(),
            None => config::find_required(find)?,
        };
        let config = config::load(&path, overrides)?;
        config.check_listeners(self.behind_proxy)?;
        let log = start_logging(&config)?;
        let listeners = Listeners::bind(&config).await?;
        let stores = stores::open(&config, &listeners.s3.url, system_now)?;
        let admin = Admin::bind(&config)?;
        let notify = Notify::new(around.notify_socket.as_deref());
        let begun = Begun {
            behind_proxy: self.behind_proxy,
            config_file: path,
            listeners,
            stores,
            admin,
        };
        let served = serve(&config, begun, &mut stop, &notify, |urls| {
            if let Some(dev) = &dev {
                dev.announce(urls)?;
            }
            self.ready_file
                .as_deref()
                .map_or(Ok(()), |file| write_ready_file(file, urls))
        });
        tokio::select! {
            served = served => served,
            never = reopen_at(hangup, log.as_ref()) => match never {},
        }
    }
}

/// What is bound and open before anything is served.
struct Begun {
    behind_proxy: bool,
    config_file: PathBuf,
    listeners: Listeners,
    stores: Stores,
    admin: Option<Admin>,
}

/// Opens the log's file anew at each hangup; without one the signal is taken and does nothing.
async fn reopen_at(mut hangup: Signal, log: Option<&LogFile>) -> Infallible {
    loop {
        if hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        if let Some(log) = log {
            log.reopen();
        }
    }
}

async fn serve(
    config: &Config,
    begun: Begun,
    stop_signal: &mut StopSignal,
    notify: &Notify<'_>,
    ready: impl FnOnce(&Urls) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let listeners = begun.listeners;
    let urls = listeners.urls();
    let opened = Arc::new(begun.stores.open_vault(rules(config)).await?);
    let verifier = Arc::new(open_verifier(config)?);
    let s3_router = transport::told(opened.objects.router(), begun.behind_proxy);
    let source = Arc::new(Source::new(&opened, config, begun.config_file));
    let api = Api::new(
        Arc::clone(&opened.vault),
        verifier,
        Arc::clone(&opened.clock),
        api_config(config, &urls)?,
        &mut rand_core::UnwrapErr(getrandom::SysRng),
    );

    let (stop, stopping) = watch::channel(false);
    let connections = TaskTracker::new();
    let accept = |bound: Bound, router, limits| {
        tokio::spawn(listener::accept(
            bound.tcp,
            bound.tls,
            router,
            limits,
            stopping.clone(),
            connections.clone(),
        ))
    };
    accept(
        listeners.api,
        strongroom_api::router(Arc::new(api)),
        api_limits(config),
    );
    accept(listeners.s3, s3_router, s3_limits(config));
    let sweeping = tokio::spawn(sweep_forever(
        Arc::clone(&opened.vault),
        config.sweep.every.0,
    ));
    let admin = begun
        .admin
        .map(|admin| tokio::spawn(admin.serve(source, stopping.clone())));
    ready(&urls)?;
    notify.ready();
    tracing::info!(api = urls.api, s3 = urls.s3, "serving");

    stop_signal.received().await;
    tracing::info!("stopping");
    notify.stopping();
    // Whoever held the other ends is gone, which is what is asked for.
    let _ = stop.send(true);
    sweeping.abort();
    connections.close();
    let drain = Duration::from_secs(config.shutdown_s);
    if tokio::time::timeout(drain, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "connections were cut after shutdown_s"
        );
    }
    if let Some(admin) = admin {
        // A panic in it was reported by itself.
        let _ = admin.await;
    }
    opened.close().await
}

/// Ctrl-C, or a polite request to end.
struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn sweep_forever(vault: Arc<Vault>, every: Duration) {
    // Not at once: a vault that has just started has better things to do than to walk its records.
    let start = tokio::time::Instant::now() + every.min(FIRST_SWEEP);
    let mut timer = tokio::time::interval_at(start, every);
    loop {
        timer.tick().await;
        match vault.sweep().await {
            Ok(swept) => tracing::debug!(?swept, "sweep done"),
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(
                    error = format!("{error:#}"),
                    "sweep failed; it is tried again"
                );
            }
        }
    }
}

fn open_verifier(config: &Config) -> anyhow::Result<Verifier> {
    let mut sources = Vec::new();
    for source in &config.key_source {
        let mut keys = Vec::new();
        for file in &source.public_key_files {
            let path = config.path(file);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let key = PublicKey::from_pem(&text)
                .or_else(|error| PublicKey::from_pkcs1_base64(text.trim()).map_err(|_| error));
            keys.push(key.with_context(|| path.display().to_string())?);
        }
        sources.push(KeySourceConfig {
            name: source.name.clone(),
            keys,
            subjects: source
                .subjects
                .iter()
                .map(|subject| (*subject).into())
                .collect(),
            iss: source.iss.clone(),
            aud: source.aud.clone(),
        });
    }
    Verifier::new(sources, session_rules(&config.session)).context("key_source")
}

fn session_rules(session: &SessionSection) -> strongroom_session::Rules {
    strongroom_session::Rules {
        leeway_s: session.leeway.0.as_secs(),
        allow_unbounded: session.allow_unbounded,
        lifetime_max_s: session.lifetime_max.0.as_secs(),
        cache_max: session.cache_max,
        jwt_bytes_max: session.jwt_bytes_max.as_usize(),
    }
}

pub(crate) fn rules(config: &Config) -> Rules {
    let secs = |span: config::Span| u32::try_from(span.0.as_secs()).unwrap_or(u32::MAX);
    Rules {
        grant_default_ms: config.grants.default.millis(),
        grant_max_ms: config.grants.max.millis(),
        upload_life_s: secs(config.urls.upload),
        download_life_s: secs(config.urls.download),
        metadata_bytes_max: config.tokens.metadata_bytes_max.as_usize(),
        // A value is one upload, which has less room than an object of many parts.
        object_bytes_max: config.s3.object_bytes_max.0.min(RUN_BYTES_MAX),
        token_life_ms: config.tokens.lifetime.millis(),
        claim_grace_ms: config.sweep.claim_grace.millis(),
    }
}

fn api_config(config: &Config, urls: &Urls) -> anyhow::Result<ApiConfig> {
    Ok(ApiConfig {
        own_origin: Origin::of(&urls.api).context("api.public_url")?,
        body_bytes_max: config.api.body_bytes_max.as_usize(),
        body_time_max: config.api.body_time_max.0,
    })
}

fn api_limits(config: &Config) -> Limits {
    Limits {
        header_time_max: config.api.header_time_max.0,
        write_idle_max: config.api.write_idle_max.0,
        read_ahead_bytes: API_READ_AHEAD_BYTES,
        connections_max: config.api.connections_max,
    }
}

fn s3_limits(config: &Config) -> Limits {
    Limits {
        header_time_max: config.s3.header_time_max.0,
        write_idle_max: config.s3.write_idle_max.0,
        read_ahead_bytes: S3_READ_AHEAD_BYTES,
        connections_max: config.s3.connections_max,
    }
}
