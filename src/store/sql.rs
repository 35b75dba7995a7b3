//! One transaction on either engine, so that what is done in it is written once.
//!
//! Statements are in the SQL that SQLite and PostgreSQL have in common, with `$1`, `$2` for the
//! values and no other dollar sign. Columns hold integers of 64 bits, texts and bytes, or nothing.

use std::cell::{self, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

#[cfg(feature = "postgres")]
use futures::TryStreamExt as _;
#[cfg(feature = "postgres")]
use tokio_postgres::types::{self, IsNull, ToSql, to_sql_checked};

use super::error::StoreError;
use super::space::Pending;

/// A transaction that is open. It is committed if the work in it gives a result, and rolled back
/// if it gives an error.
pub struct Transaction<'t> {
    open: Open<'t>,
    deletes: cell::Cell<bool>,
    space: Pending,
}

enum Open<'t> {
    Sqlite(&'t rusqlite::Connection, &'t Numbered),
    #[cfg(feature = "postgres")]
    Postgres(&'t tokio_postgres::Transaction<'t>, &'t Statements),
}

/// Statements that a connection has prepared.
#[cfg(feature = "postgres")]
pub(super) type Statements = RefCell<HashMap<&'static str, tokio_postgres::Statement>>;

/// A value for a statement.
#[derive(Clone, Copy, Debug)]
pub enum Value<'v> {
    Null,
    Integer(i64),
    Text(&'v str),
    Bytes(&'v [u8]),
}

/// A row that was read. Columns are counted from 0.
#[derive(Debug)]
pub struct Row(Vec<Cell>);

#[derive(Debug)]
enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl<'t> Transaction<'t> {
    pub(super) fn sqlite(connection: &'t rusqlite::Connection, statements: &'t Numbered) -> Self {
        Self {
            open: Open::Sqlite(connection, statements),
            deletes: cell::Cell::new(false),
            space: Pending::default(),
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(
        transaction: &'t tokio_postgres::Transaction<'t>,
        statements: &'t Statements,
    ) -> Self {
        Self {
            open: Open::Postgres(transaction, statements),
            deletes: cell::Cell::new(false),
            space: Pending::default(),
        }
    }

    /// Remembers that a statement deletes, if it has changed anything.
    fn note(&self, sql: &str, has_changed: bool) {
        if has_changed && sql.starts_with("delete ") {
            self.deletes.set(true);
        }
    }

    /// Tells that an `update` has taken away what was kept, which counts as deleting it.
    pub(super) fn erases(&self) {
        self.deletes.set(true);
    }

    /// Whether anything was deleted in it.
    pub(super) fn has_deleted(&self) -> bool {
        self.deletes.get()
    }

    /// Whether the engine is PostgreSQL, for the few statements that differ.
    pub fn is_postgres(&self) -> bool {
        !matches!(self.open, Open::Sqlite(..))
    }

    /// What is to be counted of owners' space at its end, where that need not be written at once.
    pub(super) fn pending_space(&self) -> Option<&Pending> {
        (!self.is_postgres()).then_some(&self.space)
    }

    /// What follows a `select` of rows that nobody else may change before the transaction ends.
    /// SQLite has one writer, and needs nothing.
    pub fn for_update(&self) -> &'static str {
        match self.is_postgres() {
            true => " for update",
            false => "",
        }
    }

    /// The time on the store's clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn now_ms(&self) -> Result<i64, StoreError> {
        if !self.is_postgres() {
            return Ok(jiff::Timestamp::now().as_millisecond());
        }
        let sql = "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)";
        let row = self.first(sql, &[]).await?;
        let row = row.ok_or_else(|| StoreError::Failed("the store has no clock".to_owned()))?;
        row.integer(0)
    }

    /// Runs a statement that gives no rows; tells how many it has changed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn execute(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        match self.open {
            Open::Sqlite(connection, statements) => {
                let mut statement = connection.prepare_cached(&statements.of(sql))?;
                let changed = statement.execute(rusqlite::params_from_iter(values))?;
                self.note(sql, changed > 0);
                Ok(changed as u64)
            }
            #[cfg(feature = "postgres")]
            Open::Postgres(transaction, statements) => {
                let statement = prepared(transaction, statements, sql).await?;
                Ok(transaction.execute_raw(&statement, values).await?)
            }
        }
    }

    /// Runs a statement that gives no rows, once for each of these values and in their order. All of
    /// it takes PostgreSQL about as long as one way there and back.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn execute_each<const N: usize>(
        &self,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), StoreError> {
        match self.open {
            Open::Sqlite(connection, statements) => {
                let mut statement = connection.prepare_cached(&statements.of(sql))?;
                for row in rows {
                    statement.execute(rusqlite::params_from_iter(row))?;
                }
                Ok(())
            }
            #[cfg(feature = "postgres")]
            Open::Postgres(transaction, statements) => {
                let statement = prepared(transaction, statements, sql).await?;
                // All are sent before the first answer comes.
                let sent = rows
                    .iter()
                    .map(|row| transaction.execute_raw(&statement, row));
                futures::future::try_join_all(sent).await?;
                Ok(())
            }
        }
    }

    /// Runs a statement that gives rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn query(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        match self.open {
            Open::Sqlite(connection, statements) => {
                let mut statement = connection.prepare_cached(&statements.of(sql))?;
                let columns = statement.column_count();
                let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
                    let cells = (0..columns).map(|at| row.get_ref(at).map(Cell::of_sqlite));
                    cells.collect::<Result<_, _>>().map(Row)
                })?;
                let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
                self.note(sql, !rows.is_empty());
                Ok(rows)
            }
            #[cfg(feature = "postgres")]
            Open::Postgres(transaction, statements) => {
                // Its texts hold no NUL, so no row is meant.
                let has_nul =
                    |value: &Value<'_>| matches!(value, Value::Text(text) if text.contains('\0'));
                if values.iter().any(has_nul) {
                    return Ok(Vec::new());
                }
                let statement = prepared(transaction, statements, sql).await?;
                let values: Vec<&(dyn ToSql + Sync)> = values
                    .iter()
                    .map(|value| value as &(dyn ToSql + Sync))
                    .collect();
                let rows = transaction.query(&statement, &values).await?;
                rows.iter().map(Row::of_postgres).collect()
            }
        }
    }

    /// The first row of a statement, if it gives any.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn first(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// The first row of a statement, if it gives any, for each of these values. They are done in their
    /// order, and all of it takes PostgreSQL about as long as one way there and back.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn first_each<const N: usize>(
        &self,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        match self.open {
            Open::Sqlite(..) => {
                let mut found = Vec::with_capacity(rows.len());
                for row in rows {
                    found.push(self.first(sql, row).await?);
                }
                Ok(found)
            }
            #[cfg(feature = "postgres")]
            Open::Postgres(transaction, statements) => {
                let statement = prepared(transaction, statements, sql).await?;
                // All are sent before the first answer comes.
                let sent = rows.iter().map(async |row| {
                    let found = transaction.query_raw(&statement, row).await?;
                    let found: Vec<_> = found.try_collect().await?;
                    found.first().map(Row::of_postgres).transpose()
                });
                futures::future::try_join_all(sent).await
            }
        }
    }

    /// Runs several statements without values.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        match self.open {
            Open::Sqlite(connection, _) => Ok(connection.execute_batch(sql)?),
            #[cfg(feature = "postgres")]
            Open::Postgres(transaction, _) => Ok(transaction.batch_execute(sql).await?),
        }
    }
}

