//! Which answers of the model were recorded, and since when that is certain.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, query_as};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::model::lines;
use super::time::{Micros, now};

/// Copies each recorded answer to a table that nothing deletes from.
const COPIES: &str = "
    CREATE TABLE chaos_answers (
        place BIGSERIAL PRIMARY KEY, user_id UUID NOT NULL, flush_id UUID NOT NULL, answer TEXT NOT NULL);
    CREATE FUNCTION chaos_copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO chaos_answers (user_id, flush_id, answer) VALUES (NEW.user_id, NEW.flush_id, NEW.answer);
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_copy AFTER INSERT ON recorded_answers FOR EACH ROW EXECUTE FUNCTION chaos_copy();";

/// Places are given out before they can be seen: one that was passed by is looked for among so many again.
const NEW: &str = "SELECT place, user_id, flush_id, answer FROM chaos_answers WHERE place > $1 - 500 ORDER BY place";

const PAUSE: Duration = Duration::from_millis(100);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A recorded answer.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) user: Uuid,
    pub(crate) flush: Uuid,
    pub(crate) lines: Vec<String>,
    /// It was there at this instant, at the latest.
    pub(crate) seen: Micros,
}

/// Watches the store until it is dropped.
pub(crate) struct Answers {
    seen: Arc<Mutex<Vec<Recorded>>>,
    task: JoinHandle<()>,
}

impl Answers {
    /// Watches from now on. The tables must be there.
    pub(crate) fn watch(runtime: &Handle, url: String) -> Self {
        let seen = Arc::<Mutex<Vec<Recorded>>>::default();
        let found = Arc::clone(&seen);
        runtime.block_on(async {
            let mut conn = PgConnection::connect(&url).await.unwrap();
            conn.execute(COPIES).await.unwrap();
        });
        let task = runtime.spawn(async move {
            let (mut last, mut known) = (0, HashSet::new());
            loop {
                // Postgres may be away.
                if let Ok(Ok(mut conn)) = timeout(PATIENCE, PgConnection::connect(&url)).await {
                    while let Ok(true) = timeout(PATIENCE, look(&mut conn, &mut last, &mut known, &found)).await {
                        sleep(PAUSE).await;
                    }
                }
                sleep(PAUSE).await;
            }
        });
        Self { seen, task }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes in what is new. False when that cannot be told.
async fn look(conn: &mut PgConnection, last: &mut i64, known: &mut HashSet<i64>, found: &Mutex<Vec<Recorded>>) -> bool {
    let Ok(rows) = query_as::<_, (i64, Uuid, Uuid, String)>(NEW).bind(*last).fetch_all(conn).await else {
        return false;
    };
    let seen = now();
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    for (place, user, flush, answer) in rows {
        *last = place.max(*last);
        if known.insert(place) {
            found.push(Recorded { user, flush, lines: lines(&answer), seen });
        }
    }
    true
}
