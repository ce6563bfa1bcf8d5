//! SQLite in memory, over the driver that the service has: a thread of its own runs the statements.

use std::time::Instant;

use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};
use tokio::runtime::Runtime;

use crate::data::{QUERIES, Texts, Vectors, best, common, dot};
use crate::report::{Report, megabytes};

/// FTS5 with Porter's stemmer. It has no stop words: all words of a query count, or those that the client leaves in.
pub(crate) fn words(report: &mut Report, runtime: &Runtime, texts: &Texts) {
    let contenders = [("SQLite FTS5, all words", false), ("SQLite FTS5, without stop words", true)];
    if !contenders.iter().any(|(name, _)| report.wants(name)) {
        return;
    }
    let start = Instant::now();
    let mut conn = runtime.block_on(SqliteConnection::connect("sqlite::memory:")).unwrap();
    let bytes = runtime.block_on(async {
        conn.execute("CREATE VIRTUAL TABLE gists USING fts5(text, tokenize = 'porter unicode61')").await.unwrap();
        let mut all = conn.begin().await.unwrap();
        for (number, text) in (0_i64..).zip(&texts.0) {
            let insert = sqlx::query("INSERT INTO gists (rowid, text) VALUES (?, ?)").bind(number).bind(text);
            insert.execute(&mut *all).await.unwrap();
        }
        all.commit().await.unwrap();
        conn.execute("INSERT INTO gists (gists) VALUES ('optimize')").await.unwrap();
        bytes(&mut conn).await
    });
    let made = start.elapsed();
    for (name, drop_common) in contenders {
        if !report.wants(name) {
            continue;
        }
        // "rank" is bm25(gists), which FTS5 sorts faster by that name.
        const SEARCH: &str = "SELECT rowid, text, rank FROM gists WHERE gists MATCH ? ORDER BY rank LIMIT 10";
        report.measure(name.to_owned(), made, megabytes(bytes), |query| {
            let words: Vec<String> = QUERIES[query]
                .split(' ')
                .filter(|word| !(drop_common && common(word)))
                .map(|word| format!("\"{word}\""))
                .collect();
            let found = sqlx::query_as::<_, (i64, String, f64)>(SEARCH).bind(words.join(" OR ")).fetch_all(&mut conn);
            let found = runtime.block_on(found).unwrap();
            found.iter().map(|(number, ..)| usize::try_from(*number).unwrap()).collect()
        });
    }
}

/// Vectors of floats that the client reads, all for each search, and compares. Finds numbers, no texts.
pub(crate) fn vectors(report: &mut Report, runtime: &Runtime, vectors: &Vectors) {
    let name = format!("SQLite, scan of {} dimensions by the client", vectors.dimensions);
    if !report.wants(&name) {
        return;
    }
    let start = Instant::now();
    let mut conn = runtime.block_on(SqliteConnection::connect("sqlite::memory:")).unwrap();
    let bytes = runtime.block_on(async {
        conn.execute("CREATE TABLE gists (id INTEGER PRIMARY KEY, vector BLOB NOT NULL)").await.unwrap();
        let mut all = conn.begin().await.unwrap();
        for (number, vector) in (0_i64..).zip(&vectors.gists) {
            let vector: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            let insert = sqlx::query("INSERT INTO gists (id, vector) VALUES (?, ?)").bind(number).bind(vector);
            insert.execute(&mut *all).await.unwrap();
        }
        all.commit().await.unwrap();
        bytes(&mut conn).await
    });
    report.measure(name, start.elapsed(), megabytes(bytes), |query| {
        let query = &vectors.queries[query];
        let (mut scores, mut numbers) = (Vec::new(), Vec::new());
        runtime.block_on(async {
            let mut rows = sqlx::query("SELECT id, vector FROM gists").fetch(&mut conn);
            while let Some(row) = rows.try_next().await.unwrap() {
                let (number, bytes): (i64, &[u8]) = (row.get(0), row.get(1));
                numbers.clear();
                numbers.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
                scores.push((usize::try_from(number).unwrap(), dot(query, &numbers)));
            }
        });
        best(scores.into_iter())
    });
}

/// The size of a database.
async fn bytes(conn: &mut SqliteConnection) -> i64 {
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    sqlx::query_scalar(size).fetch_one(conn).await.unwrap()
}
