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