/// Statements as SQLite reads them, which takes `$1` for a name and `?1` for a number. Each is written
/// once.
#[derive(Debug, Default)]
pub(super) struct Numbered(RefCell<HashMap<*const u8, Rc<str>>>);

impl Numbered {
    fn of(&self, sql: &'static str) -> Rc<str> {
        let mut known = self.0.borrow_mut();
        // One that begins at the same place and is longer is another one.
        let found = known.get(&sql.as_ptr()).filter(|it| it.len() == sql.len());
        if let Some(numbered) = found {
            return Rc::clone(numbered);
        }
        let numbered: Rc<str> = sql.replace('$', "?").into();
        known.insert(sql.as_ptr(), Rc::clone(&numbered));
        numbered
    }
}

#[cfg(feature = "postgres")]
async fn prepared(
    transaction: &tokio_postgres::Transaction<'_>,
    statements: &Statements,
    sql: &'static str,
) -> Result<tokio_postgres::Statement, StoreError> {
    let known = statements.borrow().get(sql).cloned();
    if let Some(statement) = known {
        return Ok(statement);
    }
    let statement = transaction.prepare(sql).await?;
    statements.borrow_mut().insert(sql, statement.clone());
    Ok(statement)
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::ValueRef;
        let value = match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        };
        Ok(rusqlite::types::ToSqlOutput::Borrowed(value))
    }
}

