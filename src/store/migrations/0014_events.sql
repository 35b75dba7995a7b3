-- The events of a response that is streamed while it is being made in the background. The row stays as
-- long as the response does, and says that its events had numbers of their own.
create table event_log (
    response text not null primary key,
    -- The number of the event that would be written next.
    next_number bigint not null,
    -- What its events take up.
    bytes bigint not null,
    -- Until when they are kept, in milliseconds since 1970. None while the response is being made.
    kept_until bigint,
    -- The number of the event that ends it, which is not written here. None where whoever ended the
    -- response did not know that.
    end_number bigint
);
create index event_log_by_end on event_log (kept_until) where bytes > 0;

-- Some of them, one behind the other, as they were sent.
create table event_batch (
    response text not null,
    first_number bigint not null,
    -- The number behind the last of them.
    next_number bigint not null,
    events bytea not null,
    primary key (response, next_number)
);
