-- The projects that were taken over from another service, and which of its projects each was. Rows outlive the projects:
-- one that was deleted here does not come back, and its name is not taken for that of another.

CREATE TABLE adopted_projects (
    project_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    source     TEXT NOT NULL
);
