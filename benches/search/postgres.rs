//! Postgres as it is configured, without an index: a plain scan, by several processes if it likes. Tables are of one user.

use std::cell::RefCell;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::data::{QUERIES, Texts, Vectors};
use crate::report::{Report, megabytes};

/// The variable that the tests have, too.
const VARIABLE: &str = "POWERMEMO_TEST_POSTGRES";

/// A database of a server. It is dropped with this.
pub(crate) struct Database<'a> {
    runtime: &'a Runtime,
    server: String,
    name: String,
    conn: RefCell<PgConnection>,
    /// Whether it has pgvector.
    pgvector: bool,
}

impl<'a> Database<'a> {
    /// A new one; none, with a word on the console, when no server is named.
    pub(crate) fn new(runtime: &'a Runtime) -> Option<Self> {
        let Ok(server) = std::env::var(VARIABLE) else {
            eprintln!("Postgres is left out: {VARIABLE} is not set");
            return None;
        };
        let name = format!("bench_{}", Uuid::new_v4().simple());
        let (conn, pgvector) = runtime.block_on(async {
            let mut conn = PgConnection::connect(&server).await.unwrap();
            conn.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
            conn.close().await.unwrap();
            let mut conn = PgConnectOptions::from_str(&server).unwrap().database(&name).connect().await.unwrap();
            let pgvector = conn.execute("CREATE EXTENSION vector").await;
            (conn, pgvector)
        });
        if let Err(error) = &pgvector {
            eprintln!("pgvector is left out: {error}");
        }
        Some(Self { runtime, server, name, conn: RefCell::new(conn), pgvector: pgvector.is_ok() })
    }

    /// Full text search with a stored tsvector: stemming, English stop words, rank by frequency alone (`ts_rank` does
    /// not know how rare a word is).
    pub(crate) fn words(&self, report: &mut Report, texts: &Texts) {
        // Stemmed and without stop words, joined by OR rather than AND.
        const SEARCH: &str = "SELECT id, text, ts_rank(words, query) AS rank FROM texts, \
            CAST(replace(CAST(plainto_tsquery('english', $1) AS text), '&', '|') AS tsquery) AS query \
            WHERE words @@ query ORDER BY rank DESC LIMIT 10";
        let name = "Postgres, words";
        if !report.wants(name) {
            return;
        }
        let start = Instant::now();
        let table = "CREATE TABLE texts (id integer PRIMARY KEY, text text NOT NULL, \
            words tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED)";
        let conn = &mut *self.conn.borrow_mut();
        let bytes = self.runtime.block_on(async {
            conn.execute(table).await.unwrap();
            let all = sqlx::query(
                "INSERT INTO texts SELECT at - 1, text FROM unnest($1) WITH ORDINALITY AS all_of (text, at)",
            );
            all.bind(&texts.0).execute(&mut *conn).await.unwrap();
            bytes(conn, "texts").await
        });
        report.measure(name.to_owned(), start.elapsed(), megabytes(bytes), |query| {
            let found = sqlx::query_as::<_, (i32, String, f32)>(SEARCH).bind(QUERIES[query]).fetch_all(&mut *conn);
            self.runtime.block_on(found).unwrap().iter().map(|(number, ..)| usize::try_from(*number).unwrap()).collect()
        });
    }

    /// Vectors as arrays, multiplied in SQL; and as those of pgvector, where it can be had. Finds numbers, no texts.
    pub(crate) fn vectors(&self, report: &mut Report, vectors: &Vectors) {
        let dimensions = vectors.dimensions;
        let arrays = format!("Postgres, real[] of {dimensions} dimensions");
        let pgvector = format!("Postgres with pgvector, {dimensions} dimensions");
        if report.wants(&arrays) || (self.pgvector && report.wants(&pgvector)) {
            let (made, bytes) = self.insert(vectors);
            if report.wants(&arrays) {
                let search = format!(
                    "SELECT id FROM arrays_{dimensions} ORDER BY \
                    (SELECT sum(a * b) FROM unnest(vector, $1) AS pairs (a, b)) DESC LIMIT 10"
                );
                self.measure(report, arrays, (made, bytes), search, vectors);
            }
            if self.pgvector && report.wants(&pgvector) {
                let made_of = self.convert(dimensions);
                let search =
                    format!("SELECT id FROM vectors_{dimensions} ORDER BY vector <=> CAST($1 AS vector) LIMIT 10");
                self.measure(report, pgvector, made_of, search, vectors);
            }
        }
    }

    fn insert(&self, vectors: &Vectors) -> (Duration, i64) {
        let (start, table) = (Instant::now(), format!("arrays_{}", vectors.dimensions));
        let conn = &mut *self.conn.borrow_mut();
        let bytes = self.runtime.block_on(async {
            let create = format!("CREATE TABLE {table} (id integer PRIMARY KEY, vector real[] NOT NULL)");
            conn.execute(AssertSqlSafe(create)).await.unwrap();
            let mut all = conn.begin().await.unwrap();
            for (number, vector) in (0_i32..).zip(&vectors.gists) {
                let insert = sqlx::query(AssertSqlSafe(format!("INSERT INTO {table} VALUES ($1, $2)")));
                insert.bind(number).bind(vector).execute(&mut *all).await.unwrap();
            }
            all.commit().await.unwrap();
            bytes(conn, &table).await
        });
        (start.elapsed(), bytes)
    }

    /// Makes the table of pgvector of that of arrays.
    fn convert(&self, dimensions: usize) -> (Duration, i64) {
        let (start, table) = (Instant::now(), format!("vectors_{dimensions}"));
        let conn = &mut *self.conn.borrow_mut();
        let bytes = self.runtime.block_on(async {
            let create = format!("CREATE TABLE {table} (id integer PRIMARY KEY, vector vector({dimensions}) NOT NULL)");
            conn.execute(AssertSqlSafe(create)).await.unwrap();
            let all = format!("INSERT INTO {table} SELECT id, CAST(vector AS vector) FROM arrays_{dimensions}");
            conn.execute(AssertSqlSafe(all)).await.unwrap();
            bytes(conn, &table).await
        });
        (start.elapsed(), bytes)
    }

    /// Measures a search by a vector.
    fn measure(
        &self,
        report: &mut Report,
        name: String,
        (made, bytes): (Duration, i64),
        search: String,
        vectors: &Vectors,
    ) {
        let conn = &mut *self.conn.borrow_mut();
        report.measure(name, made, megabytes(bytes), |query| {
            let search = sqlx::query_scalar::<_, i32>(AssertSqlSafe(search.clone()));
            let found = search.bind(&vectors.queries[query]).fetch_all(&mut *conn);
            self.runtime.block_on(found).unwrap().iter().map(|number| usize::try_from(*number).unwrap()).collect()
        });
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropped = self
            .runtime
            .block_on(async { PgConnection::connect(&self.server).await?.execute(AssertSqlSafe(drop)).await });
        if let Err(error) = dropped {
            eprintln!("the database {} is left: {error}", self.name);
        }
    }
}

/// The size of a table with all that belongs to it, which is then as the server likes it for reading.
async fn bytes(conn: &mut PgConnection, table: &str) -> i64 {
    conn.execute(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).await.unwrap();
    let size = sqlx::query_scalar("SELECT pg_total_relation_size(CAST($1 AS regclass))");
    size.bind(table).fetch_one(conn).await.unwrap()
}
