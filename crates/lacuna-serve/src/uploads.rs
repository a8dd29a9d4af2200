//! Slots for reading bodies. Each body is held in memory, so the slots are limited, in all and per client.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::Client;
use crate::lock::lock;
use crate::problem::{Code, Problem};

/// All slots.
pub struct Uploads {
    places: Semaphore,
    per_client: usize,
    held: Mutex<HashMap<Client, usize>>,
}

/// A slot, released when dropped.
pub struct Place<'a> {
    uploads: &'a Uploads,
    client: Client,
    permit: Option<SemaphorePermit<'a>>,
}

impl Uploads {
    /// `places` slots in all, of which one client may hold `per_client`.
    pub fn new(places: usize, per_client: usize) -> Self {
        Self { places: Semaphore::new(places), per_client, held: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        lock(&self.held)
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// [`Code::ClientBusy`] if the client holds all its slots, [`Code::Stopping`] during shutdown.
    pub async fn place(&self, client: Client) -> Result<Place<'_>, Problem> {
        // A waiting client's slot counts, and is released if it disconnects while waiting.
        let mut place = self.claim(client)?;
        let permit = self.places.acquire().await;
        place.permit = Some(permit.map_err(|_| Problem::new(Code::Stopping, "the server is shutting down"))?);
        Ok(place)
    }

    fn claim(&self, client: Client) -> Result<Place<'_>, Problem> {
        let mut held = self.lock();
        let count = held.entry(client).or_default();
        if *count >= self.per_client {
            let detail = format!("{count} requests of this client are being read, which is the limit");
            return Err(Problem { retry_after: Some(1), ..Problem::new(Code::ClientBusy, detail) });
        }
        *count += 1;
        Ok(Place { uploads: self, client, permit: None })
    }

    /// Stops assigning slots.
    pub fn close(&self) {
        self.places.close();
    }

    /// Whether slots are no longer assigned.
    pub fn is_closed(&self) -> bool {
        self.places.is_closed()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut held = self.uploads.lock();
        if let Some(count) = held.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[tokio::test]
    async fn no_client_takes_all_places() {
        let client = |last: u8| Client::from(IpAddr::from([10, 0, 0, last]));
        let uploads = Uploads::new(3, 2);
        let first = uploads.place(client(1)).await.unwrap();
        let _second = uploads.place(client(1)).await.unwrap();
        assert_eq!(uploads.place(client(1)).await.err().unwrap().code, Code::ClientBusy);
        let _other = uploads.place(client(2)).await.unwrap();
        drop(first);
        let _again = uploads.place(client(1)).await.unwrap();
        // All slots are taken: a client that disconnects while waiting leaves no trace.
        let waits = tokio::time::timeout(std::time::Duration::ZERO, uploads.place(client(3))).await;
        assert!(waits.is_err());
        assert_eq!(uploads.lock().get(&client(3)), None);
        uploads.close();
        assert_eq!(uploads.place(client(3)).await.err().unwrap().code, Code::Stopping);
    }
}
