-- Dead letters that can be listed and tried again.

-- A batch whose blobs come from a dead letter.
ALTER TABLE journal_batches ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;

-- Lists, of a project and of a user.
CREATE INDEX dead_letters_of_project ON dead_letters (project_id, created_at, flush_id);
CREATE INDEX dead_letters_of_user ON dead_letters (project_id, user_id, created_at, flush_id);
