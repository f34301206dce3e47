-- +goose Up

-- The mean speeds of the steps that distance_m is made of, added up: what a sample's speed stands for in time, so that
-- distances can be told of roads. Rows from before have 0 and tell nothing of it.
ALTER TABLE sensor_health ADD COLUMN step_cmps bigint NOT NULL DEFAULT 0;
ALTER TABLE sensor_health_delta ADD COLUMN step_cmps bigint NOT NULL DEFAULT 0;
