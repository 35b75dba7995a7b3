-- As on SQLite. The program of the version before writes no time, so one is given here. Of what it wrote until
-- now only the latest of those with one id gets its time, and the others count as older than all that follows:
-- to write each of many rows anew would keep the programs that run from them for too long.
alter table item add column created_at bigint;
alter table item alter column created_at
    set default cast(extract(epoch from clock_timestamp()) * 1000 as bigint);
with copied as (
    select owner, id from item where direction = 0 group by owner, id having count(*) > 1
), latest as (
    select distinct on (item.owner, item.id)
        item.response, item.direction, item.position, response.created_at
    from copied join item using (owner, id) join response on response.id = item.response
    where item.direction = 0
    order by item.owner, item.id, response.created_at desc
)
update item set created_at = latest.created_at from latest
    where (item.response, item.direction, item.position)
        = (latest.response, latest.direction, latest.position);
drop index item_by_id;
-- Whoever writes items waits for this: two seconds for a million of them.
create index item_by_id on item (owner, id, direction desc, created_at desc nulls last);
