-- +goose Up

-- When a hazard was first stored, and when it last changed: what is told to others is told with the time of telling, which
-- the times of the event are not.
ALTER TABLE hazard ADD COLUMN first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT clock_timestamp();
