//! `strongroom serve`: config → open → serve, readable in one function.

mod addresses;
mod doors;
mod key_sources;

pub(crate) use addresses::Urls;
pub(crate) use key_sources::open as open_key_sources;

use crate::admin::Admin;
use crate::backup::source::Source;
use crate::client::Surroundings;
use crate::config::{self, Config};
use crate::dev::DevVault;
use crate::log_file::LogFile;
use crate::notify::Notify;
use crate::process::start_logging;
use crate::stores::{self, Stores};
use crate::system_now;
use addresses::{Listeners, write_ready_file};
use clap::Args;
use doors::Doors;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use strongroom::{Rules, Vault};
use strongroom_api::Api;
use strongroom_core::stream::RUN_BYTES_MAX;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
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
        let hangup = signal(SignalKind::hangup())?;
        let dev = self.dev.then(|| DevVault::create(around)).transpose()?;
        let path = match &dev {
            Some(dev) => dev.config_file(),
            None => config::find_required(find)?,
        };
        let config = config::load_to_serve(&path, overrides, self.behind_proxy)?;
        let log = start_logging(&config)?;
        let listeners = Listeners::bind(&config)?;
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
    let keys = Arc::new(key_sources::open(config)?);
    let source = Arc::new(Source::new(&opened, config, begun.config_file));
    let api = Api::new(
        Arc::clone(&opened.vault),
        Arc::clone(&keys),
        Arc::clone(&opened.clock),
        doors::api_config(config, &listeners.api)?,
        &mut rand_core::UnwrapErr(getrandom::SysRng),
    );

    let (stop, stopping) = watch::channel(false);
    let connections = TaskTracker::new();
    let doors = Doors::new(config, begun.behind_proxy, listeners)?;
    doors.open(
        Arc::new(api),
        opened.objects.router(),
        &stopping,
        &connections,
    );
    let mut background = JoinSet::new();
    let clock = Arc::clone(&opened.clock);
    background.spawn(async move { keys.run(&*clock).await });
    background.spawn(sweep_forever(
        Arc::clone(&opened.vault),
        config.sweep.every.0,
    ));
    let admin = begun
        .admin
        .map(|admin| tokio::spawn(admin.serve(source, stopping)));
    ready(&urls)?;
    notify.ready();
    tracing::info!(api = urls.api, s3 = urls.s3, "serving");

    stop_signal.received().await;
    tracing::info!("stopping");
    notify.stopping();
    // Whoever held the other ends is gone, which is what is asked for.
    let _ = stop.send(true);
    background.abort_all();
    connections.close();
    let drain = Duration::from_secs(config.shutdown_s);
    let drained = tokio::time::timeout(drain, connections.wait()).await;
    if drained.is_err() {
        let open = connections.len();
        tracing::warn!(open, "connections were cut after shutdown_s");
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
