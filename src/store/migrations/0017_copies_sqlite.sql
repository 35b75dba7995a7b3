-- When an item was written, so that the latest of those with one id is found without looking at the others.
alter table item add column created_at bigint;
update item set created_at = (select created_at from response where response.id = item.response);
drop index item_by_id;
create index item_by_id on item (owner, id, direction desc, created_at desc);
