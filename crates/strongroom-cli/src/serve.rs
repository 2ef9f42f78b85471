//! `strongroom serve`: config → open → serve, readable in one function.

mod addresses;
mod doors;

pub(crate) use addresses::Urls;

use crate::client::Surroundings;
use crate::config::{self, Config, SessionSection};
use crate::dev::DevVault;
use crate::process::start_logging;
use crate::stores::{self, Stores};
use crate::system_now;
use addresses::{Listeners, write_ready_file};
use anyhow::Context;
use clap::Args;
use doors::Doors;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use strongroom::{Parts, Rules, Vault};
use strongroom_api::Api;
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_core::time::Clock;
use strongroom_records::RecordStore;
use strongroom_session::{KeySourceConfig, PublicKey, Verifier};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Longest time from the start to the first sweep.
const FIRST_SWEEP: Duration = Duration::from_mins(1);

/// Run the vault
#[derive(Args)]
pub(crate) struct Serve {
    /// Run a throw-away vault with example commands; everything is removed at exit
    #[arg(long)]
    dev: bool,
    /// Speak plain HTTP beyond loopback too, to `trusted_proxies` that bring TLS and to nobody
    /// else; they must set x-forwarded-proto
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
        let dev = self.dev.then(|| DevVault::create(around)).transpose()?;
        let path = match &dev {
            Some(dev) => dev.config_file(),
            None => config::find_required(find)?,
        };
        let config = config::load(&path, overrides)?;
        config.check_listeners(self.behind_proxy)?;
        start_logging(&config.log)?;
        let listeners = Listeners::bind(&config)?;
        let stores = stores::open(&config, &listeners.s3.url, system_now)?;
        let proxied = self.behind_proxy;
        let served = serve(&config, proxied, listeners, stores, &mut stop, |urls| {
            if let Some(dev) = &dev {
                dev.announce(urls)?;
            }
            self.ready_file
                .as_deref()
                .map_or(Ok(()), |file| write_ready_file(file, urls))
        });
        served.await
    }
}

async fn serve(
    config: &Config,
    behind_proxy: bool,
    listeners: Listeners,
    stores: Stores,
    stop_signal: &mut StopSignal,
    ready: impl FnOnce(&Urls) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let urls = listeners.urls();
    let Stores {
        keyring,
        audit,
        clock,
        records,
        objects,
        lock,
    } = stores;
    let clock: Arc<dyn Clock> = clock;
    let verifier = Arc::new(open_verifier(config)?);
    let s3_router = objects.router();
    let vault = Vault::open(Parts {
        keyring,
        records: Arc::clone(&records) as Arc<dyn RecordStore>,
        objects,
        audit: Arc::clone(&audit),
        clock: Arc::clone(&clock),
        rules: rules(config),
    });
    let vault = Arc::new(vault.await?);
    let api = Api::new(
        Arc::clone(&vault),
        verifier,
        clock,
        doors::api_config(config, &listeners.api)?,
        &mut rand_core::UnwrapErr(getrandom::SysRng),
    );

    let (stop, stopping) = watch::channel(false);
    let connections = TaskTracker::new();
    let doors = Doors::new(config, behind_proxy, listeners)?;
    doors.open(Arc::new(api), s3_router, &stopping, &connections);
    let sweeping = tokio::spawn(sweep_forever(Arc::clone(&vault), config.sweep.every.0));
    ready(&urls)?;
    tracing::info!(api = urls.api, s3 = urls.s3, "serving");

    stop_signal.received().await;
    tracing::info!("stopping");
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
    let closed = records.close().await;
    audit.close();
    drop(lock);
    closed.context("the record store could not be closed")
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

fn rules(config: &Config) -> Rules {
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
