-- +goose Up

-- Evidence: what vehicles said about a place in a bucket of event time, as votes that add up
-- (package learn). Every key has the z14 quadkey of its place in bits 25 to 52: with the key before the
-- bucket, a tile's evidence of some time is one stretch of each day's index.
CREATE TABLE evidence (
    bucket timestamptz NOT NULL,
    kind   smallint    NOT NULL,  -- learn.Kind
    key    bigint      NOT NULL,
    votes  bytea       NOT NULL,  -- learn.Votes, encoded
    PRIMARY KEY (kind, key, bucket)
) PARTITION BY RANGE (bucket);

-- The flushes' deltas to it, insert-only, in the same ring of slots as segment_speed_delta.
CREATE TABLE evidence_delta (
    slot   smallint    NOT NULL,
    bucket timestamptz NOT NULL,
    kind   smallint    NOT NULL,
    key    bigint      NOT NULL,
    votes  bytea       NOT NULL
) PARTITION BY LIST (slot);

-- Speed deltas are of one-minute bins; folding puts them into the 5-minute buckets of segment_speed and,
-- if they are recent, into live_speed. Another name, so that an older program fails instead of folding wrongly.
ALTER TABLE segment_speed_delta RENAME COLUMN bucket TO minute;

-- Speed per directed segment and minute of event time, for two to four hours: a ring of hours, of which
-- folding truncates the one that comes next.
CREATE TABLE live_speed (
    ring     smallint    NOT NULL,  -- hour since the epoch, modulo 4
    minute   timestamptz NOT NULL,
    edge     bigint      NOT NULL,
    n        bigint      NOT NULL,
    sum_cmps bigint      NOT NULL,
    v0       bigint      NOT NULL,
    v1       bigint      NOT NULL,
    PRIMARY KEY (ring, minute, edge)
) PARTITION BY LIST (ring);

-- Who drove on a directed segment on a UTC day.
CREATE TABLE edge_day (
    day  timestamptz NOT NULL,  -- its start
    edge bigint      NOT NULL,
    n    bigint      NOT NULL,  -- samples with a speed
    v0   bigint      NOT NULL,
    v1   bigint      NOT NULL,
    PRIMARY KEY (day, edge)
) PARTITION BY RANGE (day);

-- +goose StatementBegin
DO $$
BEGIN
    FOR s IN 0..7 LOOP
        EXECUTE format('CREATE TABLE evidence_delta_%s PARTITION OF evidence_delta FOR VALUES IN (%s)', s, s);
    END LOOP;
    FOR s IN 0..3 LOOP
        EXECUTE format('CREATE TABLE live_speed_%s PARTITION OF live_speed FOR VALUES IN (%s) WITH (fillfactor = 75)', s, s);
    END LOOP;
END $$;
-- +goose StatementEnd

-- Hazards from their first publication on. seq is given anew at each change, in the order of commits:
-- it is the cursor of those who follow.
CREATE SEQUENCE hazard_seq;
CREATE TABLE hazard (
    id          bigint           NOT NULL PRIMARY KEY,
    category    smallint         NOT NULL,  -- telemetry.Hazard
    edge        bigint,                     -- where it begins; null away from roads
    edges       bigint[]         NOT NULL,
    lat_e7      integer          NOT NULL,
    lon_e7      integer          NOT NULL,
    probability real             NOT NULL,
    vehicles    integer          NOT NULL,
    clean       integer          NOT NULL,
    started_at  timestamptz      NOT NULL,  -- event time, like the next two
    updated_at  timestamptz      NOT NULL,
    ended_at    timestamptz,                -- null while active
    seq         bigint           NOT NULL
);
CREATE UNIQUE INDEX hazard_by_seq ON hazard (seq);
CREATE INDEX hazard_active ON hazard (id) WHERE ended_at IS NULL;
CREATE INDEX hazard_ended ON hazard (ended_at) WHERE ended_at IS NOT NULL;

-- Speed limits as learned; those that may not be published yet have kmh of road.NoLimitKnown.
CREATE TABLE learned_limit (
    edge       bigint      NOT NULL PRIMARY KEY,
    kmh        smallint    NOT NULL,
    map_kmh    smallint    NOT NULL,
    posterior  real        NOT NULL,
    vehicles   integer     NOT NULL,
    readings   bigint      NOT NULL,
    since      timestamptz NOT NULL,
    evidence   jsonb       NOT NULL,  -- candidates and variants
    updated_at timestamptz NOT NULL   -- last judged, or up to a day before if nothing else changed
) WITH (fillfactor = 85);              -- no index but the key's: updates stay within their page

-- What was published of a segment's limit, and when that changed.
CREATE TABLE limit_change (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edge     bigint      NOT NULL,
    from_kmh smallint    NOT NULL,
    to_kmh   smallint    NOT NULL,
    at       timestamptz NOT NULL
);
CREATE INDEX limit_change_edge ON limit_change (edge, at);
CREATE INDEX limit_change_at ON limit_change (at);

-- Candidates for errors of the map. What a person has decided about one is kept.
CREATE TABLE map_error (
    id         bigint      NOT NULL PRIMARY KEY,
    type       smallint    NOT NULL,           -- maperror.Type
    edge       bigint,                         -- null for a missing road
    to_edge    bigint,                         -- of turns
    geometry   bytea       NOT NULL,           -- pairs of big-endian int32: latitude, longitude, 1e-7 degrees
    lat_e7     integer     NOT NULL,
    lon_e7     integer     NOT NULL,
    tile       bigint      NOT NULL,           -- z14 quadkey under which it was found
    vehicles   integer     NOT NULL,
    against    integer     NOT NULL,
    score      real        NOT NULL,
    first_at   timestamptz NOT NULL,           -- event time of the buckets behind it
    last_at    timestamptz NOT NULL,
    status     text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'accepted', 'rejected', 'gone')),
    updated_at timestamptz NOT NULL
);
CREATE INDEX map_error_tile ON map_error (tile);
CREATE INDEX map_error_status ON map_error (status, updated_at);

-- The outbox of layers that are projected seldom, summed up by tile: it must not grow with the traffic.
-- No mark is ever given twice, so that a row made anew never looks like the one read before.
CREATE SEQUENCE dirty_mark;
CREATE TABLE dirty_tile (
    layer       text        NOT NULL,
    tile        bigint      NOT NULL,
    accepted_at timestamptz NOT NULL,  -- oldest
    event_at    timestamptz NOT NULL,  -- oldest of each row's newest
    mark        bigint      NOT NULL DEFAULT nextval('dirty_mark'),  -- the last time it was marked: tells whether it was again
    PRIMARY KEY (layer, tile)
);

-- Each layer reads its own rows, and must not wade through those of a layer that lags behind.
CREATE INDEX outbox_layer ON outbox (layer, id);

-- How fresh from the event's own time, beside from acceptance.
ALTER TABLE projection ADD COLUMN event_p50_s double precision NOT NULL DEFAULT 0,
    ADD COLUMN event_p95_s double precision NOT NULL DEFAULT 0;

-- Evidence has taken their place, and nothing reads them: every observation is in the archive.
DROP TABLE hazard_observation;
DROP TABLE sign_observation;
