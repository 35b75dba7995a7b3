-- Items that are found by the id of their response lie in its row: what came out of it, and behind that
-- what went into it, with commas between them. The parts are a JSON list of the direction, the id and
-- the length in bytes of each.
alter table response add column items text;
alter table response add column parts text;

-- The first response of a thread has the thread's id.
drop index response_by_thread;
create index response_by_thread on response (thread) where parent is not null;

-- The same tables, whose rows lie in the order of their ids and are written once.
create table thread_in_order (
    id text not null primary key,
    owner text not null,
    expires_at bigint not null,
    bytes bigint not null
) without rowid;
insert into thread_in_order (id, owner, expires_at, bytes)
    select id, owner, expires_at, bytes from thread order by id;
drop table thread;
alter table thread_in_order rename to thread;
create index thread_by_expiry on thread (expires_at);
create index thread_by_owner on thread (owner, expires_at);

create table space_in_order (
    owner text not null primary key,
    bytes bigint not null
) without rowid;
insert into space_in_order (owner, bytes) select owner, bytes from space order by owner;
drop table space;
alter table space_in_order rename to space;

-- What all of them take up.
create table space_sum (
    part integer not null primary key,
    bytes bigint not null
);
insert into space_sum (part, bytes) select 0, coalesce(sum(bytes), 0) from space;
create trigger space_added after insert on space begin
    update space_sum set bytes = bytes + new.bytes where part = 0;
end;
create trigger space_changed after update of bytes on space begin
    update space_sum set bytes = bytes + new.bytes - old.bytes where part = 0;
end;
create trigger space_gone after delete on space begin
    update space_sum set bytes = bytes - old.bytes where part = 0;
end;
