-- +goose Up

-- Archives that are taken in: the objects under a prefix, the batches of some UTC days. Each is a receiver of its own in the ledger.
CREATE TABLE backfill (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prefix        text        NOT NULL,
    from_day      timestamptz NOT NULL,
    to_day        timestamptz NOT NULL,            -- exclusive
    receiver      uuid        NOT NULL UNIQUE,
    seq           bigint      NOT NULL DEFAULT 0,  -- of the last envelope
    total_batches bigint      NOT NULL DEFAULT 0,
    total_samples bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    touched_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,                     -- null while something is left to do
    UNIQUE (prefix, from_day, to_day)
);
CREATE TABLE backfill_object (
    backfill   bigint      NOT NULL REFERENCES backfill ON DELETE CASCADE,
    object_key text        NOT NULL,
    bytes      bigint      NOT NULL,
    modified   timestamptz NOT NULL,
    rows       bigint      NOT NULL,  -- from its start, that are done with
    done       boolean     NOT NULL,
    outside    bigint      NOT NULL,  -- of them, batches of other days
    error      text        NOT NULL,  -- why it can't be used; empty if it can
    PRIMARY KEY (backfill, object_key)
);

-- Claims live for days, archives for months: what the archive holds of the time that a backfill is about is looked up in it, once, and
-- kept here while that lasts. A flush in old_claim_flush has all of its batches in old_claim.
CREATE TABLE old_claim (
    id    uuid   NOT NULL PRIMARY KEY
);
CREATE TABLE old_claim_flush (
    flush bigint NOT NULL PRIMARY KEY
);
