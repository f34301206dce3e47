-- +goose Up

-- Who is behind a row (a bitmap of the day's pseudonyms: trends are k-anonymous), how far they drove, and how
-- often a limit that a camera read is another than the one that is published for the road.
ALTER TABLE sensor_health
    ADD COLUMN with_temperature bigint NOT NULL DEFAULT 0,
    ADD COLUMN hazard_light     bigint NOT NULL DEFAULT 0,
    ADD COLUMN distance_m       bigint NOT NULL DEFAULT 0,  -- by the speeds between samples
    ADD COLUMN signs_compared   bigint NOT NULL DEFAULT 0,
    ADD COLUMN signs_disagree   bigint NOT NULL DEFAULT 0,
    ADD COLUMN v0               bigint NOT NULL DEFAULT 0,
    ADD COLUMN v1               bigint NOT NULL DEFAULT 0;
ALTER TABLE sensor_health_delta
    ADD COLUMN with_temperature bigint NOT NULL DEFAULT 0,
    ADD COLUMN hazard_light     bigint NOT NULL DEFAULT 0,
    ADD COLUMN distance_m       bigint NOT NULL DEFAULT 0,
    ADD COLUMN signs_compared   bigint NOT NULL DEFAULT 0,
    ADD COLUMN signs_disagree   bigint NOT NULL DEFAULT 0,
    ADD COLUMN v0               bigint NOT NULL DEFAULT 0,
    ADD COLUMN v1               bigint NOT NULL DEFAULT 0;

-- Ended hazards are kept for as long as trends look back, and found by when they began.
CREATE INDEX hazard_started ON hazard (started_at);

-- Days of segment_speed added up (bucket is the day's start, UTC), for long ranges and for as long as trends look back; and
-- which days are in it.
CREATE TABLE speed_day (
    LIKE segment_speed,
    PRIMARY KEY (bucket, edge)
) PARTITION BY RANGE (bucket);
CREATE TABLE speed_day_done (
    day timestamptz NOT NULL PRIMARY KEY
);
