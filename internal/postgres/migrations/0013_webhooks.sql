-- +goose Up

-- Webhooks: where hazards are sent to as they start, change and end.
CREATE TABLE webhook (
    id              text        NOT NULL PRIMARY KEY,  -- random
    url             text        NOT NULL,
    host            text        NOT NULL,              -- host and port of it
    description     text        NOT NULL,
    categories      smallint[]  NOT NULL,              -- telemetry.Hazard; none: all
    south_e7        integer     NOT NULL,              -- the box of the hazards told
    west_e7         integer     NOT NULL,
    north_e7        integer     NOT NULL,
    east_e7         integer     NOT NULL,
    min_probability real        NOT NULL,
    state           text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled')),
    reason          text        NOT NULL DEFAULT '',   -- why it is not active
    secret          bytea       NOT NULL,              -- sealed under the master key, as the next
    old_secret      bytea,                             -- signs too until old_until
    old_until       timestamptz,
    cursor          bigint      NOT NULL,              -- hazard.seq up to which deliveries are planned
    failing_since   timestamptz,                       -- the first failure after the last success
    hold_until      timestamptz,                       -- nothing is sent before, as its server asked
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by      text        NOT NULL
);

-- The hazards that a webhook was told of and whose end it has still to be told, with the revision last told.
CREATE TABLE webhook_told (
    webhook text   NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    hazard  bigint NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (webhook, hazard)
);

-- What is to be sent, and the log of what was. The body is that of the moment of planning: every attempt sends the same.
CREATE TABLE webhook_delivery (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook     text        NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    hazard      bigint,                                -- null for a test
    event       text        NOT NULL,                  -- the CloudEvent's id
    type        text        NOT NULL,
    body        bytea       NOT NULL,
    state       text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts    integer     NOT NULL DEFAULT 0,        -- begun
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of the next attempt, while pending
    lease_until timestamptz,                           -- whoever makes an attempt has until then
    first_at    timestamptz,                           -- of the first attempt
    last_at     timestamptz,                           -- of the last attempt that ended
    latency_ms  integer,                               -- of it
    status      integer,                               -- its HTTP status, null if there was no answer
    error       text        NOT NULL DEFAULT '',       -- its error
    UNIQUE (webhook, event)
);
CREATE INDEX webhook_delivery_log ON webhook_delivery (webhook, id);
CREATE INDEX webhook_delivery_order ON webhook_delivery (webhook, hazard, id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, next_at, id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);
