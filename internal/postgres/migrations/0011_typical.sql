-- +goose Up

-- What is usual on a directed segment on a day of the week (UTC), by slots of five minutes, older days weighing less
-- (learn.DayProfile, encoded). Days are added in their order, each once: a row has all days of its weekday up to day.
CREATE TABLE typical_speed (
    weekday smallint    NOT NULL,  -- 0: Monday
    edge    bigint      NOT NULL,
    day     timestamptz NOT NULL,  -- start of the last day added
    slots   bytea       NOT NULL,
    PRIMARY KEY (weekday, edge)
) WITH (fillfactor = 85);

-- Up to which day every segment's days are in typical_speed: its newest row.
CREATE TABLE typical_speed_done (
    day timestamptz NOT NULL PRIMARY KEY
);
