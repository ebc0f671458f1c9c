//! What every source of rows promises, held against every database, and against those that ODBC has drivers for.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::json;

use super::Database;
use crate::batch::Position;
use crate::config::database::DatabaseSource;
use crate::config::extract::Reading;
use crate::config::variables::Secrets;
use crate::error::{Fault, Result};
use crate::place::{Kind, Place, every};
use crate::sandbox::Network;
use crate::source::{NEVER, ReadOptions, Source, Surroundings};

/// A database, and the way to it.
struct End {
    name: String,
    url: String,
    place: Place,
    by_odbc: bool,
}

/// The database's own driver, and ODBC's where that is built in.
fn ends() -> Vec<End> {
    let own = every().into_iter().map(|place| End { name: format!("{:?}", place.kind()), url: place.url(), place, by_odbc: false });
    #[cfg(feature = "odbc")]
    let own = own.chain(every().into_iter().filter_map(|place| {
        let string = crate::servers::odbc::string(&place.url())?;
        Some(End { name: format!("{:?} by ODBC", place.kind()), url: crate::servers::odbc::url("mssql", &string), place, by_odbc: true })
    }));
    own.collect()
}

/// A database with a table of sixty rows, of which ten share a day each.
fn each_end(check: impl Fn(&End)) {
    for end in ends() {
        end.place.sql("CREATE TABLE t (id bigint PRIMARY KEY, day bigint, note varchar(500))");
        let day = |id: i64| if id < 10 { "NULL".to_owned() } else { (id / 10).to_string() };
        let rows: Vec<String> = (0..60).map(|id| format!("({id}, {}, '{id:0>400}')", day(id))).collect();
        end.place.sql(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&end)));
        assert!(checked.is_ok(), "that was {}", end.name);
    }
}

impl End {
    fn open(&self, query: &str, key: Option<&str>, options: ReadOptions) -> Result<Database> {
        let source = json!({"query": query, "connection_string": self.url, "cursor_field": key});
        let source: DatabaseSource = serde_json::from_value(source).unwrap();
        let (params, secrets, network) = (BTreeMap::new(), Secrets::default(), Network::default());
        let surroundings = Surroundings {
            root: Path::new("/"),
            params: &params,
            secrets: &secrets,
            network: &network,
            since: None,
            max_retries: 0,
            stop: &NEVER,
        };
        Database::open(&source, &Reading::default(), options, &surroundings)
    }
}

fn sizes(batch_rows: usize, chunk_bytes: usize, exact: bool) -> ReadOptions {
    ReadOptions { batch_rows: NonZeroUsize::new(batch_rows).unwrap(), chunk_bytes, exact, ..ReadOptions::default() }
}

/// The ids of each chunk's batches, and where it ends. Every batch has the source's schema.
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
            assert_eq!((decoded.batch.sequence, decoded.batch.rows.schema()), (sequence, source.schema()));
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
    each_end(|end| {
        for options in [sizes(8192, 1 << 20, false), sizes(7, 1, false), sizes(7, 1, true), sizes(1, 300, false), sizes(1000, 1, true)] {
            let source = end.open("SELECT * FROM t ORDER BY id", None, options.clone()).unwrap();
            assert_eq!(ids(&read(&source, None).unwrap()), (0..60).collect::<Vec<_>>(), "{options:?}");
        }
        let source = end.open("SELECT * FROM t ORDER BY id", None, sizes(8, 1, true)).unwrap();
        let lengths: Vec<usize> = read(&source, None).unwrap().iter().flat_map(|(batches, _)| batches.iter().map(Vec::len)).collect();
        assert_eq!(lengths, [8, 8, 8, 8, 8, 8, 8, 4]);
    });
}

#[test]
fn a_table_without_rows_has_none_and_its_columns_all_the_same() {
    each_end(|end| {
        let source = end.open("SELECT * FROM t WHERE id < 0", Some("id"), ReadOptions::default()).unwrap();
        assert_eq!(ids(&read(&source, None).unwrap()), [0; 0]);
        let names: Vec<String> = source.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id", "day", "note"]);
    });
}

