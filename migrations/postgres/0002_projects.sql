-- Projects. Users need no row here: the default project of a server has none until something is set for it.

CREATE TABLE projects (
    project_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    status         TEXT   NOT NULL CHECK (status IN ('active', 'suspended', 'deleting')),
    token_hash     BYTEA  CHECK (length(token_hash) = 32), -- SHA-256 of the secret in the token
    profile_config TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);
CREATE INDEX projects_to_delete ON projects (project_id) WHERE status = 'deleting';
