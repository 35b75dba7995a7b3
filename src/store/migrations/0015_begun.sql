-- Whether work has begun that may be paid for. It has, for all that is known of older requests.
alter table idempotent_request add column is_begun bigint not null default 1;
