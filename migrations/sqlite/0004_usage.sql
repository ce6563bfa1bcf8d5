-- What projects have used, by day in UTC.

CREATE TABLE usage_days (
    project_id    TEXT    NOT NULL,
    day           TEXT    NOT NULL, -- as 2026-11-26
    inserts       INTEGER NOT NULL,
    successes     INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    PRIMARY KEY (project_id, day)
) STRICT, WITHOUT ROWID;
