//! A store that fails on demand. It knows nothing of what it wraps.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    Admission, Error, GrantRow, Insert, RecordId, RecordStore, RevocationRow, Row, SessionRef,
    Swap, UnixMillis,
};

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The write is done, the answer is an error.
    Kept,
    /// The write is not done, the answer is an error.
    Lost,
}

/// Wraps a store and injects faults into its writes; reads pass.
pub struct Faulty {
    store: Arc<dyn RecordStore>,
    next: Mutex<Option<(u64, Fault)>>,
}

impl Faulty {
    /// Without a fault so far.
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self {
            store,
            next: Mutex::new(None),
        }
    }

    /// Lets the `nth` write from now on fail (0: the next one). Replaces a fault still pending.
    pub fn fail(&self, nth: u64, fault: Fault) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some((nth, fault));
    }

    fn due(&self) -> Option<Fault> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match next.take() {
            Some((0, fault)) => Some(fault),
            Some((nth, fault)) => {
                *next = Some((nth - 1, fault));
                None
            }
            None => None,
        }
    }

    async fn write<T>(
        &self,
        write: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        match self.due() {
            None => write.await,
            Some(Fault::Lost) => Err(Error::io("injected: failed and lost")),
            Some(Fault::Kept) => {
                write.await?;
                Err(Error::io("injected: failed and kept"))
            }
        }
    }
}

#[async_trait]
impl RecordStore for Faulty {
    async fn admit(&self, record: RecordId, session: SessionRef) -> Result<Admission, Error> {
        self.store.admit(record, session).await
    }

    async fn insert(&self, id: RecordId, row: Row) -> Result<Insert, Error> {
        self.write(self.store.insert(id, row)).await
    }

    async fn replace(&self, id: RecordId, expected_version: u64, row: Row) -> Result<Swap, Error> {
        self.write(self.store.replace(id, expected_version, row))
            .await
    }

    async fn put_grant(
        &self,
        id: RecordId,
        session: SessionRef,
        expected: Option<u64>,
        row: GrantRow,
    ) -> Result<Swap, Error> {
        self.write(self.store.put_grant(id, session, expected, row))
            .await
    }

    async fn charge(
        &self,
        id: RecordId,
        expected_version: u64,
        row: Row,
        session: SessionRef,
        expected_grant: u64,
        grant: GrantRow,
    ) -> Result<Swap, Error> {
        let charge = self
            .store
            .charge(id, expected_version, row, session, expected_grant, grant);
        self.write(charge).await
    }

    async fn put_revocation(&self, session: SessionRef, row: RevocationRow) -> Result<(), Error> {
        self.write(self.store.put_revocation(session, row)).await
    }

    async fn delete(&self, id: RecordId, expected_version: u64) -> Result<Swap, Error> {
        self.write(self.store.delete(id, expected_version)).await
    }

    async fn scan(
        &self,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Arc<Row>)>, Error> {
        self.store.scan(after, limit).await
    }

    async fn sweep(&self, now: UnixMillis, limit: usize) -> Result<u64, Error> {
        self.write(self.store.sweep(now, limit)).await
    }

    async fn mark(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.store.mark(name).await
    }

    async fn swap_mark(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Swap, Error> {
        self.write(self.store.swap_mark(name, expected, value))
            .await
    }

    async fn raise_kek_floor(&self, floor: u32) -> Result<(), Error> {
        self.write(self.store.raise_kek_floor(floor)).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.store.close().await
    }
}
