-- The slots, events and blobs that were taken over from another service, whatever became of them here: what was changed
-- or deleted since does not come back when they are taken over again.

CREATE TABLE adopted_rows (
    project_id TEXT NOT NULL,
    user_id    BLOB NOT NULL,
    row_id     BLOB NOT NULL,
    PRIMARY KEY (project_id, user_id, row_id),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
