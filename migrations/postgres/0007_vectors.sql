-- The direction of a gist's embedding, a byte per dimension, and the model with its dimensions. A space without a
-- vector: the model has none for this text.

ALTER TABLE gists ADD COLUMN embedding bytea, ADD COLUMN embedding_space text;
CREATE INDEX gists_by_space ON gists (embedding_space);

ALTER TABLE usage_entries ADD COLUMN embedding_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN embedding_tokens bigint NOT NULL DEFAULT 0;
