-- A conversation that is kept by itself; a thread of the same id says until when.
create table conversation (
    id text not null primary key,
    owner text not null,
    created_at bigint not null,
    metadata text not null,
    -- How many items it has had, which is the place of the next one.
    next_position bigint not null,
    items bigint not null,
    item_bytes bigint not null,
    -- Counts the changes of its items.
    version bigint not null,
    -- Which request is about to add to it, and until when nobody else may.
    lock_by text,
    lock_until bigint not null
);

create table conversation_item (
    conversation text not null,
    position bigint not null,
    id text not null,
    owner text not null,
    body text not null,
    primary key (conversation, position)
);
create index conversation_item_by_id on conversation_item (owner, id);

-- The conversation that a response was made in.
alter table response add column conversation text;
