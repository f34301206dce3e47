-- +goose Up

-- Erasures of vehicles' data: who asked when, and the receipt. The vehicle is named by a keyed hash (that of its status), never
-- by its id.
CREATE TABLE erasure (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject      bytea       NOT NULL,             -- 16 bytes
    from_day     date,                             -- with the next: UTC days of event time, both included; null: all
    to_day       date,
    state        text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'abandoned')),
    requested_by text        NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    upto         timestamptz NOT NULL,             -- what receivers accepted until then is erased
    searched     integer     NOT NULL,             -- days of which the pseudonym is known
    job          bigint,                           -- that carries it out; null for a moment
    settled_at   timestamptz,                      -- flushes that began later hold nothing to be erased
    hour_done    timestamptz,                      -- hours of the archive (by commit) up to it are done
    ended_at     timestamptz,
    receipt      text                              -- JSON, when done
);
CREATE UNIQUE INDEX erasure_pending ON erasure (subject, from_day, to_day) NULLS NOT DISTINCT WHERE state = 'pending';

-- While an erasure is pending: what the vehicle was called on each day, and what was found. Both go when it ends: they tell when it drove.
CREATE TABLE erasure_day (
    erasure   bigint NOT NULL REFERENCES erasure,
    day       date   NOT NULL,
    pseudonym bigint NOT NULL,
    PRIMARY KEY (erasure, day)
);
CREATE TABLE erasure_object (
    erasure    bigint  NOT NULL REFERENCES erasure,
    object_key text    NOT NULL,                   -- that held data of the vehicle
    place      text    NOT NULL CHECK (place IN ('archive', 'copy', 'quarantine')),
    batches    integer NOT NULL,
    samples    bigint  NOT NULL,
    remains    boolean NOT NULL,                   -- the object is yet to be deleted
    PRIMARY KEY (erasure, object_key)
);

-- What workers drop on arrival: batches under such a pseudonym that were accepted up to a time. By itself a row says nothing but
-- that somebody's data was erased.
CREATE TABLE erased_pseudonym (
    pseudonym bigint      NOT NULL PRIMARY KEY,
    upto      timestamptz NOT NULL,
    keep_until timestamptz NOT NULL                -- then no queue holds such a batch any more
);

-- Of batches and samples of a row how many are not in the object any more, or never were: they stay counted. Where several rows name
-- one object only their sum is meaningful.
ALTER TABLE manifest ADD COLUMN erased_batches integer NOT NULL DEFAULT 0, ADD COLUMN erased_samples bigint NOT NULL DEFAULT 0,
    ADD CHECK (erased_batches BETWEEN 0 AND batches AND erased_samples BETWEEN 0 AND samples);
ALTER TABLE quarantine ADD COLUMN erased_batches integer NOT NULL DEFAULT 0, ADD COLUMN erased_samples bigint NOT NULL DEFAULT 0;
