-- +goose Up

-- Beside the tables of River (river_job and others, which its own migrations make before these).

-- How far a job is, and its sign of life: a running job whose sign is old has died with its process.
CREATE TABLE job_progress (
    job_id  bigint      NOT NULL PRIMARY KEY REFERENCES river_job ON DELETE CASCADE,
    attempt integer     NOT NULL,
    done    bigint      NOT NULL,
    total   bigint      NOT NULL,  -- 0: unknown
    message text        NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);           -- rewritten once a second, within its page

-- When a kind of job is due next: who moves it on starts the job, in one transaction.
CREATE TABLE job_schedule (
    kind    text        NOT NULL PRIMARY KEY,
    next_at timestamptz NOT NULL
);

-- Processes that carry jobs out.
CREATE TABLE job_process (
    name    text        NOT NULL PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
