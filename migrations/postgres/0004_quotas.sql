-- How many tokens a project may use in a month. NULL: nobody has said, -1: as many as it likes.

ALTER TABLE projects ADD COLUMN token_quota BIGINT CHECK (token_quota >= -1);
