//! The two listeners as the configuration wants them: names, limits, and who is let in.

use super::addresses::{Bound, Listeners};
use crate::config::{self, Config};
use crate::listener::{self, Door, Limits, Peers};
use crate::transport::{self, Told};
use anyhow::Context;
use axum::Router;
use std::sync::Arc;
use strongroom_api::{Api, ApiConfig, Front, Origin, Simple};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Values are read in larger pieces than headers, which costs fewer system calls.
const S3_READ_AHEAD_BYTES: usize = 384 * 1024;

/// Both listeners, bound and not yet served.
pub(super) struct Doors {
    api: Door,
    api_told: Told,
    s3: Door,
    s3_told: Told,
}

impl Doors {
    pub(super) fn new(
        config: &Config,
        behind_proxy: bool,
        listeners: Listeners,
    ) -> anyhow::Result<Self> {
        let Listeners { api, s3 } = listeners;
        let (api_names, s3_names) = (&config.api.host_names, &config.s3.host_names);
        Ok(Self {
            api_told: Told::new(api.names(api_names)?, config.api.hsts_max_age.0),
            s3_told: Told::new(s3.names(s3_names)?, config.s3.hsts_max_age.0),
            api: door(config, behind_proxy, api, api_limits(config))?,
            s3: door(config, behind_proxy, s3, s3_limits(config))?,
        })
    }

    /// Serves both until `stopping` turns true.
    pub(super) fn open(
        self,
        api: Arc<Api>,
        s3_router: Router,
        stopping: &watch::Receiver<bool>,
        connections: &TaskTracker,
    ) {
        let front = Arc::new(Front::new(api));
        let for_unreadable = Arc::clone(&front);
        let api_door = Door {
            unreadable: Some(Arc::new(move |status| for_unreadable.unreadable(status))),
            ..self.api
        };
        let strict = self.api_told.strict;
        let open_api = move |connection| {
            transport::strict(front.service(connection), connection, strict.clone())
        };
        let s3_door = Door {
            unreadable: Some(Arc::new(strongroom_objects::unreadable)),
            ..self.s3
        };
        let told = Arc::new(self.s3_told);
        let open_s3 =
            move |connection| transport::object_store(s3_router.clone(), &told, connection);
        let (stop, tasks) = (stopping.clone(), connections.clone());
        tokio::spawn(listener::accept(api_door, open_api, stop, tasks));
        let (stop, tasks) = (stopping.clone(), connections.clone());
        tokio::spawn(listener::accept(s3_door, open_s3, stop, tasks));
    }
}

fn door(config: &Config, behind_proxy: bool, bound: Bound, limits: Limits) -> anyhow::Result<Door> {
    let can_be_read = bound.tls.is_none() && !bound.address.ip().is_loopback();
    Ok(Door {
        peers: if can_be_read && behind_proxy {
            Peers::Proxies
        } else {
            Peers::All
        },
        tcp: bound.tcp,
        tls: bound.tls,
        limits,
        proxies: config::proxies(config)?,
        unreadable: None,
    })
}

pub(super) fn api_config(config: &Config, bound: &Bound) -> anyhow::Result<ApiConfig> {
    let api = &config.api;
    Ok(ApiConfig {
        own_origin: Origin::of(&bound.url).context("api.public_url")?,
        body_bytes_max: api.body_bytes_max.as_usize(),
        body_time_max: api.body_time_max.0,
        host_names: bound.names(&api.host_names)?,
        proxies: config::proxies(config)?,
        headers_max: api.headers_max,
        uri_bytes_max: api.uri_bytes_max.as_usize(),
        requests_max: api.requests_max,
        queue_time_max: api.queue_time_max.0,
        docs: api.docs,
        simple: if config.simple.enabled {
            Simple::Served
        } else {
            Simple::Absent
        },
    })
}

fn api_limits(config: &Config) -> Limits {
    let api = &config.api;
    Limits {
        handshake_time_max: api.handshake_time_max.0,
        handshakes_max: api.handshakes_max,
        header_time_max: api.header_time_max.0,
        header_bytes_max: api.header_bytes_max.as_usize(),
        idle_max: api.idle_max.0,
        write_idle_max: api.write_idle_max.0,
        read_ahead_bytes: api.header_bytes_max.as_usize(),
        connections_max: api.connections_max,
        connections_per_client_max: api.connections_per_client_max,
    }
}

fn s3_limits(config: &Config) -> Limits {
    let s3 = &config.s3;
    Limits {
        handshake_time_max: s3.handshake_time_max.0,
        handshakes_max: s3.handshakes_max,
        header_time_max: s3.header_time_max.0,
        header_bytes_max: s3.header_bytes_max.as_usize(),
        idle_max: s3.idle_max.0,
        write_idle_max: s3.write_idle_max.0,
        read_ahead_bytes: S3_READ_AHEAD_BYTES.max(s3.header_bytes_max.as_usize()),
        connections_max: s3.connections_max,
        connections_per_client_max: s3.connections_per_client_max,
    }
}
