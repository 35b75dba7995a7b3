-- As on SQLite. It is summed up here, and not by programs, since the version before knows nothing of it.
lock table usage_hour in share row exclusive mode;
-- The same in sums by the day of UTC, since a month of hours takes long to add up.
create table usage_day (
    day bigint not null,
    key text not null,
    project text not null,
    model text not null,
    upstream text not null,
    face text not null,
    premium bigint not null,
    calls bigint not null,
    requests bigint not null,
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
    primary key (day, key, project, model, upstream, face, premium)
);
insert into usage_day
    (day, key, project, model, upstream, face, premium, calls, requests, maybe, maybe_units,
    maybe_dollars, failed, estimated, tokens_in, tokens_cached, tokens_out, tokens_reasoning, units,
    dollars, duration_ms)
    select hour - hour % 86400000, key, project, model, upstream, face, premium,
    sum(calls), sum(requests), sum(maybe),
    sum(maybe_units), sum(maybe_dollars), sum(failed), sum(estimated), sum(tokens_in),
    sum(tokens_cached), sum(tokens_out), sum(tokens_reasoning), sum(units), sum(dollars),
    sum(duration_ms)
    from usage_hour group by 1, 2, 3, 4, 5, 6, 7;
create index usage_day_by_key on usage_day (key, day);

create function sum_up_day() returns trigger language plpgsql as $sum$
begin
    insert into usage_day as sums
    (day, key, project, model, upstream, face, premium, calls, requests, maybe, maybe_units,
    maybe_dollars, failed, estimated, tokens_in, tokens_cached, tokens_out, tokens_reasoning, units,
    dollars, duration_ms)
    values (new.hour - new.hour % 86400000,
    new.key, new.project, new.model, new.upstream, new.face, new.premium,
    new.calls - coalesce(old.calls, 0), new.requests - coalesce(old.requests, 0),
    new.maybe - coalesce(old.maybe, 0), new.maybe_units - coalesce(old.maybe_units, 0),
    new.maybe_dollars - coalesce(old.maybe_dollars, 0), new.failed - coalesce(old.failed, 0),
    new.estimated - coalesce(old.estimated, 0), new.tokens_in - coalesce(old.tokens_in, 0),
    new.tokens_cached - coalesce(old.tokens_cached, 0),
    new.tokens_out - coalesce(old.tokens_out, 0),
    new.tokens_reasoning - coalesce(old.tokens_reasoning, 0), new.units - coalesce(old.units, 0),
    new.dollars - coalesce(old.dollars, 0), new.duration_ms - coalesce(old.duration_ms, 0))
    on conflict (day, key, project, model, upstream, face, premium) do update set
    calls = sums.calls + excluded.calls, requests = sums.requests + excluded.requests,
    maybe = sums.maybe + excluded.maybe, maybe_units = sums.maybe_units + excluded.maybe_units,
    maybe_dollars = sums.maybe_dollars + excluded.maybe_dollars,
    failed = sums.failed + excluded.failed, estimated = sums.estimated + excluded.estimated,
    tokens_in = sums.tokens_in + excluded.tokens_in,
    tokens_cached = sums.tokens_cached + excluded.tokens_cached,
    tokens_out = sums.tokens_out + excluded.tokens_out,
    tokens_reasoning = sums.tokens_reasoning + excluded.tokens_reasoning,
    units = sums.units + excluded.units, dollars = sums.dollars + excluded.dollars,
    duration_ms = sums.duration_ms + excluded.duration_ms;
    return null;
end
$sum$;
-- At the end of a transaction, in the order in which hours are written, so that no two wait for each other.
-- Programs of the version before write them in another one: where an hour ends, one of two may have to write
-- its batch again.
create constraint trigger usage_hour_summed after insert or update on usage_hour
    deferrable initially deferred
    for each row execute function sum_up_day();
