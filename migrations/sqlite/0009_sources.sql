-- The messages that the memo of a slot comes from, as those of gists. What is there already has none: rows are not touched.

ALTER TABLE profile_slots ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
ALTER TABLE slot_revisions ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
