-- +goose Up

-- One row per flush of a worker: what was archived, and where. Readers of the raw
-- archive start here: an object without a row is an orphan and must not be read.
CREATE TABLE manifest (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the flush
    committed_at timestamptz NOT NULL DEFAULT now(),
    worker       text        NOT NULL,
    object_key   text,                     -- null when the flush held no new batch
    object_bytes bigint      NOT NULL,
    batches      integer     NOT NULL,
    samples      bigint      NOT NULL,     -- counted ones; the object also holds lead-in
    t_min        timestamptz,              -- event time
    t_max        timestamptz,
    map_version  text        NOT NULL
);
CREATE INDEX manifest_committed_at ON manifest (committed_at);

-- The ledger: one immutable row per envelope handled. Partitioned by day.
CREATE TABLE envelope (
    accepted_at         timestamptz NOT NULL,  -- from the header: a redelivery has the same key
    receiver            uuid        NOT NULL,
    seq                 bigint      NOT NULL,
    batches             integer     NOT NULL,
    samples             integer     NOT NULL,
    total_batches       bigint      NOT NULL,
    total_samples       bigint      NOT NULL,
    confirmed_through   bigint      NOT NULL,
    archived            integer     NOT NULL,  -- batches = archived + duplicate + quarantined
    archived_samples    integer     NOT NULL,
    duplicate           integer     NOT NULL,
    duplicate_samples   integer     NOT NULL,
    quarantined         integer     NOT NULL,
    quarantined_samples integer     NOT NULL,
    flush               bigint      NOT NULL,  -- manifest.id
    committed_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (accepted_at, receiver, seq)
) PARTITION BY RANGE (accepted_at);
CREATE INDEX envelope_committed_at ON envelope (committed_at);
CREATE INDEX envelope_receiver_seq ON envelope (receiver, seq);

-- Envelopes that a receiver gave up (its cars were answered 503).
CREATE TABLE voided_envelope (
    receiver uuid    NOT NULL,
    seq      bigint  NOT NULL,
    batches  integer NOT NULL,
    samples  integer NOT NULL,
    PRIMARY KEY (receiver, seq)
);

-- Idempotency: every batch ever archived within the accepted window. The id starts
-- with the batch's creation time, so partitions are by day of that and get dropped.
CREATE TABLE claim (
    id      uuid     NOT NULL PRIMARY KEY,
    flush   bigint   NOT NULL,
    samples smallint NOT NULL
) PARTITION BY RANGE (id);

