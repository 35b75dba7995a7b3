-- The response or completion that the answer to a request is kept as, too, and is deleted with.
alter table idempotent_request add column kept_as text;
create index idempotent_request_by_kept on idempotent_request (kept_as);