#[cfg(feature = "postgres")]
impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *kind == types::Type::INT4 => {
                i32::try_from(*number)?.to_sql(kind, out)
            }
            Self::Integer(number) => number.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &types::Type) -> bool {
        [
            i64::accepts,
            i32::accepts,
            <&str>::accepts,
            <&[u8]>::accepts,
        ]
        .iter()
        .any(|accepts: &fn(&types::Type) -> bool| accepts(kind))
    }

    to_sql_checked!();
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Integer)
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(bytes: &'v [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl Cell {
    fn of_sqlite(value: rusqlite::types::ValueRef<'_>) -> Self {
        use rusqlite::types::ValueRef;
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            #[expect(clippy::cast_possible_truncation, reason = "no column holds fractions")]
            ValueRef::Real(number) => Self::Integer(number as i64),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl Row {
    #[cfg(feature = "postgres")]
    fn of_postgres(row: &tokio_postgres::Row) -> Result<Self, StoreError> {
        let cells = row.columns().iter().enumerate().map(|(at, column)| {
            Ok(match *column.type_() {
                types::Type::INT8 => row.try_get::<_, Option<i64>>(at)?.map(Cell::Integer),
                types::Type::INT4 => {
                    let number = row.try_get::<_, Option<i32>>(at)?;
                    number.map(|number| Cell::Integer(number.into()))
                }
                types::Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Cell::Bytes),
                _ => row.try_get::<_, Option<String>>(at)?.map(Cell::Text),
            }
            .unwrap_or(Cell::Null))
        });
        cells.collect::<Result<_, StoreError>>().map(Self)
    }

    /// A number.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn integer(&self, column: usize) -> Result<i64, StoreError> {
        match self.0.get(column) {
            Some(Cell::Integer(number)) => Ok(*number),
            _ => Err(unexpected(column)),
        }
    }

    /// A text, taken out of the row.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn text(&mut self, column: usize) -> Result<String, StoreError> {
        self.optional_text(column)?
            .ok_or_else(|| unexpected(column))
    }

    /// A text or nothing, taken out of the row.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn optional_text(&mut self, column: usize) -> Result<Option<String>, StoreError> {
        match self.0.get_mut(column) {
            Some(Cell::Text(text)) => Ok(Some(std::mem::take(text))),
            Some(Cell::Null) => Ok(None),
            _ => Err(unexpected(column)),
        }
    }

    /// A number or nothing.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Cell::Integer(number)) => Ok(Some(*number)),
            Some(Cell::Null) => Ok(None),
            _ => Err(unexpected(column)),
        }
    }

    /// Bytes or nothing, taken out of the row.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn optional_bytes(&mut self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0.get_mut(column) {
            Some(Cell::Bytes(bytes)) => Ok(Some(std::mem::take(bytes))),
            Some(Cell::Null) => Ok(None),
            _ => Err(unexpected(column)),
        }
    }

    /// Bytes, taken out of the row.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn bytes(&mut self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self.0.get_mut(column) {
            Some(Cell::Bytes(bytes)) => Ok(std::mem::take(bytes)),
            _ => Err(unexpected(column)),
        }
    }
}

fn unexpected(column: usize) -> StoreError {
    StoreError::Corrupt(format!("column {column} of a row is not what it should be"))
}