#[test]
fn reading_on_from_any_chunk_gives_just_the_rest_though_rows_share_a_key() {
    each_end(|end| {
        let keys = [("id", sizes(4, 1, false)), ("day", sizes(4, 1, true)), ("day", sizes(3, 1500, false)), ("note", sizes(1, 1, false))];
        // Nobody knows in which order a database that is reached by ODBC has its texts.
        for (key, options) in keys.into_iter().filter(|(key, _)| *key != "note" || !end.by_odbc) {
            let source = end.open("SELECT * FROM t", Some(key), options).unwrap();
            let chunks = read(&source, None).unwrap();
            assert!(chunks.len() > 5, "{} chunks", chunks.len());
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
    });
}

#[test]
fn rows_that_others_add_and_remove_in_between_confuse_nobody() {
    each_end(|end| {
        let source = end.open("SELECT * FROM t", Some("day"), sizes(4, 1, true)).unwrap();
        // Sixteen rows are read: ten without a day or of the first one, and six of the next.
        let chunks = read(&source, None).unwrap();
        let (_, next) = &chunks[3];
        assert_eq!(next.row, 16);
        let (before, after) = (ids(&chunks[..4]), ids(&chunks[4..]));
        let (day, last) = (before[15] / 10, after[after.len() - 1]);
        end.place.sql(&format!("DELETE FROM t WHERE id IN ({}, {last})", before[3]));
        end.place.sql(&format!("INSERT INTO t VALUES (-1, {day}, 'at the place'), (-2, 0, 'before it'), (-3, 9, 'behind it')"));
        let mut rest = ids(&read(&source, Some(next)).unwrap());
        rest.sort_unstable();
        let mut expected = [&[-1, -3][..], &after[..after.len() - 1]].concat();
        expected.sort_unstable();
        assert_eq!(rest, expected);
        // One that was read at the place and is gone, such as one that got a later value, is none of those that are there.
        end.place.sql(&format!("DELETE FROM t WHERE id = {}", before[12]));
        let mut rest = ids(&read(&source, Some(next)).unwrap());
        rest.sort_unstable();
        assert_eq!(rest, expected);
    });
}

#[test]
fn a_query_without_a_key_is_read_from_its_start_or_not_at_all() {
    each_end(|end| {
        let source = end.open("SELECT * FROM t", None, sizes(4, 1, false)).unwrap();
        let chunks = read(&source, None).unwrap();
        let refused = read(&source, Some(&chunks[0].1)).unwrap_err();
        assert_eq!((refused.fault(), chunks[0].1.is_found_again()), (Fault::Config, false));
        assert!(refused.to_string().contains("it has no `cursor_field`"), "{refused}");
        assert_eq!(read(&source, Some(&Position::default())).unwrap().len(), chunks.len());
    });
}

#[test]
fn a_limit_counts_from_the_start() {
    each_end(|end| {
        for limit in [0, 1, 6, 59, 60, 1000] {
            let source = end.open("SELECT * FROM t", Some("id"), ReadOptions { limit: Some(limit), ..sizes(4, 1, false) }).unwrap();
            let chunks = read(&source, None).unwrap();
            let count = 60.min(limit as i64);
            assert_eq!(ids(&chunks), (0..count).collect::<Vec<_>>(), "{limit}");
            if let Some((first, next)) = chunks.first() {
                let first: usize = first.iter().map(Vec::len).sum();
                assert_eq!(ids(&read(&source, Some(next)).unwrap()).len(), count as usize - first, "{limit}");
            }
        }
    });
}

#[test]
fn rows_that_are_read_once_are_seen_by_all_who_want_them_with_the_types_that_the_database_declares() {
    each_end(|end| {
        let source = end.open("SELECT * FROM t ORDER BY id", None, sizes(4, 1, false)).unwrap();
        let view = source.view(&["id".into()], &["day".into()]);
        assert_eq!(view.schema(), source.schema());
        let mut seen = [Vec::new(), Vec::new()];
        for chunk in source.read(&source.splits(NonZeroUsize::MIN).unwrap()[0], None).unwrap() {
            let chunk = chunk.unwrap();
            for (chunk, ids) in [chunk.seen_as(&view), chunk].into_iter().zip(&mut seen) {
                for decoded in chunk.decode() {
                    ids.extend_from_slice(decoded.unwrap().batch.rows.column(0).as_primitive::<Int64Type>().values());
                }
            }
        }
        assert_eq!(seen, [(0..60).collect::<Vec<_>>(), (0..60).collect()]);
    });
}

#[test]
fn a_read_that_waits_for_the_database_ends_where_it_is_stopped() {
    each_end(|end| {
        let endless = match end.place.kind() {
            Kind::Postgres => "SELECT CAST(1 AS bigint) AS id, CAST(pg_sleep(1000) AS text) AS s",
            Kind::Mariadb => "SELECT 1 AS id, sleep(1000) AS s",
            // It lets nobody wait but for the first rows, which opening it looks at.
            Kind::Sqlite => return,
        };
        let source = end.open(endless, None, ReadOptions::default()).unwrap();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| read(&source, None).map(|_| ()));
            source.stop();
            assert_eq!(reading.join().unwrap().unwrap_err().fault(), Fault::Outside);
        });
    });
}
