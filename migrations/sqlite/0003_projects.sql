-- Projects. Users need no row here: the default project of a server has none until something is set for it.

CREATE TABLE projects (
    project_id     TEXT    NOT NULL PRIMARY KEY,
    status         TEXT    NOT NULL CHECK (status IN ('active', 'suspended', 'deleting')),
    token_hash     BLOB    CHECK (length(token_hash) = 32), -- SHA-256 of the secret in the token
    profile_config TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX projects_to_delete ON projects (project_id) WHERE status = 'deleting';
