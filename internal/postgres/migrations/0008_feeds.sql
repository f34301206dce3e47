-- +goose Up

-- When a hazard was first stored, and when it last changed: what is told to others is told with the time of telling, which
-- the times of the event are not.
ALTER TABLE hazard ADD COLUMN first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- Webhooks: where hazards are sent to as they start, change and end.
CREATE TABLE webhook (
    id              text        NOT NULL PRIMARY KEY,  -- random
    url             text        NOT NULL,
    description     text        NOT NULL,
    categories      smallint[]  NOT NULL,              -- telemetry.Hazard; none: all
    south_e7        integer     NOT NULL,              -- the box of the hazards told
    west_e7         integer     NOT NULL,
    north_e7        integer     NOT NULL,
    east_e7         integer     NOT NULL,
    min_probability real        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('active', 'paused', 'disabled')),
    reason          text        NOT NULL DEFAULT '',   -- why it is disabled
    secret          bytea       NOT NULL,              -- wrapped under the master key
    old_secret      bytea,                             -- signs too until old_until
    old_until       timestamptz,
    cursor          bigint      NOT NULL,              -- hazard.seq up to which deliveries are planned
    failing_since   timestamptz,                       -- the first failure after the last success
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by      text        NOT NULL
);

-- The hazards that a webhook was told of and whose end it has still to be told.
CREATE TABLE webhook_told (
    webhook text   NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    hazard  bigint NOT NULL,
    PRIMARY KEY (webhook, hazard)
);

-- What is to be sent, and the log of what was. The body is that of the moment of planning, so that every attempt sends the same.
CREATE TABLE webhook_delivery (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook    text        NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    hazard     bigint,                                 -- null for a test
    event      text        NOT NULL,                   -- the CloudEvent's id
    type       text        NOT NULL,
    body       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts   integer     NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at    timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of the next attempt, while pending
    last_at    timestamptz,                            -- of the last attempt
    latency_ms integer,                                -- of the last attempt
    status     integer,                                -- its HTTP status, null if there was no answer
    error      text        NOT NULL DEFAULT '',        -- its error
    UNIQUE (webhook, event)
);
CREATE INDEX webhook_delivery_log ON webhook_delivery (webhook, id);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (webhook, hazard, id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_done ON webhook_delivery (last_at) WHERE state <> 'pending';
