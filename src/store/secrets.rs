//! Secrets that all gateways on one store share: drawn by the first that needs one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Database;
use super::error::StoreError;
use super::sql::{Transaction, Value};

/// Secrets that were read once.
pub(super) type Secrets = Arc<Mutex<HashMap<&'static str, Arc<[u8]>>>>;

impl Database {
    /// The secret of this name, made of what `draw` gives if there is none. It stays the same as long
    /// as the store does.
    ///
    /// # Errors
    /// See [`StoreError`]; also when nothing could be drawn.
    pub async fn secret(
        &self,
        name: &'static str,
        draw: fn() -> Option<Vec<u8>>,
    ) -> Result<Arc<[u8]>, StoreError> {
        let known = self
            .secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some(secret) = known {
            return Ok(secret);
        }
        let drawn = draw().ok_or_else(|| StoreError::Failed("nothing can be drawn".to_owned()))?;
        let write = async move |transaction: &Transaction<'_>| {
            let put =
                "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing";
            transaction
                .execute(put, &[name.into(), Value::Bytes(&drawn)])
                .await?;
            let get = "select value from meta where name = $1";
            let row = transaction.first(get, &[name.into()]).await?;
            let secret = row.map(|mut row| row.bytes(0)).transpose()?;
            Ok(secret.unwrap_or_default())
        };
        let secret: Arc<[u8]> = self.write(self.deadline(), write).await?.into();
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(name, Arc::clone(&secret));
        Ok(secret)
    }
}
