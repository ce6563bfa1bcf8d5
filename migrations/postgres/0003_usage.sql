-- What projects have used. Whoever adds to it inserts a row, so that no transaction waits for another over a total; the
-- rows are folded into totals by and by.

CREATE TABLE usage_entries (
    project_id    TEXT COLLATE "C" NOT NULL,
    day           TEXT COLLATE "C" NOT NULL, -- in UTC, as 2026-11-26
    inserts       BIGINT NOT NULL,
    successes     BIGINT NOT NULL,
    input_tokens  BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL
);
CREATE INDEX usage_entries_of_project ON usage_entries (project_id, day);

CREATE TABLE usage_days (
    project_id    TEXT COLLATE "C" NOT NULL,
    day           TEXT COLLATE "C" NOT NULL,
    inserts       BIGINT NOT NULL,
    successes     BIGINT NOT NULL,
    input_tokens  BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    PRIMARY KEY (project_id, day)
);
