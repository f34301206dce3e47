-- +goose Up

-- A message without a readable header has no place in the ledger, so only this keeps its
-- redelivery from being entered twice.
CREATE UNIQUE INDEX quarantine_object ON quarantine (object_key, claim) NULLS NOT DISTINCT;

-- Tiles that may be published with content that ages. Entered before the first such
-- publication, deleted after an empty one: whoever becomes projector renews these.
CREATE TABLE live_tile (
    layer text   NOT NULL,
    tile  bigint NOT NULL,  -- z14 quadkey
    PRIMARY KEY (layer, tile)
);

-- Rows live for a second: vacuum by number, not by share.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
