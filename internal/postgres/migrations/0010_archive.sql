-- +goose Up

-- Since compaction, several rows of the manifest may name one object, which holds what their own objects held;
-- object_bytes is then each row's share of it. So sums over rows stay true, and readers of the archive take
-- the distinct keys of one statement: they see every batch exactly once, before, during and after.
CREATE INDEX manifest_object_key ON manifest (object_key);

-- Objects that nothing names, when that was noticed first: they are deleted after a grace period, if nothing names them
-- still.
CREATE TABLE orphan (
    object_key text        NOT NULL PRIMARY KEY,
    bytes      bigint      NOT NULL,
    seen_at    timestamptz NOT NULL
);
CREATE INDEX orphan_seen_at ON orphan (seen_at);
