-- As on SQLite. The program of the version before writes no time, so one is given here. What it wrote until
-- now has none and counts as older than all that follows: to give a time to each of many rows would keep the
-- programs that run from them for too long.
alter table item add column created_at bigint;
alter table item alter column created_at
    set default cast(extract(epoch from clock_timestamp()) * 1000 as bigint);
drop index item_by_id;
create index item_by_id on item (owner, id, direction desc, created_at desc nulls last);
