-- As on SQLite, where a file has one program. Here nobody packs items, which the program of the version
-- before would not find.
alter table response add column items text;
alter table response add column parts text;

-- What all owners take up, in parts, so that not everybody who keeps something waits for everybody else.
-- It is counted here, and not by programs, since the version before knows nothing of it.
create table space_sum (
    part bigint not null primary key,
    bytes bigint not null
);
lock table space in share row exclusive mode;
insert into space_sum (part, bytes) select part, 0 from generate_series(0, 15) as part;
update space_sum set bytes = (select coalesce(sum(bytes), 0) from space) where part = 0;

create function count_space() returns trigger language plpgsql as $count$
declare
    more bigint := coalesce(new.bytes, 0) - coalesce(old.bytes, 0);
begin
    update space_sum set bytes = bytes + more where part = pg_backend_pid() % 16;
    return null;
end
$count$;
-- At the end of a transaction, which then holds one part and waits for nothing else: whoever deletes
-- what belongs to many owners keeps nobody waiting meanwhile, and no two wait for each other.
create constraint trigger space_counted after insert or update or delete on space
    deferrable initially deferred
    for each row execute function count_space();
