-- One row for each call to fal. Times are in milliseconds since 1970, units in thousandths, dollars
-- in billionths.
create table ledger (
    at bigint not null,
    -- The process that made the call, and the number it gave it.
    gateway text not null,
    number bigint not null,
    key text not null,
    project text not null,
    model text not null,
    upstream text not null,
    kind text not null,
    face text not null,
    tokens_in bigint not null,
    tokens_cached bigint not null,
    tokens_out bigint not null,
    tokens_reasoning bigint not null,
    -- 1 where they are estimated.
    estimated bigint not null,
    units bigint not null,
    dollars bigint not null,
    premium bigint not null,
    billed text not null,
    -- 1 with the first call of a request that is, or may be, paid for.
    requests bigint not null,
    outcome text not null,
    duration_ms bigint not null,
    request text not null,
    fal_request text not null,
    primary key (at, gateway, number)
) without rowid;

-- The same in sums by the hour, which stay when the rows have gone.
create table usage_hour (
    hour bigint not null,
    key text not null,
    project text not null,
    model text not null,
    upstream text not null,
    face text not null,
    premium bigint not null,
    calls bigint not null,
    requests bigint not null,
    -- Calls that may be paid for, and what they are then.
    maybe bigint not null,
    maybe_units bigint not null,
    maybe_dollars bigint not null,
    failed bigint not null,
    estimated bigint not null,
    tokens_in bigint not null,
    tokens_cached bigint not null,
    tokens_out bigint not null,
    tokens_reasoning bigint not null,
    units bigint not null,
    dollars bigint not null,
    duration_ms bigint not null,
    primary key (hour, key, project, model, upstream, face, premium)
) without rowid;
create index usage_hour_by_key on usage_hour (key, hour);

-- The last batch that each process has written, so that none is written twice.
create table ledger_writer (
    gateway text not null primary key,
    batch bigint not null,
    seen_at bigint not null
);
create index ledger_writer_by_time on ledger_writer (seen_at);
