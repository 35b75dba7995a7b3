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
) without rowid;
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

create trigger usage_hour_added after insert on usage_hour begin
    insert into usage_day
    (day, key, project, model, upstream, face, premium, calls, requests, maybe, maybe_units,
    maybe_dollars, failed, estimated, tokens_in, tokens_cached, tokens_out, tokens_reasoning, units,
    dollars, duration_ms)
    values (new.hour - new.hour % 86400000,
    new.key, new.project, new.model, new.upstream, new.face, new.premium, new.calls, new.requests,
    new.maybe, new.maybe_units, new.maybe_dollars, new.failed, new.estimated, new.tokens_in,
    new.tokens_cached, new.tokens_out, new.tokens_reasoning, new.units, new.dollars, new.duration_ms)
    on conflict (day, key, project, model, upstream, face, premium) do update set
    calls = calls + excluded.calls, requests = requests + excluded.requests,
    maybe = maybe + excluded.maybe, maybe_units = maybe_units + excluded.maybe_units,
    maybe_dollars = maybe_dollars + excluded.maybe_dollars, failed = failed + excluded.failed,
    estimated = estimated + excluded.estimated, tokens_in = tokens_in + excluded.tokens_in,
    tokens_cached = tokens_cached + excluded.tokens_cached,
    tokens_out = tokens_out + excluded.tokens_out,
    tokens_reasoning = tokens_reasoning + excluded.tokens_reasoning, units = units + excluded.units,
    dollars = dollars + excluded.dollars, duration_ms = duration_ms + excluded.duration_ms;
end;
create trigger usage_hour_changed after update on usage_hour begin
    update usage_day set
    calls = calls + new.calls - old.calls, requests = requests + new.requests - old.requests,
    maybe = maybe + new.maybe - old.maybe,
    maybe_units = maybe_units + new.maybe_units - old.maybe_units,
    maybe_dollars = maybe_dollars + new.maybe_dollars - old.maybe_dollars,
    failed = failed + new.failed - old.failed,
    estimated = estimated + new.estimated - old.estimated,
    tokens_in = tokens_in + new.tokens_in - old.tokens_in,
    tokens_cached = tokens_cached + new.tokens_cached - old.tokens_cached,
    tokens_out = tokens_out + new.tokens_out - old.tokens_out,
    tokens_reasoning = tokens_reasoning + new.tokens_reasoning - old.tokens_reasoning,
    units = units + new.units - old.units, dollars = dollars + new.dollars - old.dollars,
    duration_ms = duration_ms + new.duration_ms - old.duration_ms
    where day = new.hour - new.hour % 86400000 and key = new.key and project = new.project
    and model = new.model and upstream = new.upstream and face = new.face and premium = new.premium;
end;
