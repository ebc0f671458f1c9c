//! What every source promises, on SQLite, which needs no server; the others are tried through the front door.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::Database;
use crate::batch::Position;
use crate::config::database::DatabaseSource;
use crate::config::extract::Reading;
use crate::config::variables::Secrets;
use crate::error::{Fault, Result};
use crate::remote::wait;
use crate::sandbox::Network;
use crate::source::{NEVER, ReadOptions, Source, Surroundings};

/// A table of sixty rows, of which ten share a day each.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT, text TEXT);
               WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s LIMIT 60)
               INSERT INTO t SELECT n, nullif(n / 10, 0), printf('%400s', n) FROM s";
    wait(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("data.db")).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    folder
}

fn open(folder: &TempDir, query: &str, key: Option<&str>, options: ReadOptions) -> Result<Database> {
    let source = json!({"query": query, "connection_string": "sqlite:///data.db", "cursor_field": key});
    let source: DatabaseSource = serde_json::from_value(source).unwrap();
    let (params, secrets, network) = (BTreeMap::new(), Secrets::default(), Network::default());
    let surroundings = Surroundings {
        root: folder.path(),
        params: &params,
        secrets: &secrets,
        network: &network,
        since: None,
        max_retries: 0,
        stop: &NEVER,
    };
    Database::open(&source, &Reading::default(), options, &surroundings)
}

fn sizes(batch_rows: usize, chunk_bytes: usize, exact: bool) -> ReadOptions {
    ReadOptions { batch_rows: NonZeroUsize::new(batch_rows).unwrap(), chunk_bytes, exact, ..ReadOptions::default() }
}

/// The ids of each chunk's batches, and where it ends.
fn read(source: &Database, from: Option<&Position>) -> Result<Vec<(Vec<Vec<i64>>, Position)>> {
    let split = &source.splits(NonZeroUsize::MIN)?[0];
    let mut sequence = from.map_or(0, |from| from.sequence);
    let mut chunks = Vec::new();
    for chunk in source.read(split, from)? {
        let chunk = chunk?;
        let next = chunk.next();
        let mut batches = Vec::new();
        for decoded in chunk.decode() {
            let decoded = decoded?;
            assert!(decoded.rejects.is_empty());
            assert_eq!(decoded.batch.sequence, sequence);
            sequence += 1;
            batches.push(decoded.batch.rows.column(0).as_primitive::<Int64Type>().values().to_vec());
        }
        assert_eq!(next.sequence, sequence);
        chunks.push((batches, next));
    }
    Ok(chunks)
}

fn ids(chunks: &[(Vec<Vec<i64>>, Position)]) -> Vec<i64> {
    chunks.iter().flat_map(|(batches, _)| batches.iter().flatten().copied()).collect()
}

#[test]
fn all_rows_come_in_order_whatever_the_size_of_chunks() {
    let folder = folder();
    for options in [sizes(8192, 1 << 20, false), sizes(7, 1, false), sizes(7, 1, true), sizes(1, 300, false), sizes(1000, 1, true)] {
        let source = open(&folder, "SELECT * FROM t ORDER BY id", None, options.clone()).unwrap();
        assert_eq!(ids(&read(&source, None).unwrap()), (0..60).collect::<Vec<_>>(), "{options:?}");
    }
    let source = open(&folder, "SELECT * FROM t ORDER BY id", None, sizes(8, 1, true)).unwrap();
    let lengths: Vec<usize> = read(&source, None).unwrap().iter().flat_map(|(batches, _)| batches.iter().map(Vec::len)).collect();
    assert_eq!(lengths, [8, 8, 8, 8, 8, 8, 8, 4]);
}

#[test]
fn reading_on_from_any_chunk_gives_just_the_rest_though_rows_share_a_key() {
    let folder = folder();
    for (key, options) in
        [("id", sizes(4, 1, false)), ("day", sizes(4, 1, true)), ("day", sizes(3, 1500, false)), ("text", sizes(1, 1, false))]
    {
        let source = open(&folder, "SELECT * FROM t", Some(key), options).unwrap();
        let chunks = read(&source, None).unwrap();
        assert!(chunks.len() > 5);
        let all = ids(&chunks);
        let mut done = 0;
        for (batches, next) in &chunks {
            done += batches.iter().map(Vec::len).sum::<usize>();
            let next: Position = serde_json::from_str(&serde_json::to_string(next).unwrap()).unwrap();
            assert_eq!(next.row, done as u64);
            let mut rest = ids(&read(&source, Some(&next)).unwrap());
            let mut expected = all[done..].to_vec();
            // Rows that share a key may come in any order.
            rest.sort_unstable();
            expected.sort_unstable();
            assert_eq!(rest, expected, "{key} from {next:?}");
        }
        assert_eq!(done, 60);
    }
}

#[test]
fn rows_that_others_add_and_remove_in_between_confuse_nobody() {
    let folder = folder();
    let source = open(&folder, "SELECT * FROM t", Some("day"), sizes(4, 1, true)).unwrap();
    // Fourteen rows are read: those without a day, and four of the first day.
    let (_, next) = &read(&source, None).unwrap()[3];
    let (read_before, next) = (next.row, next.clone());
    assert_eq!(read_before, 16);
    wait(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("data.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("DELETE FROM t WHERE id IN (3, 11, 59); INSERT INTO t VALUES (-1, '1', 'new'), (-2, NULL, 'late')")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
    let mut rest = ids(&read(&source, Some(&next)).unwrap());
    rest.sort_unstable();
    // The row that is new at the place is read, the one before the place is not.
    assert_eq!(rest, [&[-1][..], &(16..59).collect::<Vec<_>>()].concat());
}

#[test]
fn a_query_without_a_key_is_read_from_its_start_or_not_at_all() {
    let folder = folder();
    let source = open(&folder, "SELECT * FROM t", None, sizes(4, 1, false)).unwrap();
    let chunks = read(&source, None).unwrap();
    let refused = read(&source, Some(&chunks[0].1)).unwrap_err();
    assert_eq!((refused.fault(), chunks[0].1.is_found_again()), (Fault::Config, false));
    assert!(refused.to_string().contains("it has no `cursor_field`"), "{refused}");
    assert_eq!(read(&source, Some(&Position::default())).unwrap().len(), chunks.len());
    let limited = open(&folder, "SELECT * FROM t", Some("id"), ReadOptions { limit: Some(6), ..sizes(4, 1, false) }).unwrap();
    let chunks = read(&limited, None).unwrap();
    assert_eq!((ids(&chunks), ids(&read(&limited, Some(&chunks[0].1)).unwrap()).len()), ((0..6).collect(), 5));
}
