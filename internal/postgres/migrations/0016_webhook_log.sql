-- +goose Up

-- Why the last attempt that failed did, also of what was delivered since.
ALTER TABLE webhook_delivery ADD COLUMN last_error text NOT NULL DEFAULT '';
UPDATE webhook_delivery SET last_error = error WHERE error <> '';
