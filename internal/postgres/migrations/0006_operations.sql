-- +goose Up

-- The audit log: what people and programs changed through the management API. A row is written before the
-- change, another after it; neither is ever altered. Only details of the request that name no vehicle are kept.
CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject    text NOT NULL,   -- the token's
    role       text NOT NULL,
    action     text NOT NULL,   -- stable code
    target     text NOT NULL,   -- what it was done to
    request_id text NOT NULL,
    asked      jsonb            -- with what arguments
);
CREATE TABLE audit_outcome (
    audit   bigint NOT NULL PRIMARY KEY REFERENCES audit (id),
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    detail  text NOT NULL,
    before  jsonb,
    after   jsonb
);
-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_outcome FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Redrives: requests to try once more what is in quarantine, and what came of each. At most one is pending.
CREATE TABLE redrive (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quarantine   bigint      NOT NULL,  -- quarantine.id
    requested_at timestamptz NOT NULL DEFAULT now(),
    done_at      timestamptz,           -- null while pending
    resolved     boolean,               -- it left the quarantine
    archived     integer,               -- batches that now count
    duplicate    integer,               -- batches that already did
    reason       text,                  -- why it stays
    detail       text,
    flush        bigint                 -- manifest.id of the flush that tried
);
CREATE UNIQUE INDEX redrive_pending ON redrive (quarantine) WHERE done_at IS NULL;
CREATE INDEX redrive_quarantine ON redrive (quarantine, id);

ALTER TABLE quarantine ADD COLUMN resolved_at timestamptz;  -- when a redrive took it out
CREATE INDEX quarantine_reason ON quarantine (reason, id);

-- The outcome in envelope is never changed; what redrives moved is entered here and added by readers. The sums are
-- zero, so no entry can unbalance the ledger.
CREATE TABLE envelope_adjustment (
    accepted_at         timestamptz NOT NULL,  -- with the next two: the envelope
    receiver            uuid        NOT NULL,
    seq                 bigint      NOT NULL,
    flush               bigint      NOT NULL,  -- manifest.id of the flush that moved them
    committed_at        timestamptz NOT NULL DEFAULT now(),
    archived            integer     NOT NULL,
    archived_samples    integer     NOT NULL,
    duplicate           integer     NOT NULL,
    duplicate_samples   integer     NOT NULL,
    quarantined         integer     NOT NULL,  -- 0 or less
    quarantined_samples integer     NOT NULL,
    PRIMARY KEY (accepted_at, receiver, seq, flush),
    CHECK (archived + duplicate + quarantined = 0 AND archived_samples + duplicate_samples + quarantined_samples = 0),
    CHECK (archived >= 0 AND duplicate >= 0 AND archived_samples >= 0 AND duplicate_samples >= 0)
);
CREATE INDEX envelope_adjustment_committed_at ON envelope_adjustment (committed_at);