-- Speed per directed segment and 5-minute bucket of event time. edge = segment*2 + (1 if
-- against the segment's drawn direction); its top 28 bits of 53 are the z14 quadkey.
CREATE TABLE segment_speed (
    bucket   timestamptz NOT NULL,
    edge     bigint      NOT NULL,
    n        integer     NOT NULL,       -- samples with a speed
    sum_cmps bigint      NOT NULL,       -- sum of speeds, 0.01 m/s
    v0       bigint      NOT NULL,       -- distinct vehicles: 128-bit linear-counting bitmap
    v1       bigint      NOT NULL,
    bins     bytea       NOT NULL,       -- 128 bins of 2 km/h, sparse: uvarint pairs (bin, count), by bin
    PRIMARY KEY (bucket, edge)
) PARTITION BY RANGE (bucket);

-- The flushes' deltas to it, insert-only, in a ring of slots: slot = (unix time / 10 s) % 8 at
-- commit. Folding locks one slot, merges it into segment_speed and truncates it.
CREATE TABLE segment_speed_delta (
    slot     smallint    NOT NULL,
    bucket   timestamptz NOT NULL,
    edge     bigint      NOT NULL,
    n        integer     NOT NULL,
    sum_cmps bigint      NOT NULL,
    v0       bigint      NOT NULL,
    v1       bigint      NOT NULL,
    bins     bytea       NOT NULL
) PARTITION BY LIST (slot);

-- Sensor health by vehicle model, software and hour of event time: what is missing and
-- how often what fires.
CREATE TABLE sensor_health (
    hour            timestamptz NOT NULL,
    model           text        NOT NULL,
    software        text        NOT NULL,
    batches         bigint      NOT NULL,
    samples         bigint      NOT NULL,
    with_speed      bigint      NOT NULL,
    with_heading    bigint      NOT NULL,
    with_accuracy   bigint      NOT NULL,
    sum_accuracy_cm bigint      NOT NULL,
    unmatched       bigint      NOT NULL,  -- no plausible road within reach
    abs_active      bigint      NOT NULL,
    esc_active      bigint      NOT NULL,
    tcs_active      bigint      NOT NULL,
    signs           bigint      NOT NULL,
    signs_missing   bigint      NOT NULL,
    hazards         bigint      NOT NULL,
    PRIMARY KEY (hour, model, software)
) PARTITION BY RANGE (hour);
CREATE TABLE sensor_health_delta (LIKE sensor_health, slot smallint NOT NULL) PARTITION BY LIST (slot);

-- Observations as they come, by day of event time. vehicle is the day's pseudonym.
CREATE TABLE hazard_observation (
    t                   timestamptz NOT NULL,
    edge                bigint,               -- null when no road was near
    lat_e7              integer     NOT NULL,
    lon_e7              integer     NOT NULL,
    hazard              smallint    NOT NULL, -- telemetry.Hazard
    confidence_permille smallint    NOT NULL,
    vehicle             bigint      NOT NULL,
    flush               bigint      NOT NULL
) PARTITION BY RANGE (t);
CREATE INDEX hazard_observation_t ON hazard_observation (t);
CREATE TABLE sign_observation (
    t                   timestamptz NOT NULL,
    edge                bigint,
    lat_e7              integer     NOT NULL,
    lon_e7              integer     NOT NULL,
    heading_cdeg        integer,
    missing             boolean     NOT NULL,
    sign                smallint    NOT NULL, -- telemetry.Sign
    value_kmh           smallint    NOT NULL,
    confidence_permille smallint    NOT NULL,
    vehicle             bigint      NOT NULL,
    flush               bigint      NOT NULL
) PARTITION BY RANGE (t);
CREATE INDEX sign_observation_edge ON sign_observation (edge, t);

-- What could not be used, kept as an object with its reason.
CREATE TABLE quarantine (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    receiver   uuid,                -- null when the envelope's header was unreadable
    seq        bigint,
    claim      uuid,                -- null when a whole envelope is quarantined
    reason     text    NOT NULL,    -- stable code
    detail     text    NOT NULL,
    object_key text    NOT NULL,
    bytes      integer NOT NULL,
    batches    integer NOT NULL,
    samples    integer NOT NULL,
    flush      bigint
);
CREATE INDEX quarantine_at ON quarantine (at);

-- Outbox: what became dirty, insert-only; the projector deletes what it has published.
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    layer       text        NOT NULL,
    tile        bigint      NOT NULL,  -- z14 quadkey
    accepted_at timestamptz NOT NULL,  -- oldest envelope behind it
    event_at    timestamptz NOT NULL   -- newest event behind it
);

-- One row per pass of the projector: how fresh what it published was.
CREATE TABLE projection (
    at     timestamptz      NOT NULL DEFAULT now(),
    layer  text             NOT NULL,
    tiles  integer          NOT NULL,
    p50_s  double precision NOT NULL,  -- accepted by the receiver → readable by a car
    p95_s  double precision NOT NULL,
    max_s  double precision NOT NULL
);
CREATE INDEX projection_at ON projection (at);

-- +goose StatementBegin
DO $$
BEGIN
    FOR s IN 0..7 LOOP
        EXECUTE format('CREATE TABLE segment_speed_delta_%s PARTITION OF segment_speed_delta FOR VALUES IN (%s)', s, s);
        EXECUTE format('CREATE TABLE sensor_health_delta_%s PARTITION OF sensor_health_delta FOR VALUES IN (%s)', s, s);
    END LOOP;
END $$;
-- +goose StatementEnd
