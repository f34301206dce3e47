-- +goose Up

-- Replays: the aggregates of some UTC days of event time, rebuilt from the raw archive. While it is not swapped or dropped, a
-- replay's tables are in a schema of their own, replay_<id>, with the names of the live ones.
CREATE TABLE replay (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_day    timestamptz NOT NULL,
    to_day      timestamptz NOT NULL,  -- exclusive
    map_version text        NOT NULL,  -- with which it was matched
    state       text        NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'built', 'swapped', 'dropped')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    built_at    timestamptz,
    ended_at    timestamptz,           -- swapped or dropped
    diff        jsonb                  -- against the live tables, when it was built
);

-- Replays look objects up by event time.
CREATE INDEX manifest_t_max ON manifest (t_max) WHERE object_key IS NOT NULL;

-- Of an entry's batches, those whose data was erased since. batches and samples stay as they were
-- committed, as do the claims: an object holds batches - erased_batches.
ALTER TABLE manifest ADD COLUMN erased_batches integer NOT NULL DEFAULT 0, ADD COLUMN erased_samples bigint NOT NULL DEFAULT 0;

-- Erasures of a vehicle's data. Nothing here names the vehicle once it is done.
CREATE TABLE erasure (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    subject      bytea  NOT NULL,            -- keyed hash of the vehicle's id
    sealed       bytea,                      -- the id, encrypted; null once it is done
    objects      bigint NOT NULL DEFAULT 0,  -- rewritten or deleted so far, with the next two
    batches      bigint NOT NULL DEFAULT 0,
    samples      bigint NOT NULL DEFAULT 0,
    done_at      timestamptz,
    receipt      text,                       -- JSON, as it was signed
    signature    bytea
);

-- Objects that were replaced and must be deleted, entered with the replacement.
CREATE TABLE erasure_object (
    erasure    bigint NOT NULL REFERENCES erasure,
    object_key text   NOT NULL,
    PRIMARY KEY (erasure, object_key)
);

-- Objects of other archives that were taken in. The same content is never taken in twice.
CREATE TABLE backfill_object (
    content    bytea       NOT NULL PRIMARY KEY,  -- SHA-256
    object_key text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    flush      bigint      NOT NULL               -- manifest.id
);
